"""How far patients lie from one another."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial.distance import cdist

from image_classification import words
from image_classification.intake.statistic import Values

USUAL_SHARE = 0.95
"""The usual distance is the one that this share of the known patients keep."""

SMALLEST_GROUP = 5
"""A patient with fewer images than this is pooled with others like it."""

POOLED_IMAGES = 30
"""Images in one pool of patients that have fewer than `SMALLEST_GROUP` images each."""

LARGEST_VALUE = 1e9
"""Values are cut off here, so that their squares stay finite."""


class Groups:
    """A group for each image: its patient, or a pool of patients of very few images.

    Attributes:
        names: of the `k` groups, sorted.
        own: the group of each image, shape ``(n,)``.
        sizes: images of each group, shape ``(k,)``.
    """

    def __init__(self, patients: pd.Series) -> None:
        names = patients.astype(str).to_numpy(dtype=object)
        own = pd.factorize(names)[0]
        few = np.bincount(own)[own] < SMALLEST_GROUP
        pools = np.arange(few.sum()) // POOLED_IMAGES
        names[few] = [f"{words.current().groups} of few images, {pool + 1}" for pool in pools]
        self.own, self.names = pd.factorize(names, sort=True)
        self.sizes: npt.NDArray[np.intp] = np.bincount(self.own)

    def average(self, values: Values) -> Values:
        """Return the mean of each group, shape ``(k, columns)``."""
        sums = [np.bincount(self.own, column) for column in values.T]
        means: Values = np.stack(sums, axis=1) / self.sizes[:, None]
        return means

    def share(self, marks: npt.NDArray[np.bool_]) -> Values:
        """Return the share of marked images of each group, shape ``(k,)``."""
        shares: Values = np.bincount(self.own, marks) / self.sizes
        return shares


def tame(values: Values) -> Values:
    """Return finite values whose squares are finite too: what is not a number becomes 0."""
    return np.clip(np.nan_to_num(values.astype(np.float64)), -LARGEST_VALUE, LARGEST_VALUE)


def weigh_patients(within: Values, between: Values) -> Values:
    """Return a metric in which patients differ equally in all directions.

    It is shrunk towards single axes, since there are few patients to estimate it from.
    """
    metric: Values = 0.9 * between + 0.1 * np.diag(np.diag(between)) + 0.1 * within
    return metric


def weigh_images(within: Values, between: Values) -> Values:
    """Return a metric in which the images of one patient differ equally in all directions."""
    return within + 0.2 * between


def weigh_channels(within: Values, between: Values) -> Values:
    """Return a metric that weighs each channel by itself: there are too many to estimate pairs."""
    return np.diag(np.diag(within + between))


class Space:
    """Where known patients lie, and how far from one another they usually are."""

    def __init__(
        self,
        values: Values,
        groups: Groups,
        weigh: Callable[[Values, Values], Values],
    ) -> None:
        self._values, self._own = values, groups.own
        centres = groups.average(values)
        inside = values - centres[groups.own]
        metric = weigh(np.cov(inside.T), np.cov(centres.T))
        metric = metric + np.eye(len(metric)) * (1e-3 * np.trace(metric) / len(metric) + 1e-9)
        self.axes = np.linalg.inv(np.linalg.cholesky(metric)).T
        self.centres = centres @ self.axes
        self.noise = float(((inside @ self.axes) ** 2).sum(axis=1).mean())
        nearest = self._leave_out(self.centres, np.arange(len(centres)))
        self.usual = float(np.quantile(nearest, USUAL_SHARE))
        self.tail = _measure_tail(nearest)

    @cached_property
    def usual_image(self) -> float:
        """The distance to the nearest other patient that 99 % of the known images keep."""
        distances = self._leave_out(self._values @ self.axes, self._own)
        return float(np.quantile(distances, 0.99))

    def _leave_out(self, points: Values, own: npt.NDArray[np.integer]) -> Values:
        distances = cdist(points, self.centres)
        distances[np.arange(len(points)), own] = np.inf
        nearest: Values = distances.min(axis=1)
        return nearest

    def measure(self, values: Values) -> Values:
        """Return the distance of each row of `values` to the nearest known patient."""
        distances = [
            cdist(values[start : start + 2048] @ self.axes, self.centres).min(axis=1)
            for start in range(0, len(values), 2048)
        ]
        return np.concatenate(distances) if distances else np.zeros(0)

    def measure_groups(self, values: Values, groups: Groups) -> pd.Series:
        """Return each group's distance, as a multiple of the usual distance.

        The mean of few images lies farther out by chance, and what chance adds is subtracted. The
        largest of many distances is larger than a single one, so what is usual grows with the
        number of groups, along the tail of the distances between known patients.
        """
        squared = self.measure(groups.average(values)) ** 2 - 2 * self.noise / groups.sizes
        usual = self.usual * self.grow(len(groups.names)) + 1e-9
        return pd.Series(np.sqrt(np.maximum(squared, 0)) / usual, groups.names)

    def grow(self, count: int) -> float:
        """Return how large the largest of `count` distances usually is, in usual distances."""
        return 1 + float(self.tail * np.log(max(count, 1)) / (self.usual + 1e-9))


def _measure_tail(distances: Values) -> float:
    """Return the mean excess over the eighth decile: the scale of an exponential tail.

    Peaks over a threshold (Pickands, 1975, doi:10.1214/aos/1176343003). With such a tail, the
    largest of m distances exceeds a level as often as a single distance exceeds one that is lower
    by the scale times log m.
    """
    threshold = np.quantile(distances, 0.8)
    excess = distances[distances > threshold] - threshold
    return float(excess.mean()) if len(excess) else 0.0
