"""Functions that the YAML files may call, as ``${env:NAME,default}``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlparse

from omegaconf import OmegaConf

from image_classification.configuration.location import find_project_path
from image_classification.configuration.networks import list_network_names
from image_classification.errors import ConfigurationError


def read_environment(name: str, default: Any = None) -> Any:
    """``${env:NAME,default}``: the value of an environment variable, or the default."""
    return os.environ.get(name) or default


def locate_storage(default: str) -> str:
    """``${storage_root:default}``: the one root of all data, an absolute path or an fsspec URL."""
    root = os.environ.get("IMAGE_CLASSIFICATION_STORAGE") or default
    return root if "://" in root else str(find_project_path() / root)


def read_parameter(path: str) -> Any:
    """``${parameter:training.epochs}``: a value of `conf/base/parameters*.yml`.

    A trigger form shows with it the value that holds when nobody changes it.

    Raises:
        ConfigurationError: there is no such parameter.
    """
    files = sorted((find_project_path() / "conf" / "base").glob("parameters*.yml"))
    value = OmegaConf.select(OmegaConf.merge(*map(OmegaConf.load, files)), path)
    if value is None:
        raise ConfigurationError(f"airflow.yml: there is no parameter '{path}'.")
    return value


def locate_artifacts(tracking_uri: str, storage_root: str) -> str | None:
    """Return where a new experiment keeps its artifacts; None where a server chooses."""
    if urlparse(tracking_uri).scheme in ("http", "https"):
        return None
    return f"{storage_root}/mlflow/artifacts"


RESOLVERS: dict[str, Callable[..., Any]] = {
    "env": read_environment,
    "storage_root": locate_storage,
    "parameter": read_parameter,
    "networks": list_network_names,
    "mlflow_artifacts": locate_artifacts,
}
