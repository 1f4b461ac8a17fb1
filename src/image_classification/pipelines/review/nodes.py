"""Show a batch to a reviewer, and record the answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from image_classification import figures, vision
from image_classification.configuration.parameters import ReviewParameters
from image_classification.datasets import ImageBatches, Records
from image_classification.errors import ConfigurationError, DataError, name_near_misses
from image_classification.text import escape_markdown

logger = logging.getLogger(__name__)

SHEET_PX = 96
"""Side of an image on the contact sheet, in pixels."""


def describe_batch(
    batch_screenings: Records,
    batch_reviews: Records,
    image_batches: ImageBatches,
    batch: str,
) -> tuple[Figure, str]:
    """Show why a batch was not taken into the training set.

    Args:
        batch_screenings: the results of the screening, by batch.
        batch_reviews: earlier answers.
        image_batches: reads the images of the batches that were taken in.
        batch: the name of the batch.

    Returns:
        A contact sheet of its most suspicious images, and a summary in Markdown.

    Raises:
        ConfigurationError: there is no such batch.
    """
    record = find_screening(batch_screenings, batch)
    suspects = pd.DataFrame(record["suspects"], columns=["image_id", "path", "label", "patient"])
    # What cannot be read any more is shown as a black picture: the question is asked all the same.
    contents = image_batches.try_read(suspects["path"].tolist())
    pixels, _ = vision.decode_sound_images([content or b"" for content in contents], SHEET_PX)
    answers = [answer for answer in batch_reviews.values() if answer["batch"] == batch]
    return (
        figures.plot_suspects(batch, suspects, pixels),
        summarise_screening(batch, record, answers),
    )


def record_review(
    batch_screenings: Records, review_summary: str, review: ReviewParameters
) -> dict[str, dict[str, Any]]:
    """Record the answer of a person about a batch. The next intake carries it out.

    Args:
        batch_screenings: the results of the screening, by batch.
        review_summary: from `describe_batch`: the summary that the person saw.
        review: `batch`, `answer` (accept, reject, or "" for none yet), `by` and `reason`.

    Returns:
        The record, by its name; no record if there is no answer yet.

    Raises:
        ConfigurationError: there is no such batch.
        DataError: the name of the person or the reason is missing.
    """
    find_screening(batch_screenings, review["batch"])
    if not review["answer"]:
        logger.info("No answer yet:\n%s", review_summary)
        return {}
    return make_review(review)


def make_review(review: ReviewParameters) -> dict[str, dict[str, Any]]:
    """Return the record of an answer, by its name.

    Raises:
        DataError: the name of the person or the reason is missing.
    """
    for name, asked in (("by", "who answers"), ("reason", "why")):
        if not str(review.get(name, "")).strip():
            raise DataError(
                f"A review needs review.{name}: {asked}. It is kept with the images for ever."
            )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    logger.info("Batch '%s': %s by %s", review["batch"], review["answer"], review["by"])
    record = {**review, "at": now}
    return {f"{now.replace(':', '').replace('+0000', 'Z')}-{review['batch']}": record}


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
        f"**{batch}** is {record['verdict']}: {record['images']} images of {record['patients']} "
        f"patients in {record['files']} files, looked at on {record['screened_at']} with "
        f"{champion}."
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
        *_tabulate(record["numbers"]),
    ]
    return "\n".join(lines)


def _tabulate(numbers: Mapping[str, float]) -> list[str]:
    """Return the lines of a Markdown table of the measured and the allowed values."""
    limits = {
        name.removeprefix("limit_maximum_"): value
        for name, value in numbers.items()
        if name.startswith("limit_maximum_")
    }
    measured = {name: numbers[name] for name in limits if name in numbers}
    return [
        "| measure | this batch | limit |",
        "|---|---|---|",
        *(f"| {name} | {value:.3g} | {limits[name]:.3g} |" for name, value in measured.items()),
    ]
