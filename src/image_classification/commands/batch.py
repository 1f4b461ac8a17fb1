"""Commands about batches: deliver one, see what became of each, answer for one that is held."""

from __future__ import annotations

import getpass
import shlex
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import click
from kedro.framework.context import KedroContext

from image_classification.commands.console import (
    load_entry,
    open_context,
    read_configuration,
    report_errors,
    run_pipeline,
    save_entry,
    say,
)
from image_classification.configuration import names
from image_classification.datasets import delivery
from image_classification.datasets.fault import describe_error
from image_classification.datasets.file import encode_name
from image_classification.datasets.folder import describe_left_out
from image_classification.datasets.withdrawal import copy_batch
from image_classification.errors import DataError
from image_classification.intake import index
from image_classification.intake.correction import foresee
from image_classification.intake.preview import preview_batch
from image_classification.intake.proposal import find_contradictions, find_open, select_opposed
from image_classification.intake.status import read_statuses
from image_classification.intake.tally import describe_tally, tally_batch
from image_classification.pipelines.review.nodes import make_review
from image_classification.vendor.kedro import locate_file

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
    batch = delivery.deliver(source, incoming, name, labelled_by=labelled_by)
    say(f"Delivered {len(source.files)} images as batch '{batch}' to {incoming}")


@click.command()
@report_errors
def batches() -> None:
    """List the batches: what became of each, and why."""
    context = open_context()
    taken = _TakenBatches(context)
    for name in load_entry(context, names.IMAGE_BATCHES).names():
        say(taken.describe(name))
        for line in taken.explain(name):
            say(f"  - {line}")
    inbox = load_entry(context, names.INCOMING_BATCHES)
    now, minutes = datetime.now(UTC), context.params["data_processing"]["settle_minutes"]
    for batch in inbox.batches:
        say(f"{batch.delivered_as}: in the incoming folder")
        if wait := batch.describe_wait(minutes, now):
            say(f"  - {wait}")
    for name, reason in inbox.aside.items():
        say(f"{name}: left alone in the incoming folder\n  - {reason}")


@click.command("take-back")
@click.argument("batch")
@click.option("--to", type=click.Path(path_type=Path), required=True, help="A new folder.")
@click.option("--by", default=getpass.getuser, show_default="your user name", help="Who takes it.")
@click.option("--reason", default="taken back to be mended", show_default=True, help="Why.")
@report_errors
def take_back(batch: str, to: Path, by: str, reason: str) -> None:
    """Copy BATCH as it was delivered into a folder, to mend it there and deliver it again.

    The batch itself is rejected: no later run trains on it, or asks about it.
    """
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


class _TakenBatches:
    """What is known of the batches that were taken in."""

    def __init__(self, context: KedroContext) -> None:
        log = load_entry(context, names.IMAGE_INDEX)
        self._screenings = load_entry(context, names.BATCH_SCREENINGS)
        self._statuses = read_statuses(log)
        self._settled = index.settle_index(log)
        self._files = log[log["status"] != index.STATED].drop_duplicates("path", keep="last")
        opposed = select_opposed(self._files, self._settled)
        corrections = load_entry(context, names.LABEL_CORRECTIONS)
        self._opposed = Counter(opposed["batch"])
        self._asked = Counter(find_open(foresee(log, corrections))["batch"])
        self._paired = Counter(find_contradictions(log)["batch"])

    def describe(self, batch: str) -> str:
        """Return what became of a batch, and how many images it has, in a line."""
        record, status = self._screenings.get(batch), self._statuses.get(batch)
        verdict = "taken in, not judged yet" if record is None else record["verdict"]
        if status and status["reviewed_by"]:
            said = "{status}, after a review by {reviewed_by}: {review_reason}"
            verdict = said.format(**status)
        return f"{batch}: {verdict} ({(self._files['batch'] == batch).sum()} images)"

    def explain(self, batch: str) -> list[str]:
        """Return why, what became of all that was found in it, and what waits for an answer."""
        record = self._screenings.get(batch)
        if record is None:
            return []
        own = self._settled[self._settled["batch"] == batch]
        counts = tally_batch(record, own, self._opposed[batch])
        return [
            *record["reasons"],
            # Where all that was found are images of one status, the first line says it.
            *([describe_tally(counts)] if len(counts) > 2 else []),
            *(note for note in record["notes"] if note.startswith(COUNTED)),
            *([ASKED.format(self._asked[batch], batch)] if self._asked[batch] else []),
            *([PAIRED.format(self._paired[batch])] if self._paired[batch] else []),
        ]


@click.command()
@click.argument("batch")
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
    about = "labels" if labels else "batch"
    params = {"batch": batch, "about": about, "answer": answer or "", "by": by, "reason": reason}
    catalog = run_pipeline("review", review=params).catalog
    if answer:
        of = f"the labels of '{batch}'" if labels else f"'{batch}'"
        say(f"Recorded: {answer} {of}, by {by}. The next intake carries it out.")
    else:
        say(catalog.load(names.REVIEW_SUMMARY))
        say(f"\nContact sheet: {locate_file(catalog[names.REVIEW_SHEET])}")
