"""From a folder or list of images, and the champion, to a table of scores."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from image_classification import vision
from image_classification.datasets import ImageSource, RegisteredNetwork
from image_classification.datasets.source import NOT_READ
from image_classification.errors import DataError
from image_classification.gate.prediction import PROBABILITY_PREFIX, tabulate_predictions
from image_classification.text import tell_name

logger = logging.getLogger(__name__)

MODEL_COLUMNS = ("model_name", "model_version", "scored_at")
"""Columns that have the same value in every row."""


def list_images(image_source: ImageSource, place: str) -> pd.DataFrame:
    """List the images to score, so that every later step works on the same ones.

    Args:
        image_source: lists and reads images.
        place: a folder, or a file that lists images; "" for the default.

    Returns:
        One row per image: `image_name` and `path`.

    Raises:
        DataError: the folder or list does not exist, or names no image.
    """
    images = image_source.list_images(place)
    logger.info("%d images to score in %s", len(images), place or image_source.default)
    return images


def score_images(
    image_list: pd.DataFrame,
    image_source: ImageSource,
    champion: RegisteredNetwork,
    model_name: str,
    batch_size: int,
) -> pd.DataFrame:
    """Score the images with the champion, reading them a batch at a time.

    The champion is loaded once, so all rows are of one version, even if the alias moves meanwhile.
    An image that cannot be scored keeps its row.

    Args:
        image_list: from `list_images`.
        image_source: reads the images.
        champion: its network, classes and version.
        model_name: the champion's name in the registry.
        batch_size: images per step.

    Returns:
        One row per image, in order: `image_name`, `path`, ``probability_<class>`` of each class
        (float, summing to 1), `category`, the class of the highest, `error`, `model_name`,
        `model_version` and `scored_at` (ISO 8601, UTC). If an image cannot be scored, `error` says
        why, and its probabilities and category are empty. Where an answer cannot be relied on,
        there is a column `warning` after `error` that says why, "" in other rows.

    Raises:
        DataError: none of the images can be read: the folder or the list is wrong.
    """
    scored_at = datetime.now(UTC).isoformat(timespec="seconds")
    paths = image_list["path"].tolist()
    watch = vision.ColourWatch(champion.network, len(paths))
    probabilities, errors = vision.score_sound_images(
        champion.network,
        len(paths),
        lambda rows: image_source.read(paths[rows]),
        batch_size,
        look=watch,
    )
    table = tabulate_predictions(image_list, probabilities, champion.class_names)
    table = table.assign(error=errors)
    failed = table["error"] != ""
    table["category"] = table["category"].mask(failed)
    _tell_failures(table[failed], len(table))
    warnings = pd.Series(watch.warnings, table.index, dtype=object).mask(failed, "")
    if (doubtful := warnings != "").any():
        table = table.assign(warning=warnings)
        _tell_doubts(table[doubtful], len(table))
    return table.assign(model_name=model_name, model_version=champion.version, scored_at=scored_at)


def report_scores(
    scores: pd.DataFrame,
) -> tuple[dict[str, Any], dict[str, dict[str, float]], pd.DataFrame]:
    """Count the images of each category.

    Args:
        scores: from `score_images`.

    Returns:
        The summary (`outcome`, a sentence, `images`, `unreadable`, `categories`, and the model);
        the counts as metrics; and `scores` once more, to be saved in a format for people.
    """
    columns = [column for column in map(str, scores) if column.startswith(PROBABILITY_PREFIX)]
    names = [column.removeprefix(PROBABILITY_PREFIX) for column in columns]
    categories = {name: int((scores["category"] == name).sum()) for name in names}
    counts = {"images": len(scores), "unreadable": int((scores["error"] != "").sum())}
    model = {name: str(scores[name].iloc[0]) for name in MODEL_COLUMNS}
    outcome = _describe(counts, categories, model["model_version"])
    if "warning" in scores:
        outcome += f"; {(scores['warning'] != '').sum():,} cannot be relied on (column 'warning')"
    logger.info("%s", outcome)
    summary = {"outcome": outcome, **counts, "categories": categories, **model}
    metrics = {name: {"value": float(count), "step": 0} for name, count in counts.items()}
    return summary, metrics, scores


def _tell_failures(failed: pd.DataFrame, count: int) -> None:
    """Warn of images that cannot be scored; raise DataError if not one of them was even read."""
    if failed.empty:
        return
    name, reason = failed[["image_name", "error"]].iloc[0]
    first = f"The first is '{name}': {reason}."
    if failed["error"].str.startswith(NOT_READ).sum() == count:
        raise DataError(
            f"None of {count:,} images can be read. {first} Look at the folder or list "
            "(inference.images): relative paths in a list start from its folder."
        )
    logger.warning("%d of %d images cannot be scored. %s", len(failed), count, first)


def _tell_doubts(doubtful: pd.DataFrame, count: int) -> None:
    name, reason = doubtful[["image_name", "warning"]].iloc[0]
    logger.warning(
        "The answers for %d of %d images cannot be relied on. The first is '%s': %s.",
        *(len(doubtful), count, name, reason),
    )


def _describe(counts: dict[str, int], categories: dict[str, int], version: str) -> str:
    scored = counts["images"] - counts["unreadable"]
    found = ", ".join(f"{count:,} {tell_name(name)}" for name, count in categories.items())
    unreadable = f"; {counts['unreadable']:,} could not be read" if counts["unreadable"] else ""
    return f"scored {scored:,} images with v{version}: {found}{unreadable}"
