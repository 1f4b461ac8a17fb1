"""What the commands share: errors in one line, tables, the project's configuration."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from image_classification.configuration.location import (
    PACKAGE,
    find_configuration,
    find_project_path,
)
from image_classification.errors import DataError, find_cause
from image_classification.progress import progress
from image_classification.text import escape_lines

if TYPE_CHECKING:
    import pandas as pd
    from kedro.framework.context import KedroContext
    from kedro.io import DataCatalog

    from image_classification.commands.table import Column
    from image_classification.configuration.loader import ReadOnceConfigLoader

# Kedro and pandas are imported where a command needs them: each takes half a second.

RUN_A_NIGHT = (
    "Deliver images (image-classification deliver FOLDER), and run a night: kedro run --pipelines "
    "retraining, or the DAG `retraining` in Airflow."
)
"""What to do where nothing is known yet."""

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def report_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command end with one line, not with a traceback, where the user can act on it."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except Exception as error:
            if (ours := find_cause(error)) is None:
                raise
            raise click.ClickException(escape_lines(str(ours))) from None

    return run


def show_table(
    table: pd.DataFrame,
    columns: Sequence[str],
    to: Path | None,
    view: Sequence[Column] = (),
    *,
    as_json: bool = False,
) -> None:
    """Print a table for whoever reads it, or write all of it to a file.

    Args:
        table: what is known.
        columns: those that are printed as CSV, and in a terminal where there is no `view`.
        to: the file; None to print.
        view: the columns that a person is shown.
        as_json: print all columns as JSON.

    Raises:
        DataError: the file's ending is neither .csv nor .parquet.
    """
    from image_classification.commands.table import is_terminal, print_rows, view_all
    from image_classification.datasets.spreadsheet import escape_table

    if to is None:
        if as_json or is_terminal():
            rows: Any = table.to_dict("records")
            print_rows(rows, columns, view or view_all(columns), as_json=as_json)
        else:  # an index has as many rows as there are images
            text = escape_table(table[list(columns)]).to_csv(index=False)
            click.echo(escape_lines(text), nl=False)
        return
    check_suffix(to)
    if to.suffix == ".csv":
        escape_table(table).to_csv(to, index=False)
    else:
        table.to_parquet(to, index=False)
    say(f"{len(table)} rows: {to}")


def say(text: str, *, err: bool = False) -> None:
    """Print text; nothing in it is a command to the terminal."""
    click.echo(escape_lines(text), err=err)


def check_suffix(to: Path) -> None:
    """Check that a table can be written to a file of this name.

    Raises:
        DataError: the ending is neither .csv nor .parquet.
    """
    if to.suffix not in (".csv", ".parquet"):
        raise DataError(f"'{to}' ends in '{to.suffix}': .csv and .parquet are allowed.")


def open_context(env: str | None = None) -> KedroContext:
    """Return the project's context: catalog, parameters, and MLflow pointed to its store."""
    from kedro.framework.session import KedroSession

    _prepare_kedro()
    return KedroSession.create(**_locate_project(), env=env).load_context()


def load_entry(context: KedroContext, name: str) -> Any:
    """Load one entry of the catalog.

    `context.catalog` would import the types of all entries, and TensorFlow with them: that takes
    four seconds, and its log would stand among the lines of the command.
    """
    return _open_entry(context, name).load(name)


def save_entry(context: KedroContext, name: str, data: Any) -> None:
    """Save one entry of the catalog, as `load_entry` loads it."""
    _open_entry(context, name).save(name, data)


def open_dataset(context: KedroContext, name: str) -> Any:
    """Return a dataset of the catalog, as `load_entry` loads it."""
    return _open_entry(context, name)[name]


def _open_entry(context: KedroContext, name: str) -> DataCatalog:
    from kedro.io import DataCatalog

    entry = context.config_loader["catalog"][name]
    return DataCatalog.from_config({name: entry})


def read_configuration() -> ReadOnceConfigLoader:
    """Return what reads `globals.yml` and the parameters, without a session.

    MLflow is left alone.
    """
    from image_classification.configuration.loader import (
        LOADER_ARGUMENTS,
        ReadOnceConfigLoader,
    )

    conf = str(find_configuration())
    return ReadOnceConfigLoader(conf, env=os.environ.get("KEDRO_ENV"), **LOADER_ARGUMENTS)


def run_pipeline(name: str, **parameters: Any) -> KedroContext:
    """Run a registered pipeline with some parameters changed; return its context."""
    from kedro.framework.session import KedroSession

    _prepare_kedro()
    session = KedroSession.create(**_locate_project(), runtime_params=parameters)
    with session:
        context: KedroContext = session.load_context()
        session.run(pipeline_names=[name])
    return context


def _locate_project() -> dict[str, Any]:
    return {"project_path": find_project_path(), "conf_source": str(find_configuration())}


@cache
def _prepare_kedro() -> None:
    """Let Kedro know the project and its settings, once in a process."""
    from kedro.framework.project import configure_project

    configure_project(PACKAGE)
    for handler in progress.handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stderr)  # a table may go to stdout
