"""Project commands of Kedro: ours, and `kedro airflow create` with our template and folder."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from kedro.framework.session import KedroSession
from kedro.framework.startup import ProjectMetadata
from kedro_airflow.plugin import create as create_dags

from image_classification.commands.group import VerbGroup
from image_classification.configuration.loader import LOADER_ARGUMENTS, ReadOnceConfigLoader
from image_classification.configuration.plain import DEFAULT
from image_classification.configuration.scope import Scope, read_scope
from image_classification.errors import ConfigurationError, name_near_misses
from image_classification.machine.environment import an_airflow_of_its_own

TEMPLATE = "airflow/dag_template.py.j2"
FOLDER = "dags"


@click.group(cls=VerbGroup, name="Image Classification")
def cli() -> None:
    """Commands of this project."""


@cli.group(name="airflow")
def airflow_commands() -> None:
    """Run the project with Airflow."""


def _with_project_defaults(command: click.Command) -> click.Command:
    """Return kedro-airflow's command with our template and folder where none is given."""
    ours = copy.copy(command)
    ours.params = [copy.copy(param) for param in command.params]
    for param in ours.params:
        if param.name == "target_path":
            param.default = FOLDER
        elif param.name == "jinja_file":
            param.default = lambda: str(click.get_current_context().obj.project_path / TEMPLATE)
    ours.callback = _create
    return ours


@click.pass_context
def _create(context: click.Context, /, **options: Any) -> None:
    metadata: ProjectMetadata = context.obj
    try:
        with an_airflow_of_its_own():
            loader = check_airflow_settings(metadata.project_path, options["env"])
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None
    scope = read_scope(loader.project, options["env"])
    if scope.prefix:
        options["params"] = {**options["params"], "scope": scope}
    if scope.project:
        # The plugin names files after the package.
        context.obj = metadata._replace(package_name=f"{metadata.package_name}_{scope.project}")
    if scope.environment and (shared := list_shared(loader)):
        click.secho(
            f"The environments '{scope.environment}' and '{DEFAULT}' share {', '.join(shared)}. "
            "Give the project a `name` in conf/base/project.yml: then each environment has its "
            "own (docs/environments.md).",
            fg="yellow",
            err=True,
        )
    try:
        check_files(context.obj, Path(options["target_path"]), options["env"], scope)
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None
    if create_dags.callback is not None:
        create_dags.callback(**options)


def check_files(metadata: ProjectMetadata, folder: Path, env: str, scope: Scope) -> None:
    """Refuse to write over the DAG files of another project or environment.

    Of `leaves` in the environment `production`, and of a project `leaves_production`, the plugin
    gives the files the same names.

    Args:
        metadata: with the package that files are named after.
        folder: where they are written; relative to the project.
        env: the environment.
        scope: what the names of the DAGs begin with.

    Raises:
        ConfigurationError: there is such a file.
    """
    from kedro.framework.project import pipelines  # noqa: PLC0415

    begins = metadata.package_name + ("" if env == DEFAULT else f"_{env}")
    own = f"scope={scope!r}," if scope.prefix else ""
    for pipeline in pipelines:
        file = metadata.project_path / folder / f"{begins}_{pipeline}_dag.py"
        text = file.read_text(encoding="utf-8") if file.exists() else own
        if own not in text or ("scope=" in text and not own):
            raise ConfigurationError(
                f"'{file}' is a DAG of another project or environment than "
                f"{scope.describe() or 'one without a name'}. Choose another name in "
                "conf/base/project.yml, or another folder: --target-dir."
            )


def list_shared(loader: ReadOnceConfigLoader) -> list[str]:
    """Return what an environment keeps in the same place as the one where none is asked for."""
    usual = ReadOnceConfigLoader(str(loader.conf_source), **LOADER_ARGUMENTS)

    def locate(one: ReadOnceConfigLoader) -> dict[str, Any]:
        server = one["mlflow"]["server"]["mlflow_tracking_uri"]
        experiment = one["mlflow"]["tracking"]["experiment"]["name"]
        model = one["globals"]["registered_model_name"]
        root = one["globals"]["storage_root"]
        return {
            f"the storage {root}": root,
            f"the experiment '{experiment}'": (server, experiment),
            f"the registered model '{model}'": (server, model),
        }

    theirs = locate(usual).values()
    return [what for what, place in locate(loader).items() if place in theirs]


def check_airflow_settings(project_path: Path, env: str | None = None) -> ReadOnceConfigLoader:
    """Check the DAG settings of a project; return the configuration.

    Raises:
        ConfigurationError: see `check_settings`.
    """
    session = KedroSession.create(project_path=project_path, env=env)
    loader: Any = session.load_context().config_loader
    settings = loader["airflow"]
    from kedro.framework.project import pipelines  # noqa: PLC0415

    check_settings(settings, list(pipelines))
    from image_classification.orchestration import task_id  # noqa: PLC0415
    from image_classification.orchestration.part import PARTS  # noqa: PLC0415
    from image_classification.orchestration.settings import check_tasks  # noqa: PLC0415

    nodes = [node for pipeline in pipelines.values() for node in pipeline.nodes]
    around = [name for key, name in vars(task_id).items() if key.isupper()]
    check_tasks(
        settings,
        [*around, *(part.name for part in PARTS), *(node.name for node in nodes)],
        {tag for node in nodes for tag in node.tags},
    )
    return loader  # type: ignore[no-any-return]


def check_settings(settings: Mapping[str, Any], pipelines: Sequence[str]) -> None:
    """Check the settings of the DAG of each pipeline.

    Raises:
        ConfigurationError: a pipeline is unknown, a key is unknown or missing, or a value is not
            allowed.
    """
    # Here, not above: importing Airflow takes seconds, and `kedro run` needs none of it.
    from image_classification.orchestration.settings import read_settings  # noqa: PLC0415

    allowed = [*pipelines, "default"]
    for name in settings:
        if name not in allowed:
            raise ConfigurationError(
                f"conf/*/airflow.yml: '{name}' is no registered pipeline. Allowed: "
                f"{', '.join(allowed)}.{name_near_misses(name, allowed)}"
            )
    for name in pipelines:
        merged = {**settings.get("default", {}), **settings.get(name, {})}
        read_settings(name, merged).check_schedule()


airflow_commands.add_command(_with_project_defaults(create_dags), name="create")
