"""What the commands share: errors as one line, tables as CSV, the project's context."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
import pandas as pd
from kedro.framework.context import KedroContext
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog, DatasetError

from image_classification.configuration.resolvers import find_project_path
from image_classification.errors import DataError, ImageClassificationError


def report_errors(command: Callable[..., None]) -> Callable[..., None]:
    """End with one line instead of a traceback where the user can act on it."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except (ImageClassificationError, DatasetError) as error:
            if (ours := _unwrap(error)) is None:
                raise
            raise click.ClickException(str(ours)) from None

    return run


def _unwrap(error: BaseException | None) -> ImageClassificationError | None:
    """Return the error of ours that Kedro's catalog has wrapped into its own, or None."""
    while error is not None and not isinstance(error, ImageClassificationError):
        error = error.__cause__
    return error


def show_table(table: pd.DataFrame, columns: list[str], to: Path | None) -> None:
    """Print a table as CSV, or write all of it to a file.

    Raises:
        DataError: the file's ending is neither .csv nor .parquet.
    """
    if to is None:
        click.echo(table[columns].to_csv(index=False), nl=False)
        return
    check_suffix(to)
    table.to_csv(to, index=False) if to.suffix == ".csv" else table.to_parquet(to, index=False)
    click.echo(f"{len(table)} rows: {to}")


def check_suffix(to: Path) -> None:
    """Check that a table can be written to a file.

    Raises:
        DataError: its ending is neither .csv nor .parquet.
    """
    if to.suffix not in (".csv", ".parquet"):
        raise DataError(f"'{to}' ends in '{to.suffix}': .csv and .parquet are allowed.")


def open_context() -> KedroContext:
    """Return the project's context: catalog, parameters, and MLflow pointed to its store."""
    project_path = find_project_path()
    bootstrap_project(project_path)
    return KedroSession.create(project_path=project_path).load_context()


def load_entry(context: KedroContext, name: str) -> Any:
    """Load one entry of the catalog.

    Through `context.catalog` the types of all entries would be imported, TensorFlow among them:
    four seconds, and lines of its log between those of a command.
    """
    entry = context.config_loader["catalog"][name]
    return DataCatalog.from_config({name: entry}).load(name)


def run_pipeline(name: str, **parameters: Any) -> KedroContext:
    """Run a registered pipeline with some parameters changed; return its context."""
    project_path = find_project_path()
    bootstrap_project(project_path)
    session = KedroSession.create(project_path=project_path, runtime_params=parameters)
    with session:
        context: KedroContext = session.load_context()
        session.run(pipeline_names=[name])
    return context
