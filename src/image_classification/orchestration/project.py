"""The project of a DAG: several may share the workers of one Airflow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from airflow.sdk import conf

from image_classification.configuration.location import (
    BASE,
    CONF,
    VARIABLE,
    find_configuration,
    find_project_path,
    open_configuration,
)
from image_classification.configuration.project import read_project
from image_classification.configuration.scope import UNNAMED, Scope, read_scope
from image_classification.machine.place import locate

SECTION = "image_classification"
"""Of Airflow's configuration: `AIRFLOW__IMAGE_CLASSIFICATION__<OPTION>`."""


def enter_project(project_path: str, configuration: str = "", environment: str = "") -> None:
    """Let whatever reads the configuration in this process read that of a DAG.

    Args:
        project_path: the folder of the DAG's project. Where it has a configuration, relative places
            lie below it, wherever the worker was started.
        configuration: an archive or folder that the DAG file names: it holds over the one that the
            environment of the process names, and over that of the project.
        environment: that the DAG file names, which holds likewise; "" for none.
    """
    if environment:
        os.environ["KEDRO_ENV"] = environment
    project = Path(project_path)
    if configuration:
        os.environ[VARIABLE] = locate(configuration, project)
        return
    is_another = (project / CONF / BASE).is_dir() and find_project_path() != project
    if is_another and not os.environ.get(VARIABLE):
        os.environ[VARIABLE] = str(project / CONF)


@dataclass
class Project:
    """A configuration and an environment that DAGs of this Airflow are of.

    Attributes:
        place: the folder of its environments, or an archive of it.
        environment: None for the one where none is asked for.
    """

    place: Path
    environment: str | None

    @cached_property
    def configuration(self) -> Path:
        """The folder that holds `base` and the environments."""
        return open_configuration(self.place)

    @cached_property
    def scope(self) -> Scope:
        """What the names of its DAGs begin with."""
        return read_scope(read_project(self.configuration, self.environment), self.environment)

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Let relative places lie below it, for a while."""
        before = os.environ.get(VARIABLE)
        if self.configuration != find_configuration():
            os.environ[VARIABLE] = str(self.place)
        try:
            yield
        finally:
            os.environ.pop(VARIABLE, None)
            if before is not None:
                os.environ[VARIABLE] = before


def list_projects() -> list[Project]:
    """Return the project of this process and its environments, and those that Airflow names.

    The option `projects` of the section `image_classification` of Airflow's configuration names
    their folders, or archives of their configuration, with commas between them. The first one is
    that of this process, in the environment that `KEDRO_ENV` names.

    Raises:
        ConfigurationError: a configuration that is named is none.
    """
    named = [each.strip() for each in conf.get(SECTION, "projects", fallback="").split(",")]
    usual = [
        Project(place, None) for place in (find_configuration(), *map(_locate, filter(None, named)))
    ]
    return [
        Project(usual[0].place, os.environ.get("KEDRO_ENV")),
        *usual,
        *(
            Project(project.place, environment)
            for project in usual
            for environment in _list_environments(project.configuration)
        ),
    ]


def _locate(named: str) -> Path:
    """Return the configuration in a project's folder, or what is named where it is one itself."""
    place = Path(named).expanduser()
    return place / CONF if (place / CONF / BASE).is_dir() else place


def _list_environments(configuration: Path) -> list[str]:
    return sorted(
        folder.name
        for folder in configuration.iterdir()
        if folder.is_dir() and not folder.name.startswith(".") and folder.name not in UNNAMED
    )
