"""Commands about batches: deliver one, see what became of each, answer for one that is held."""

from __future__ import annotations

import getpass
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from image_classification.commands.completion import complete_batch
from image_classification.commands.console import (
    as_json_option,
    load_entry,
    open_context,
    read_configuration,
    report_errors,
    run_pipeline,
    save_entry,
    say,
)
from image_classification.commands.lookup import Lookup
from image_classification.commands.table import Column, is_terminal, print_json, print_view
from image_classification.configuration import names
from image_classification.datasets.fault import describe_error
from image_classification.datasets.file import encode_name
from image_classification.errors import DataError
from image_classification.intake.measure import HEADINGS, read_measures
from image_classification.intake.overview import Overview, Row, survey_batches
from image_classification.intake.tally import describe_tally, tally_batch

COUNTED = ("Refused: ", "Left out: ")
"""How the notes of a screening begin that say what was not used."""

ASKED = (
    "{} known images have another label here, and keep theirs until it is answered: "
    "image-classification review {} --labels"
)
PAIRED = (
    "{} files lie under two labels each, and are trained on under neither: "
    "image-classification relabel"
)


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", help="Of the batch; without it, the date and the name of PATH.")
@click.option("--labelled-by", help="Who labelled the images, if there is no labels.csv.")
@click.option("--dry-run", is_flag=True, help="Show what is there, and deliver nothing.")
@report_errors
def deliver(path: Path, name: str | None, labelled_by: str | None, *, dry_run: bool) -> None:
    """Put PATH, a folder with a sub-folder per class or a zip of one, into the incoming folder.

    First it shows what is there: classes, groups and dates as the names tell them, kinds of
    files, what the intake would refuse and why, and what is left out. Then the batch appears in the
    incoming folder as a whole, and the next intake takes it in. PATH stays as it is.

    Of a folder that is copied there by other means, only the marker _READY proves that all of it is
    there; a copy that broke off and lies unchanged is taken for a batch that is complete.
    """
    from image_classification.datasets import delivery
    from image_classification.datasets.folder import describe_left_out
    from image_classification.datasets.neighbour import mark_folder
    from image_classification.intake.preview import preview_batch

    loader = read_configuration()
    parameters = loader["parameters"]["data_processing"]
    source = delivery.Source(path, parameters["arrival"])
    try:
        contents = source.read(source.files)
        files = (encode_name(str(file)) for file in source.files)
        said, breaches = preview_batch(zip(files, contents, strict=True), parameters)
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {describe_error(error)}.") from error
    say(f"'{path}' holds {len(source.files)} images:")
    for line in [*said, *describe_left_out(source.left_out)]:
        say(f"  {line}")
    for line in filter(None, [*breaches, source.find_label_fault()]):
        say(f"  The intake would quarantine it: {line}")
    if dry_run:
        return
    incoming = loader["globals"]["incoming"]
    if prefix := loader.scope.prefix:
        with suppress(OSError):  # who delivers may write a batch, and nothing else
            mark_folder(incoming, prefix)
    batch = delivery.deliver(source, incoming, name, labelled_by=labelled_by)
    say(f"Delivered {len(source.files)} images as batch '{batch}' to {incoming}")


def _describe(batch: dict[str, Any]) -> str:
    """Return what became of a batch, in a line."""
    taken = batch["images"] is not None
    return f"{batch['status']} ({batch['images']} images)" if taken else batch["status"]


VIEW = (
    Column("batch", lambda row: row["batch"], whole=False),
    Column("images", lambda row: "" if row["images"] is None else str(row["images"]), right=True),
    Column("what became of it", lambda row: "\n".join([row["status"], *row["why"]]), whole=False),
)
"""Columns of the batches in a terminal."""


MEASURED = (
    Column(HEADINGS[0], lambda row: row["title"], whole=False),
    *(
        Column(title, lambda row, key=key: row[key], right=True, whole=False)  # type: ignore[misc]
        for title, key in zip(HEADINGS[1:], ("found", "usual", "limit"), strict=True)
    ),
    Column("", lambda row: "beyond it" if row["is_beyond"] else ""),
)
"""Columns of what was measured of a batch."""


@click.command()
@as_json_option
@report_errors
def batches(as_json: bool) -> None:
    """List the batches: what became of each, and why."""
    lookup = Lookup()
    found = [*_list_taken(lookup), *_list_incoming(lookup)]
    if as_json:
        print_json(found)
    elif is_terminal():
        print_view(found, VIEW)
    else:
        for batch in found:
            say("\n  - ".join([f"{batch['batch']}: {_describe(batch)}", *batch["why"]]))
    if not found:
        say("No batch yet: image-classification deliver FOLDER", err=True)


