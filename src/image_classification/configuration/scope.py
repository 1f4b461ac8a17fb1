"""What keeps projects and environments apart that share one Airflow, one MLflow and one storage.

A project that has a `name` in `project.yml` has DAGs, assets, pools, an experiment, a registered
model and a folder of the storage of that name; so has each of its environments. A project without
one shares all of them with whoever uses the same, as before there were names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image_classification.configuration.location import find_project_path
from image_classification.errors import ConfigurationError
from image_classification.machine.place import locate

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
"""Of a project: it stands in ids of Airflow, names of MLflow, paths and addresses of buckets."""

FOLDERS = (
    *("forgotten", "hindsight", "images", "incoming", "index", "keys", "ledger", "logs"),
    *("mlflow", "pages", "pixels", "references", "runs", "trend"),
)
"""Folders of a storage: a project of such a name would lie in that of one without a name."""

UNNAMED = ("", "local", "base")
"""Environments that add nothing to a name: the ones where no other is asked for."""


@dataclass(frozen=True)
class Scope:
    """A project and an environment.

    Attributes:
        project: its name; "" for none.
        environment: "" for the one where none is asked for.
    """

    project: str = ""
    environment: str = ""

    @property
    def parts(self) -> list[str]:
        """Those of the two that there are."""
        return [part for part in (self.project, self.environment) if part]

    @property
    def prefix(self) -> str:
        """Both, as in ``leaves-production``; "" for neither."""
        return "-".join(self.parts)

    def describe(self) -> str:
        """Return both in words."""
        said = {"Project": self.project, "Environment": self.environment}
        named = [f"{what} `{name}`" for what, name in said.items() if name]
        return ", ".join(named).replace(", E", ", e")

    def name(self, word: str) -> str:
        """Return a name that no other scope has, as in ``leaves-production-retraining``."""
        return f"{self.prefix}-{word}" if self.prefix else word

    def locate(self, place: str) -> str:
        """Return the folder of this scope below a place, a path or a URL."""
        return f"{place.rstrip('/')}/{self.prefix}" if self.prefix else place


SHARED = Scope()
"""Of a project without a name, in the environment where none is asked for."""


def read_scope(project: Mapping[str, Any], environment: str | None) -> Scope:
    """Return the scope of DAGs: the environment counts whether or not the project has a name.

    Args:
        project: the project file.
        environment: its name; None for the one where none is asked for.
    """
    told = environment or ""
    return Scope(project.get("name") or "", "" if told in UNNAMED else told)


def read_data_scope(project: Mapping[str, Any], environment: str | None) -> Scope:
    """Return the scope of storage, experiment and model: that of a project that has a name."""
    return read_scope(project, environment) if project.get("name") else SHARED


def check_name(name: Any, file: Path) -> None:
    """Check the name of a project.

    Args:
        name: None for a project without one.
        file: that says so, in the folder of an environment, or named by a variable.

    Raises:
        ConfigurationError: it cannot be one, or means something else already.
    """
    if name is not None and not (isinstance(name, str) and NAME.fullmatch(name)):
        raise ConfigurationError(
            f"{file}: 'name' stands in ids and addresses: a small letter, then up to 39 small "
            f"letters, digits and _; or null. Received: {name!r}."
        )
    if name in FOLDERS:
        raise ConfigurationError(
            f"{file}: 'name' cannot be '{name}': each storage has a folder of that name. So have "
            f"{', '.join(FOLDERS)}."
        )


def check_environments(name: Any, conf: Path) -> None:
    """Check that a project is not called like an environment.

    The DAGs of one without a name are called by their environment.

    Args:
        name: None for a project without one.
        conf: the folder of the environments.

    Raises:
        ConfigurationError: it is.
    """
    if name and (conf / name).is_dir():
        raise ConfigurationError(
            f"{conf}: the project has the name '{name}', and so has an environment. A project "
            "without a name would have the same DAGs there: choose another name."
        )


def make_resolvers(
    project: Mapping[str, Any], environment: str | None
) -> dict[str, Callable[..., Any]]:
    """Return what YAML files may call to stay apart.

    - ``${own_name:word}``: the word, after the name of the project and its environment.
    - ``${own_folder:place}``: the folder of that name below a place.
    - ``${own_place:VARIABLE,default}``: the folder of that name below the place that a variable
      names; the default as it is.
    - ``${own_dags:}``: what the ids of the DAGs begin with.

    Args:
        project: the project file.
        environment: its name; None for the one where none is asked for.
    """
    scope, dags = read_data_scope(project, environment), read_scope(project, environment)

    def own_place(variable: str, default: str) -> str:
        base = find_project_path()
        named = os.environ.get(variable)
        return scope.locate(locate(named, base)) if named else locate(default, base)

    return {
        "own_name": scope.name,
        "own_folder": scope.locate,
        "own_place": own_place,
        "own_dags": lambda: dags.name(""),
    }
