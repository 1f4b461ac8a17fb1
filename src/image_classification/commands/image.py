"""Commands about single images: the index of all, and which model version saw which."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click
import pandas as pd

from image_classification.champion import registry
from image_classification.commands.console import (
    load_entry,
    open_context,
    report_errors,
    say,
    show_table,
)
from image_classification.configuration import names
from image_classification.errors import ImageClassificationError
from image_classification.intake import index

SHOWN = ["image_id", "path", "label", "patient", "captured_on", "batch", "split"]
"""Columns that are printed."""

SHORTEST_ID = 8
"""Digits of a sha256 that are enough to name an image."""


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
        say(f"No version of '{model_name}' saw '{image}'.")
    else:
        show_table(rows, ["version", "aliases", *SHOWN], to)


def _trace_image(model_name: str, image: str) -> pd.DataFrame:
    """Return a row for each version that saw an image: as what, and in which split."""
    rows = []
    for version in registry.list_versions(model_name):
        try:
            table = registry.read_images(model_name, str(version.version))
        except ImageClassificationError as error:
            say(f"Left out: {error}", err=True)
            continue
        found = table[match_image(table, image)]
        rows.append(found[SHOWN].assign(version=version.version, aliases=",".join(version.aliases)))
    columns = ["version", "aliases", *SHOWN]
    return pd.concat(rows)[columns] if rows else pd.DataFrame(columns=columns)


def match_image(table: pd.DataFrame, image: str) -> pd.Series:
    """Return which rows are of an image: named by its file, path, name, or start of its sha256."""
    if Path(image).is_file():
        return table["image_id"] == hashlib.sha256(Path(image).read_bytes()).hexdigest()
    matches = (table["path"] == image) | (table["image_name"] == image)
    if len(image) >= SHORTEST_ID:
        matches |= table["image_id"].str.startswith(image)
    return matches
