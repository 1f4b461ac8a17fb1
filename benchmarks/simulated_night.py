"""A night's validation images, and pairs of models on them whose true difference is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from stored_predictions import Stored

Random = np.random.Generator


@dataclass(frozen=True)
class Night:
    """The validation images of a night, or of a year of nights.

    Attributes:
        images: as in `Stored`.
        patients: number of the patient of each image, from 0.
        targets: number of the class of each image.
        probabilities: ``(models, images, classes)``.
        weak: ``(images, classes)`` or None.
    """

    images: pd.DataFrame
    patients: np.ndarray
    targets: np.ndarray
    probabilities: np.ndarray
    weak: np.ndarray | None

    @property
    def patient_count(self) -> int:
        """How many patients there are."""
        return int(self.patients.max()) + 1


def draw_night(
    stored: Stored, patient_count: int, random: Random, cells: int | None = None
) -> Night:
    """Return the images of so many patients, drawn without replacement.

    Args:
        stored: of all patients.
        patient_count: how many patients.
        random: what draws.
        cells: so many images of each patient at most, drawn too; None for all.
    """
    names = np.sort(stored.images["patient"].unique().astype(str))
    chosen = random.choice(names, patient_count, replace=False)
    rows = np.flatnonzero(stored.images["patient"].isin(chosen))
    if cells is not None:
        rows = random.permutation(rows)
        rank = stored.images["patient"].iloc[rows].groupby(stored.images["patient"]).cumcount()
        rows = np.sort(rows[(rank < cells).to_numpy()])
    images = stored.images.iloc[rows].reset_index(drop=True)
    return Night(
        images,
        # In the order that the gate's groups come in, so that both bootstraps draw the same.
        np.unique(images["patient"].to_numpy(str), return_inverse=True)[1],
        stored.targets[rows],
        stored.probabilities[:, rows],
        None if stored.weak is None else stored.weak[rows],
    )


def mix_models(night: Night, random: Random) -> np.ndarray:
    """Return the answers of a simulated model: of each patient those of a model drawn by lot."""
    drawn = random.integers(len(night.probabilities), size=night.patient_count)
    return night.probabilities[drawn[night.patients], np.arange(len(night.patients))]


def draw_equal_pair(night: Night, random: Random) -> tuple[np.ndarray, np.ndarray]:
    """Return challenger and champion, two models of which a coin per patient says which is which.

    Their expected difference is 0 for every patient, whatever the two answered.
    """
    first, second = random.choice(len(night.probabilities), 2, replace=False)
    swapped = random.integers(2, size=night.patient_count)[night.patients].astype(bool)
    one, other = night.probabilities[first], night.probabilities[second]
    return (
        np.where(swapped[:, None], other, one),
        np.where(swapped[:, None], one, other),
    )


def add_gain(
    probabilities: np.ndarray, targets: np.ndarray, share: float, random: Random
) -> np.ndarray:
    """Return the answers of a better model: each wrong answer is right with the chance `share`.

    An answer made right trades the probabilities of the category and the label. Then all doubt,
    the probability of what is not the category, is multiplied by ``1 - share``, as the errors are:
    where a share of wrong answers equals the doubt, it still does.

    Args:
        probabilities: ``(n, classes)``.
        targets: number of the class of each image, ``(n,)``.
        share: of the wrong answers, 0 to 1; a gain over the share of wrong answers.
        random: what draws.
    """
    better = probabilities.copy()
    called = better.argmax(axis=1)
    mended = np.flatnonzero((called != targets) & (random.random(len(targets)) < share))
    label, category = better[mended, targets[mended]], better[mended, called[mended]]
    better[mended, targets[mended]], better[mended, called[mended]] = category, label
    called = better.argmax(axis=1)
    better *= 1 - share
    better[np.arange(len(called)), called] += share
    return better


def find_share(stored: Stored, gain: float) -> float:
    """Return the share of wrong answers to make right, for an expected gain over all images.

    Raises:
        ValueError: the models are not wrong so often.
    """
    error = float(stored.errors.mean())
    if gain > error:
        raise ValueError(f"A gain of {gain} cannot be made of a share of wrong answers of {error}.")
    return gain / error


Pair = Callable[[Night, Random], tuple[np.ndarray, np.ndarray]]


def draw_real_pair(night: Night, random: Random) -> tuple[np.ndarray, np.ndarray]:
    """Return two of the models as they are."""
    first, second = random.choice(len(night.probabilities), 2, replace=False)
    return night.probabilities[first], night.probabilities[second]


def draw_better_pair(night: Night, random: Random) -> tuple[np.ndarray, np.ndarray]:
    """Return one of the models and, as champion, the one that is really worse."""
    return night.probabilities[random.integers(len(night.probabilities))], night.weak


def draw_worse_pair(night: Night, random: Random) -> tuple[np.ndarray, np.ndarray]:
    """Return the model that is really worse and, as champion, one of the others."""
    return draw_better_pair(night, random)[::-1]


PAIRS: dict[str, Pair] = {
    "equal": draw_equal_pair,
    "two networks as they are": draw_real_pair,
    "a better challenger": draw_better_pair,
    "a worse challenger": draw_worse_pair,
}
