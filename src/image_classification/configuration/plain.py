"""The configuration as Kedro's loader reads it, read without Kedro, which takes half a second.

For commands that look something up. A run reads it by `loader.ReadOnceConfigLoader`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from image_classification import words
from image_classification.configuration.location import BASE, find_configuration
from image_classification.configuration.project import (
    find_project_files,
    make_words,
    read_project,
    settle_words,
    take,
)
from image_classification.configuration.resolvers import RESOLVERS
from image_classification.configuration.scope import make_resolvers
from image_classification.errors import ConfigurationError
from image_classification.text import unify_text
from image_classification.vendor.omegaconf import use_resolvers

DEFAULT = "local"
"""The environment over `base` where none is named. It need not be there: no archive has it."""

PATTERNS = {
    "catalog": ["catalog*", "catalog*/**", "**/catalog*"],
    "parameters": ["parameters*", "parameters*/**", "**/parameters*"],
    "globals": ["globals.yml"],
    "airflow": ["airflow.yml"],
    "mlflow": ["mlflow.yml"],
}
"""Which files hold which kind of configuration."""

MERGED_BY_KEY = "parameters"
"""An environment may change one key of a section of this kind, at any depth; the rest stays."""

RUN_KINDS = ("catalog", "parameters", "globals", "mlflow")
"""Kinds that a run reads."""

SUFFIXES = (".yml", ".yaml", ".json")


class PlainConfiguration:
    """The configuration of one environment, each kind read when it is asked for."""

    def __init__(self, conf: Path | None = None, env: str | None = None) -> None:
        """Read the project file, and put its words in force; nothing else is read yet.

        Args:
            conf: the folder of the environments; that of the project where it is None.
            env: the environment; the one in `KEDRO_ENV`, or `local`, where it is None.

        Raises:
            ConfigurationError: the configuration that is named cannot be read.
        """
        self._conf = conf or find_configuration()
        self._env = env or os.environ.get("KEDRO_ENV") or DEFAULT
        self._known: dict[str, dict[str, Any]] = {}
        self.project = read_project(self._conf, self._env)
        words.use(make_words(self.project))

    def __getitem__(self, kind: str) -> dict[str, Any]:
        """Return all of a kind, such as "catalog"; not to be changed.

        Raises:
            ConfigurationError: there is no such environment, or a file is no YAML.
        """
        if kind not in self._known:
            self._known[kind] = self._read(kind)
        return self._known[kind]

    def _read(self, kind: str) -> dict[str, Any]:
        environments = dict.fromkeys((BASE, self._env))
        resolvers: dict[str, Callable[..., Any]] = {
            **RESOLVERS,
            "runtime_params": _select_default,
            "project": partial(take, self.project),
            **make_resolvers(self.project, self._env),
        }
        if kind != "globals":
            resolvers["globals"] = self._select_global
        with use_resolvers(resolvers):
            merged: dict[str, Any] = {}
            for environment in environments:
                above = self._read_environment(environment, kind)
                if kind == MERGED_BY_KEY:
                    both = OmegaConf.merge(OmegaConf.create(merged), OmegaConf.create(above))
                    merged = _contain(both)
                else:
                    merged |= above
        if kind == "parameters":
            unify_names(merged)
            settle_words(self.project, merged)
            return merged
        return {key: value for key, value in merged.items() if not key.startswith("_")}

    def _read_environment(self, environment: str, kind: str) -> dict[str, Any]:
        folder = self._conf / environment
        if not folder.is_dir():
            if environment == DEFAULT:
                return {}
            raise ConfigurationError(
                f"There is no environment '{environment}': '{folder}' is no folder. Correct "
                "KEDRO_ENV, or make the folder."
            )
        parts = []
        for file in sorted(set(_find_files(folder, kind))):
            try:
                parts.append(OmegaConf.load(file))
            except YAMLError as error:
                raise ConfigurationError(f"'{file}' is not YAML: {error}") from None
        try:
            return _contain(OmegaConf.unsafe_merge(*parts)) if parts else {}
        except OmegaConfBaseException as error:
            raise ConfigurationError(f"The {kind} in '{folder}' cannot be read: {error}") from error

    def _select_global(self, path: str, *default: Any) -> Any:
        """``${globals:name,default}``: a value of `globals.yml`."""
        return _select(self["globals"], path, *default)


def digest_configuration(conf: Path, env: str | None) -> str:
    """Return the sha256 of all files that a run reads: of `base`, the environment and the project.

    What only DAG files are made from is left out, and so are credentials, which change any time.

    Args:
        conf: the folder of the environments.
        env: the environment; None for `local`.
    """
    folders = [folder for name in (BASE, env or DEFAULT) if (folder := conf / name).is_dir()]
    files = {file for kind in RUN_KINDS for folder in folders for file in _find_files(folder, kind)}
    digest = hashlib.sha256()
    for file in [*sorted(files), *find_project_files(conf, env)]:
        name = file.relative_to(conf) if file.is_relative_to(conf) else file.name
        digest.update(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def unify_names(parameters: dict[str, Any]) -> None:
    """Bring the class that is named in the parameters into the form in which names are compared."""
    if isinstance(name := parameters.get("positive_class"), str):
        parameters["positive_class"] = unify_text(name)


def _find_files(folder: Path, kind: str) -> Iterator[Path]:
    for pattern in PATTERNS[kind]:
        # To `Path.glob`, "**" alone is all folders; Kedro means what lies in them, too.
        for file in folder.glob(f"{pattern}/*" if pattern.endswith("/**") else pattern):
            hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
            if file.is_file() and file.suffix in SUFFIXES and not hidden:
                yield file


def _contain(config: Any) -> dict[str, Any]:
    contained: Any = OmegaConf.to_container(config, resolve=True)
    return contained or {}


def _select(values: Any, path: str, *default: Any) -> Any:
    for key in str(path).split("."):
        values = values.get(key) if isinstance(values, dict) else None
    if values is None and not default:
        raise ConfigurationError(f"conf/*/globals.yml: there is no '{path}'.")
    return default[0] if values is None else values


def _select_default(path: str, *default: Any) -> Any:
    """``${runtime_params:name,default}``: the default, since no run has changed anything."""
    return _select({}, path, *default)
