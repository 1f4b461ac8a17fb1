"""The command `image-classification`; `kedro` knows the same verbs."""

from __future__ import annotations

import getpass
import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import click
import pandas as pd
from kedro.framework.context import KedroContext
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from image_classification import delivery, index, registry
from image_classification.errors import DataError, ImageClassificationError
from image_classification.resolvers import find_project_path

SHOWN = ["image_id", "path", "label", "patient", "captured_on", "batch", "split"]
SHORTEST_ID = 8


def _report_errors(command: Callable[..., None]) -> Callable[..., None]:
    """End with one line instead of a traceback where the user can act on it."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except ImageClassificationError as error:
            raise click.ClickException(str(error)) from None

    return run


@click.group(name="Image Classification")
def commands() -> None:
    """Deliver images, see what became of them, answer reviews, trace models."""


@commands.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", help="Of the batch; else the date and the name of PATH.")
@click.option("--labelled-by", help="Who labelled the images, where there is no labels.csv.")
@_report_errors
def deliver(path: Path, name: str | None, labelled_by: str | None) -> None:
    """Put PATH, a folder with a sub-folder per class or a zip of one, into the incoming folder.

    The batch appears there whole, and the next intake takes it in. PATH stays as it is.
    """
    source = delivery.Source(path)
    incoming = read_globals()["incoming"]
    batch = delivery.deliver(source, incoming, name, labelled_by=labelled_by)
    click.echo(f"Delivered {len(source.files)} images as batch '{batch}' to {incoming}")


@commands.command()
@_report_errors
def batches() -> None:
    """List the batches: what became of each, and why."""
    catalog = open_context().catalog
    log = catalog.load("image_index")
    for name in catalog.load("image_batches").names():
        record = catalog.load("batch_screenings").get(name)
        status = log.loc[log["batch"] == name, "status"]
        verdict = "taken in, not judged yet" if record is None else record["verdict"]
        answered = log.loc[log["batch"] == name, ["status", "reviewed_by", "review_reason"]]
        if len(answered) and answered["reviewed_by"].iloc[-1]:
            verdict = "{}, after a review by {}: {}".format(*answered.iloc[-1])
        click.echo(f"{name}: {verdict} ({len(status.index)} images)")
        for reason in record["reasons"] if record else []:
            click.echo(f"  - {reason}")
    for batch in catalog.load("incoming_batches").batches:
        click.echo(f"{batch.delivered_as}: in the incoming folder")


@commands.command()
@click.argument("batch")
@click.option("--accept", "answer", flag_value="accept", help="Let it join the training set.")
@click.option("--reject", "answer", flag_value="reject", help="Never train on it.")
@click.option("--by", default=getpass.getuser, show_default="your user name", help="Who answers.")
@click.option("--reason", default="", help="Why; kept with the images.")
@_report_errors
def review(batch: str, answer: str | None, by: str, reason: str) -> None:
    """Show why BATCH is held, or answer: --accept or --reject, with a --reason.

    Works without Airflow, and for any batch: an accepted one that is rejected later is trained on
    no more.
    """
    params = {"batch": batch, "answer": answer or "", "by": by, "reason": reason}
    project_path = find_project_path()
    bootstrap_project(project_path)
    session = KedroSession.create(project_path=project_path, runtime_params={"review": params})
    with session:
        catalog = session.load_context().catalog
        session.run(pipeline_names=["review"])
    if answer:
        click.echo(f"Recorded: {answer} '{batch}', by {by}. The next intake carries it out.")
    else:
        click.echo(catalog.load("review_summary"))
        click.echo(f"\nContact sheet: {catalog['review_sheet']._filepath}")


@commands.command()
@click.option("--status", type=click.Choice(["accepted", "held", "rejected", "conflict"]))
@click.option("--to", type=click.Path(path_type=Path), help="A .parquet or .csv file.")
@_report_errors
def images(status: str | None, to: Path | None) -> None:
    """List the index: one line per image, its status, batch and split."""
    table = index.settle_index(open_context().catalog.load("image_index"))
    if status:
        table = table[table["status"] == status]
    _show(table[index.LOG_COLUMNS], [*SHOWN, "status"], to)


@commands.command()
@click.option("--version", help="List the images that this model version was made from.")
@click.option("--image", help="List the versions that saw this image: a file, its sha256 or path.")
@click.option("--split", type=click.Choice(index.SPLITS), help="Of the images listed.")
@click.option("--to", type=click.Path(path_type=Path), help="A .parquet or .csv file.")
@_report_errors
def lineage(version: str | None, image: str | None, split: str | None, to: Path | None) -> None:
    """Trace a model version to its images, or an image to the model versions that saw it."""
    if (version is None) == (image is None):
        raise click.UsageError("Give either --version or --image.")
    model_name = open_context().params["registered_model_name"]
    if version is not None:
        table = registry.read_images(model_name, version)
        _show(table if split is None else table[table["split"] == split], SHOWN, to)
        return
    rows = _trace_image(model_name, str(image))
    if rows.empty:
        click.echo(f"No version of '{model_name}' saw '{image}'.")
    else:
        _show(rows, ["version", "aliases", *SHOWN], to)


def _trace_image(model_name: str, image: str) -> pd.DataFrame:
    """Return a row for each version that saw an image: as what, and in which split."""
    rows = []
    for version in registry.list_versions(model_name):
        try:
            table = registry.read_images(model_name, str(version.version))
        except ImageClassificationError as error:
            click.echo(f"Left out: {error}", err=True)
            continue
        found = table[_match_image(table, image)]
        rows.append(found[SHOWN].assign(version=version.version, aliases=",".join(version.aliases)))
    columns = ["version", "aliases", *SHOWN]
    return pd.concat(rows)[columns] if rows else pd.DataFrame(columns=columns)


def _match_image(table: pd.DataFrame, image: str) -> pd.Series:
    if Path(image).is_file():
        return table["image_id"] == hashlib.sha256(Path(image).read_bytes()).hexdigest()
    matches = (table["path"] == image) | (table["image_name"] == image)
    if len(image) >= SHORTEST_ID:
        matches |= table["image_id"].str.startswith(image)
    return matches


def _show(table: pd.DataFrame, columns: list[str], to: Path | None) -> None:
    """Print a table as CSV, or write all of it to a file.

    Raises:
        DataError: the file's ending is neither .csv nor .parquet.
    """
    if to is None:
        click.echo(table[columns].to_csv(index=False), nl=False)
        return
    if to.suffix not in (".csv", ".parquet"):
        raise DataError(f"'{to}' ends in '{to.suffix}': .csv and .parquet are allowed.")
    table.to_csv(to, index=False) if to.suffix == ".csv" else table.to_parquet(to, index=False)
    click.echo(f"{len(table)} rows: {to}")


def open_context() -> KedroContext:
    """Return the project's context: catalog, parameters, and MLflow pointed to its store."""
    project_path = find_project_path()
    bootstrap_project(project_path)
    return KedroSession.create(project_path=project_path).load_context()


def read_globals() -> Mapping[str, Any]:
    """Return `globals.yml` as it stands, without MLflow."""
    from kedro.config import OmegaConfigLoader  # noqa: PLC0415

    from image_classification.settings import CONFIG_LOADER_ARGS  # noqa: PLC0415

    loader = OmegaConfigLoader(
        conf_source=str(find_project_path() / "conf"),
        env=os.environ.get("KEDRO_ENV"),
        **CONFIG_LOADER_ARGS,  # type: ignore[arg-type]
    )
    known: Mapping[str, Any] = loader["globals"]
    return known


def main() -> None:
    """Run `image-classification`."""
    project_path = find_project_path()
    os.environ.setdefault("KEDRO_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault(
        "KEDRO_LOGGING_CONFIG", str(project_path / "airflow" / "kedro_logging.yml")
    )
    sys.exit(commands(prog_name="image-classification"))
