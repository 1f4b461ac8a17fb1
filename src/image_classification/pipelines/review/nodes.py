"""Show a batch to a reviewer, and record the answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from image_classification import figures, vision, words
from image_classification.configuration.parameters import ReviewParameters
from image_classification.datasets import ImageBatches, Records
from image_classification.errors import ConfigurationError, DataError, name_near_misses
from image_classification.intake.correction import REVIEW, answer_proposals, name_record
from image_classification.intake.measure import read_measures, tabulate_measures
from image_classification.pipelines.review.labels import select_proposals, summarise_proposals
from image_classification.text import escape_markdown

logger = logging.getLogger(__name__)

LABELS = "labels"
"""What a review is about where it is not about the batch as a whole."""

IMAGES_SHOWN = 24
"""At most this many images with two labels are on the contact sheet."""

SHEET_PX = 96
"""Side of an image on the contact sheet, in pixels."""


def describe_batch(  # noqa: PLR0913, PLR0917 - a catalog entry each
    batch_screenings: Records,
    batch_reviews: Records,
    label_corrections: Records,
    image_index: pd.DataFrame,
    image_batches: ImageBatches,
    batch: str,
    about: str,
) -> tuple[Figure, str]:
    """Show why a batch was not taken into the training set, or which labels it corrects.

    Args:
        batch_screenings: the results of the screening, by batch.
        batch_reviews: earlier answers.
        label_corrections: those that were recorded.
        image_index: the log of the index.
        image_batches: reads the images of the batches that were taken in.
        batch: the name of the batch.
        about: `batch` or `labels`, as in the parameters `review`.

    Returns:
        A contact sheet of its most suspicious images, or of those whose labels it corrects, and a
        summary in Markdown.

    Raises:
        ConfigurationError: there is no such batch.
    """
    record = find_screening(batch_screenings, batch)
    if about == LABELS:
        proposals = select_proposals(image_index, label_corrections, batch)
        shown = proposals.head(IMAGES_SHOWN)
        contents = image_batches.try_read(shown["path"].tolist())
        pixels, _ = vision.decode_sound_images([content or b"" for content in contents], SHEET_PX)
        sheet = figures.plot_proposals(batch, shown, pixels, len(proposals))
        return sheet, summarise_proposals(batch, proposals, image_index)
    suspects = pd.DataFrame(record["suspects"], columns=["image_id", "path", "label", "patient"])
    # What cannot be read any more is shown as a black picture: the question is asked all the same.
    contents = image_batches.try_read(suspects["path"].tolist())
    pixels, _ = vision.decode_sound_images([content or b"" for content in contents], SHEET_PX)
    beyond = [str(one) for one in read_measures(record["numbers"]) if one.is_beyond]
    answers = [answer for answer in batch_reviews.values() if answer["batch"] == batch]
    return (
        figures.plot_suspects(batch, suspects, pixels, beyond),
        summarise_screening(batch, record, answers),
    )


def record_review(
    batch_screenings: Records,
    label_corrections: Records,
    image_index: pd.DataFrame,
    review_summary: str,
    review: ReviewParameters,
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Record the answer of a person about a batch, or its labels. The next intake carries it out.

    Args:
        batch_screenings: the results of the screening, by batch.
        label_corrections: those that were recorded before.
        image_index: the log of the index.
        review_summary: from `describe_batch`: the summary that the person saw.
        review: `batch`, `about`, `answer` (accept, reject, or "" for none yet), `by` and `reason`.

    Returns:
        The record about the batch, and that about its labels, each by its name; no record if there
        is no answer yet, or if nothing was asked.

    Raises:
        ConfigurationError: there is no such batch.
        DataError: the name of the person or the reason is missing.
    """
    find_screening(batch_screenings, review["batch"])
    if not review["answer"]:
        logger.info("No answer yet:\n%s", review_summary)
        return {}, {}
    if review["about"] == LABELS:
        _check_answer(review)
        return {}, _record_labels(label_corrections, image_index, review)
    return make_review(review), {}


def make_review(review: ReviewParameters) -> dict[str, dict[str, Any]]:
    """Return the record of an answer, by its name.

    Raises:
        DataError: the name of the person or the reason is missing.
    """
    _check_answer(review)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    said = {name: str(review[name]) for name in ("batch", "answer", "by", "reason")}
    name = f"{now.replace(':', '').replace('+0000', 'Z')}-{review['batch']}"
    return {name: {**said, "at": now}}


def _check_answer(review: ReviewParameters) -> None:
    for name, asked in (("by", "who answers"), ("reason", "why")):
        if not str(review.get(name, "")).strip():
            raise DataError(
                f"A review needs review.{name}: {asked}. It is kept with the images for ever."
            )
    logger.info("Batch '%s': %s by %s", review["batch"], review["answer"], review["by"])


def _record_labels(
    label_corrections: Records, image_index: pd.DataFrame, review: ReviewParameters
) -> dict[str, Any]:
    proposals = select_proposals(image_index, label_corrections, review["batch"])
    if proposals.empty:
        logger.warning("No label of batch '%s' is to be answered any more", review["batch"])
        return {}
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    record = answer_proposals(
        proposals,
        review["answer"],
        at=now,
        by=review["by"],
        reason=review["reason"],
        batch=review["batch"],
    )
    return {name_record(now, REVIEW, review["batch"]): record}


def find_screening(screenings: Records, batch: str) -> dict[str, Any]:
    """Return the screening of a batch.

    Raises:
        ConfigurationError: there is no such batch.
    """
    if batch not in screenings:
        known = ", ".join(sorted(screenings)[-10:]) or "none"
        raise ConfigurationError(
            f"There is no batch '{batch}' to review. Screened last: {known}."
            f"{name_near_misses(batch, screenings)}"
        )
    return screenings[batch]


def summarise_screening(
    batch: str, record: Mapping[str, Any], answers: list[dict[str, Any]]
) -> str:
    """Return the result of the screening, in Markdown."""
    champion = f"champion v{record['champion']}" if record["champion"] else "no champion yet"
    opening = (
        f"**{batch}** is {record['verdict']}: {record['images']} images of "
        f"{words.current().count_groups(record['patients'])} in {record['files']} files, "
        f"looked at on {record['screened_at']} with {champion}."
    )
    lines = [
        opening,
        "",
        *(
            f"- {escape_markdown(reason)}"
            for reason in record["reasons"] or ["nothing was found against it"]
        ),
        "",
        *(
            f"- answered before: {answer['answer']} by {escape_markdown(answer['by'])}, "
            f"{answer['at']}: {escape_markdown(answer['reason'])}"
            for answer in answers
        ),
        "",
        *tabulate_measures(read_measures(record["numbers"])),
    ]
    return "\n".join(lines)
