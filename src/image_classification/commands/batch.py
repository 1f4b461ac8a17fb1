"""Commands about images and batches: deliver, look, answer, trace."""

from __future__ import annotations

import getpass
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pandas as pd

from image_classification.champion import registry
from image_classification.commands.console import (
    load_entry,
    open_context,
    report_errors,
    run_pipeline,
    show_table,
)
from image_classification.configuration import names
from image_classification.configuration.resolvers import find_project_path
from image_classification.datasets import delivery
from image_classification.errors import ImageClassificationError
from image_classification.intake import index
from image_classification.vendor.kedro import locate_file

SHOWN = ["image_id", "path", "label", "patient", "captured_on", "batch", "split"]

SHORTEST_ID = 8


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", help="Of the batch; else the date and the name of PATH.")
@click.option("--labelled-by", help="Who labelled the images, where there is no labels.csv.")
@report_errors
def deliver(path: Path, name: str | None, labelled_by: str | None) -> None:
    """Put PATH, a folder with a sub-folder per class or a zip of one, into the incoming folder.

    The batch appears there whole, and the next intake takes it in. PATH stays as it is.
    """
    source = delivery.Source(path)
    incoming = read_globals()["incoming"]
    batch = delivery.deliver(source, incoming, name, labelled_by=labelled_by)
    click.echo(f"Delivered {len(source.files)} images as batch '{batch}' to {incoming}")


@click.command()
@report_errors
def batches() -> None:
    """List the batches: what became of each, and why."""
    context = open_context()
    log = load_entry(context, names.IMAGE_INDEX)
    screenings = load_entry(context, names.BATCH_SCREENINGS)
    for name in load_entry(context, names.IMAGE_BATCHES).names():
        record = screenings.get(name)
        # An image whose status has changed has a row for each.
        rows = log[log["batch"] == name].drop_duplicates("path", keep="last")
        verdict = "taken in, not judged yet" if record is None else record["verdict"]
        answered = rows[["status", "reviewed_by", "review_reason"]]
        if len(answered) and answered["reviewed_by"].iloc[-1]:
            verdict = "{}, after a review by {}: {}".format(*answered.iloc[-1])
        click.echo(f"{name}: {verdict} ({len(rows)} images)")
        for reason in record["reasons"] if record else []:
            click.echo(f"  - {reason}")
    for batch in load_entry(context, names.INCOMING_BATCHES).batches:
        click.echo(f"{batch.delivered_as}: in the incoming folder")


@click.command()
@click.argument("batch")
@click.option("--accept", "answer", flag_value="accept", help="Let it join the training set.")
@click.option("--reject", "answer", flag_value="reject", help="Never train on it.")
@click.option("--by", default=getpass.getuser, show_default="your user name", help="Who answers.")
@click.option("--reason", default="", help="Why; kept with the images.")
@report_errors
def review(batch: str, answer: str | None, by: str, reason: str) -> None:
    """Show why BATCH is held, or answer: --accept or --reject, with a --reason.

    Works without Airflow, and for any batch: an accepted one that is rejected later is trained on
    no more.
    """
    params = {"batch": batch, "answer": answer or "", "by": by, "reason": reason}
    catalog = run_pipeline("review", review=params).catalog
    if answer:
        click.echo(f"Recorded: {answer} '{batch}', by {by}. The next intake carries it out.")
    else:
        click.echo(catalog.load(names.REVIEW_SUMMARY))
        click.echo(f"\nContact sheet: {locate_file(catalog[names.REVIEW_SHEET])}")


@click.command()
@click.option("--status", type=click.Choice(["accepted", "held", "rejected", "conflict"]))
@click.option("--to", type=click.Path(path_type=Path), help="A .parquet or .csv file.")
@report_errors
def images(status: str | None, to: Path | None) -> None:
    """List the index: one line per image, its status, batch and split."""
    table = index.settle_index(load_entry(open_context(), names.IMAGE_INDEX))
    if status:
        table = table[table["status"] == status]
    show_table(table[index.LOG_COLUMNS], [*SHOWN, "status"], to)


@click.command()
@click.option("--version", help="List the images that this model version was made from.")
@click.option("--image", help="List the versions that saw this image: a file, its sha256 or path.")
@click.option("--split", type=click.Choice(index.SPLITS), help="Of the images listed.")
@click.option("--to", type=click.Path(path_type=Path), help="A .parquet or .csv file.")
@report_errors
def lineage(version: str | None, image: str | None, split: str | None, to: Path | None) -> None:
    """Trace a model version to its images, or an image to the model versions that saw it."""
    if (version is None) == (image is None):
        raise click.UsageError("Give either --version or --image.")
    model_name = open_context().params["registered_model_name"]
    if version is not None:
        table = registry.read_images(model_name, version)
        show_table(table if split is None else table[table["split"] == split], SHOWN, to)
        return
    rows = _trace_image(model_name, str(image))
    if rows.empty:
        click.echo(f"No version of '{model_name}' saw '{image}'.")
    else:
        show_table(rows, ["version", "aliases", *SHOWN], to)


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


def read_globals() -> Mapping[str, Any]:
    """Return `globals.yml` as it stands, without MLflow."""
    from kedro.config import OmegaConfigLoader  # noqa: PLC0415

    from image_classification.configuration.loader import LOADER_ARGUMENTS  # noqa: PLC0415

    loader = OmegaConfigLoader(
        conf_source=str(find_project_path() / "conf"),
        env=os.environ.get("KEDRO_ENV"),
        **LOADER_ARGUMENTS,
    )
    known: Mapping[str, Any] = loader["globals"]
    return known
