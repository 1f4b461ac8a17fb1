"""Commands about single images: the index of all, and which model version saw which."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import click
import pandas as pd

from image_classification import words
from image_classification.champion import registry
from image_classification.commands.completion import complete_version
from image_classification.commands.console import (
    RUN_A_NIGHT,
    as_json_option,
    load_entry,
    open_context,
    report_errors,
    say,
    show_table,
)
from image_classification.commands.table import DIGITS, Column
from image_classification.configuration import names
from image_classification.errors import ImageClassificationError
from image_classification.intake import index
from image_classification.intake.correction import Correction, sort_corrections
from image_classification.intake.request import SHORTEST_ID, name_image

SHOWN = ["image_id", "path", "label", "patient", "captured_on", "batch", "split"]
"""Columns that are printed."""

PRESENT = "label_now"
"""Column of the label that holds now; "" where the image has none, or is not in the index."""


def _show_image(row: Mapping[str, Any]) -> str:
    return f"{row['image_id'][:DIGITS]}\n{row['path']}"


def _show_label(row: Mapping[str, Any]) -> str:
    now = row.get(PRESENT, row["label"])
    return f"{row['label']}" + ("" if now == row["label"] else f"\nnow {now or 'none'}")


def _show_group(row: Mapping[str, Any]) -> str:
    """Return what must not be split, unless it is the image alone; and the date of capture."""
    group = "" if row["patient"] == row["image_id"] else row["patient"]
    return f"{group}\n{row['captured_on'] or ''}".rstrip()


def view_images(*last: Column) -> list[Column]:
    """Return the columns of images in a terminal, which end with these."""
    return [
        Column("image", _show_image, whole=False),
        Column("label", _show_label, whole=False, widest=24),
        Column(
            words.current().group,
            _show_group,
            whole=False,
            widest=16,
        ),
        *last,
    ]


STATUS = Column("split", lambda row: f"{row['split'] or ''}\n{row['status']}".strip())
SPLIT = Column("split", lambda row: row["split"] or "")
VERSION = Column(
    "version",
    lambda row: f"v{row['version']}\n{row['aliases'].replace(',', ' ')}".strip(),
    whole=False,
    widest=10,
)


@click.command()
@click.option("--status", type=click.Choice(["accepted", "held", "rejected", "conflict"]))
@click.option("--to", type=click.Path(path_type=Path), help="A .parquet or .csv file.")
@as_json_option
@report_errors
def images(status: str | None, to: Path | None, as_json: bool) -> None:
    """List the index: one line per image, its status, batch and split."""
    table = index.settle_index(load_entry(open_context(), names.IMAGE_INDEX))
    if status:
        table = table[table["status"] == status]
    if table.empty:
        say(f"No image{f' is {status}' if status else ' yet'}. {RUN_A_NIGHT}", err=True)
    table = table[index.LOG_COLUMNS]
    show_table(table, [*SHOWN, "status"], to, view_images(STATUS), as_json=as_json)


@click.command()
@click.option(
    "--version",
    shell_complete=complete_version,
    help="List the images that this model version was made from.",
)
@click.option("--image", help="List the versions that saw this image: a file, its sha256 or path.")
@click.option("--split", type=click.Choice(index.SPLITS), help="Of the images listed.")
@click.option("--to", type=click.Path(path_type=Path), help="A .parquet or .csv file.")
@as_json_option
@report_errors
def lineage(
    version: str | None, image: str | None, split: str | None, to: Path | None, as_json: bool
) -> None:
    """Trace a model version to its images, or an image to the model versions that saw it.

    The column label is the one that the version has learned or was judged by, label_now the one
    that holds now. The history of an image's label is told beside the table.
    """
    if (version is None) == (image is None):
        raise click.UsageError("Give either --version or --image.")
    context = open_context()
    model_name = context.params["registered_model_name"]
    log = load_entry(context, names.IMAGE_INDEX)
    if version is not None:
        table = _add_present(registry.read_images(model_name, version), log)
        table = table if split is None else table[table["split"] == split]
        if table.empty:
            say(f"Version {version} saw no image in the split {split}.", err=True)
        show_table(table, [*SHOWN, PRESENT], to, view_images(SPLIT), as_json=as_json)
        return
    rows = _add_present(_trace_image(model_name, str(image)), log)
    if rows.empty:
        say(
            f"No version of '{model_name}' saw '{image}'. Which images are known, and what became "
            "of each: image-classification images",
            err=True,
        )
    columns = ["version", "aliases", *SHOWN, PRESENT]
    show_table(rows, columns, to, [VERSION, *view_images(SPLIT)], as_json=as_json)
    known = log[log["status"] != index.STATED]
    ids = {*rows["image_id"], *known.loc[match_image(known, str(image)), "image_id"]}
    records = sort_corrections(load_entry(context, names.LABEL_CORRECTIONS))
    for line in [*tell_history(ids, records), *tell_learned(rows)]:
        say(line, err=True)


def _add_present(table: pd.DataFrame, log: pd.DataFrame) -> pd.DataFrame:
    """Return images with the label that each has now, "" for none."""
    settled = index.settle_same(log, table["image_id"])
    labels = dict(zip(settled["image_id"], settled["label"], strict=True))
    return table.assign(**{PRESENT: [labels.get(name, "") for name in table["image_id"]]})


def tell_history(image_ids: Collection[str], records: Iterable[Correction]) -> list[str]:
    """Return how the labels of images were corrected, a sentence each, in the order of time."""
    return [
        f"{record['at'][:19].replace('T', ' ')} UTC, {record['by']} ({record['how']}): "
        f"{change['before'] or 'no label'} → {change['after'] or 'no label'}: {record['reason']}"
        for record in records
        for change in record["labels"]
        if change["image_id"] in image_ids
    ]


def tell_learned(rows: pd.DataFrame) -> list[str]:
    """Return which versions have learned, or were judged by, a label that holds no longer."""
    outdated = rows[rows["label"] != rows[PRESENT]]
    said = []
    for (label, split), group in outdated.groupby(["label", "split"]):
        versions = ", ".join(f"v{version}" for version in dict.fromkeys(group["version"]))
        done = "learned" if split == "train" else f"judged by, in {split}"
        said.append(f"{label} holds no longer; {done}: {versions}")
    return said


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
    name = name_image(image)
    matches = (table["path"] == name) | (table["image_name"] == name)
    if len(name) >= SHORTEST_ID:
        matches |= table["image_id"].str.startswith(name)
    return matches
