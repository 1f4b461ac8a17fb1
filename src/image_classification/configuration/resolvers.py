"""Functions that the YAML files may call, as ``${env:NAME,default}``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlparse

from omegaconf import OmegaConf

from image_classification.configuration.location import (
    BASE,
    find_configuration,
    find_project_path,
)
from image_classification.configuration.networks import list_network_names
from image_classification.errors import ConfigurationError
from image_classification.machine.place import locate, locate_store


def read_environment(name: str, default: Any = None) -> Any:
    """``${env:NAME,default}``: the value of an environment variable, or the default."""
    return os.environ.get(name) or default


def read_place(name: str, default: str) -> str:
    """``${place:NAME,default}``: the path or URL that a variable names, or the default.

    A path is absolute: ``~`` is the home, and what is relative lies below the project.
    """
    return locate(os.environ.get(name) or default, find_project_path())


def locate_storage(default: str) -> str:
    """``${storage_root:default}``: the one root of all data, an absolute path or an fsspec URL."""
    return read_place("IMAGE_CLASSIFICATION_STORAGE", default)


def read_tracking_uri(default: str) -> str:
    """``${tracking_uri:default}``: where MLflow keeps runs; an SQLite file by its whole path."""
    return locate_store(os.environ.get("MLFLOW_TRACKING_URI") or default, find_project_path())


def read_parameter(path: str) -> Any:
    """``${parameter:training.epochs}``: a value of `conf/base/parameters*.yml`.

    A trigger form shows with it the value that holds when nobody changes it.

    Raises:
        ConfigurationError: there is no such parameter.
    """
    files = sorted((find_configuration() / BASE).glob("parameters*.yml"))
    value = OmegaConf.select(OmegaConf.merge(*map(OmegaConf.load, files)), path)
    if value is None:
        raise ConfigurationError(f"airflow.yml: there is no parameter '{path}'.")
    return value


def locate_artifacts(tracking_uri: str) -> str | None:
    """Return where a new experiment keeps its artifacts; None where a server chooses.

    Beside an SQLite file, and so relative to it (see `vendor.mlflow_server.open_served`): a storage
    may be moved, and its path may hold any character.
    """
    scheme = urlparse(tracking_uri).scheme
    return None if scheme in ("http", "https") else "mlflow-artifacts:/"


RESOLVERS: dict[str, Callable[..., Any]] = {
    "env": read_environment,
    "place": read_place,
    "tracking_uri": read_tracking_uri,
    "storage_root": locate_storage,
    "parameter": read_parameter,
    "networks": list_network_names,
    "mlflow_artifacts": locate_artifacts,
}
