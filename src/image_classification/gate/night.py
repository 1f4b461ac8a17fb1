"""What was recorded of the champion night after night, without a number computed."""

from __future__ import annotations

from collections.abc import Iterable

TREND_COLUMNS = [
    "recorded_at",
    "model_version",
    "days_from",
    "days_to",
    "images",
    "patients",
    "accuracy",
    "low",
    "high",
    "reference",
    "alert",
    "sensitivity",
    "auc",
    "sentence",
    "images_digest",
]
NUMBERS = ("accuracy", "low", "high", "reference", "sensitivity", "auc")


def locate_nights(recorded: Iterable[tuple[str, str, str]]) -> list[int]:
    """Return the places of the rows of a trend that count, in order.

    A task that is tried again, or two runs at once, may have recorded the same twice: the same
    champion and the same images on the same day. The first counts.

    Args:
        recorded: `recorded_at`, `model_version` and `images_digest` of each row.
    """
    first: dict[tuple[str, str, str], int] = {}
    for place, (at, version, digest) in enumerate(recorded):
        first.setdefault((at[:10], version, digest), place)
    return list(first.values())
