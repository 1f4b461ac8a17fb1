"""What the charts of a page show, as numbers: calibration and thresholds of both models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from image_classification.gate.prediction import PROBABILITY_PREFIX

BINS = 10
THRESHOLDS = 101
TOLD_THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Probabilities that the table beside the chart tells."""


@dataclass(frozen=True)
class Bin:
    """Images that got a probability of about the same size.

    Attributes:
        given: the mean probability that they got.
        observed: the share of them that is of the class.
        images: how many there are.
    """

    given: float
    observed: float
    images: int


def measure_reliability(predictions: pd.DataFrame, positive_class: str | None) -> list[Bin]:
    """Return, for each tenth of the probabilities given to a class, how often it was that class.

    Without a positive class it is the one that is called, image by image.
    """
    scores, positive = _read_scores(predictions, positive_class)
    place = np.minimum((scores * BINS).astype(int), BINS - 1)
    found = []
    for number in range(BINS):
        inside = place == number
        if inside.any():
            given, observed = float(scores[inside].mean()), float(positive[inside].mean())
            found.append(Bin(given, observed, int(inside.sum())))
    return found


@dataclass(frozen=True)
class Threshold:
    """What a model would do if it called the positive class from this probability on.

    Attributes:
        level: the probability.
        missed: images of the class that it would not call so.
        alarms: other images that it would call so.
        sensitivity: share of the images of the class that it would call so, 0 to 1.
        specificity: share of the others that it would not call so, 0 to 1.
    """

    level: float
    missed: int
    alarms: int
    sensitivity: float
    specificity: float


def measure_thresholds(
    predictions: pd.DataFrame, positive_class: str, levels: Sequence[float] | None = None
) -> list[Threshold]:
    """Return what each threshold would lead to; nothing where one of both sides has no image.

    Args:
        predictions: `label`, and the probability of the class.
        positive_class: the class that a threshold decides about.
        levels: the thresholds, 0 to 1; None for `THRESHOLDS` of them.
    """
    scores, positive = _read_scores(predictions, positive_class)
    wanted = np.linspace(0, 1, THRESHOLDS) if levels is None else np.array(levels)
    hits, others = np.sort(scores[positive]), np.sort(scores[~positive])
    if not len(hits) or not len(others):
        return []
    missed = np.searchsorted(hits, wanted, side="left")
    alarms = len(others) - np.searchsorted(others, wanted, side="left")
    return [
        Threshold(
            float(level),
            int(misses),
            int(alarm),
            1 - float(misses) / len(hits),
            1 - float(alarm) / len(others),
        )
        for level, misses, alarm in zip(wanted, missed, alarms, strict=True)
    ]


def _read_scores(
    predictions: pd.DataFrame, positive_class: str | None
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.bool_]]:
    if positive_class is None:
        columns = [name for name in map(str, predictions) if name.startswith(PROBABILITY_PREFIX)]
        called = predictions[columns].max(axis=1).clip(0, 1).to_numpy(float)
        return called, (predictions["label"] == predictions["category"]).to_numpy(bool)
    scores = predictions[f"{PROBABILITY_PREFIX}{positive_class}"].clip(0, 1).to_numpy(float)
    return scores, (predictions["label"] == positive_class).to_numpy(bool)