def _list_taken(lookup: Lookup) -> Iterator[dict[str, Any]]:
    """Yield what is known of each batch that was taken in."""
    rows = lookup.read_columns(names.IMAGE_INDEX, Row._fields)
    corrections = lookup.read_records(names.LABEL_CORRECTIONS)
    known = survey_batches(list(map(Row._make, rows)), corrections)
    screenings = lookup.read_records(names.BATCH_SCREENINGS)
    for name in lookup.list_batches():
        record, own = screenings.get(name), known.get(name, Overview())
        status = "taken in, not judged yet" if record is None else record["verdict"]
        if own.status and own.status["reviewed_by"]:
            said = "{status}, after a review by {reviewed_by}: {review_reason}"
            status = said.format(**own.status)
        why = [] if record is None else _explain(name, record, own)
        yield {"batch": name, "status": status, "images": own.files, "why": why}


def _explain(batch: str, record: dict[str, Any], own: Overview) -> list[str]:
    """Return why, what became of all that was found in a batch, and what waits for an answer."""
    counts = tally_batch(record, own.statuses.elements(), own.opposed)
    return [
        *record["reasons"],
        # Where all that was found are images of one status, the first line says it.
        *([describe_tally(counts)] if len(counts) > 2 else []),
        *(note for note in record["notes"] if note.startswith(COUNTED)),
        *([ASKED.format(own.asked, batch)] if own.asked else []),
        *([PAIRED.format(own.paired)] if own.paired else []),
    ]


def _list_incoming(lookup: Lookup) -> Iterator[dict[str, Any]]:
    """Yield what lies in the incoming folder, and why it still does."""
    inbox, now = lookup.read_inbox(), datetime.now(UTC)
    minutes = lookup.configuration["parameters"]["data_processing"]["settle_minutes"]
    for batch in inbox.batches:
        wait = batch.describe_wait(minutes, now)
        yield {
            "batch": batch.delivered_as,
            "status": "in the incoming folder",
            "images": None,
            "why": [wait] if wait else [],
        }
    for name, reason in inbox.aside.items():
        status = "left alone in the incoming folder"
        yield {"batch": name, "status": status, "images": None, "why": [reason]}


@click.command("take-back")
@click.argument("batch", shell_complete=complete_batch)
@click.option("--to", type=click.Path(path_type=Path), required=True, help="A new folder.")
@click.option("--by", default=getpass.getuser, show_default="your user name", help="Who takes it.")
@click.option("--reason", default="taken back to be mended", show_default=True, help="Why.")
@report_errors
def take_back(batch: str, to: Path, by: str, reason: str) -> None:
    """Copy BATCH as it was delivered into a folder, to mend it there and deliver it again.

    The batch itself is rejected: no later run trains on it, or asks about it.
    """
    from image_classification.datasets.folder import describe_left_out
    from image_classification.datasets.withdrawal import copy_batch
    from image_classification.pipelines.review.nodes import make_review

    context = open_context()
    copied, odd = copy_batch(load_entry(context, names.IMAGE_BATCHES), batch, to)
    answer = make_review(
        {"batch": batch, "about": "batch", "answer": "reject", "by": by, "reason": reason}
    )
    save_entry(context, names.BATCH_REVIEWS, answer)
    say(f"Copied {copied} files of batch '{batch}' to {to}; the next intake rejects the batch.")
    for line in describe_left_out(odd):
        say(f"  {line}")
    say(f"Mend them, then: image-classification deliver {shlex.quote(str(to))}")


@click.command()
@click.argument("batch", shell_complete=complete_batch)
@click.option("--labels", is_flag=True, help="About the labels that it has for known images.")
@click.option("--accept", "answer", flag_value="accept", help="Let it, or its labels, hold.")
@click.option("--reject", "answer", flag_value="reject", help="Never train on it, or on them.")
@click.option("--by", default=getpass.getuser, show_default="your user name", help="Who answers.")
@click.option("--reason", default="", help="Why; kept with the images.")
@report_errors
def review(batch: str, labels: bool, answer: str | None, by: str, reason: str) -> None:
    """Show why BATCH is held, or answer: --accept or --reject, with a --reason.

    This works without Airflow, and for any batch: once a batch that was accepted is rejected, no
    later run trains on it. With --labels it is about the images that have another label in the
    training set than in BATCH.
    """
    from image_classification.vendor.kedro import locate_file

    about = "labels" if labels else "batch"
    params = {"batch": batch, "about": about, "answer": answer or "", "by": by, "reason": reason}
    catalog = run_pipeline("review", review=params).catalog
    if answer:
        of = f"the labels of '{batch}'" if labels else f"'{batch}'"
        say(f"Recorded: {answer} {of}, by {by}. The next intake carries it out.")
    else:
        summary = str(catalog.load(names.REVIEW_SUMMARY))
        told, table, _ = summary.partition(f"\n| {HEADINGS[0]}")
        if table and is_terminal():
            say(told)
            readings = read_measures(catalog.load(names.BATCH_SCREENINGS)[batch]["numbers"])
            print_view(list(map(asdict, readings)), MEASURED)
        else:
            say(summary)
        say(f"\nContact sheet: {locate_file(catalog[names.REVIEW_SHEET])}")
