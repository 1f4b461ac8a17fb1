"""Distances between patients: in which metric, and what is usual."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from image_classification.intake import distance
from image_classification.intake.distance import (
    Groups,
    Space,
    tame,
    weigh_channels,
    weigh_images,
    weigh_patients,
)


def name_patients(*counts: int) -> pd.Series:
    return pd.Series([f"C{number}" for number, count in enumerate(counts) for _ in range(count)])


class TestGroups:
    def test_a_patient_of_enough_images_is_a_group(self) -> None:
        groups = Groups(name_patients(5, 6)[::-1])
        assert groups.names.tolist() == ["C0", "C1"]
        assert groups.own.tolist() == [1] * 6 + [0] * 5
        assert groups.sizes.tolist() == [5, 6]

    def test_patients_of_few_images_are_pooled_so_many_at_a_time(self) -> None:
        groups = Groups(name_patients(4, *[1] * 56, 7))
        assert dict(zip(groups.names, groups.sizes, strict=True)) == {
            "C57": 7,
            "patients of few images, 1": 30,
            "patients of few images, 2": 30,
        }
        assert groups.names[groups.own[0]] == groups.names[groups.own[29]]
        assert groups.names[groups.own[29]] != groups.names[groups.own[30]]

    def test_a_patient_may_be_a_number(self) -> None:
        assert Groups(pd.Series([7] * 5)).names.tolist() == ["7"]

    def test_means_and_shares_are_those_of_each_group(self) -> None:
        groups = Groups(name_patients(5, 6))
        values = np.stack([np.arange(11.0), np.full(11, 3.0)], axis=1)
        assert groups.average(values).tolist() == [[2, 3], [7.5, 3]]
        assert groups.share(np.arange(11) >= 4).tolist() == [0.2, 1]


def test_what_is_not_a_number_becomes_one_whose_square_is_finite() -> None:
    values = np.array([np.nan, np.inf, -np.inf, 2.5, 1e12], np.float32)
    assert tame(values).tolist() == [0, 1e9, -1e9, 2.5, 1e9]
    assert tame(values).dtype == np.float64


class TestMetrics:
    WITHIN = np.array([[2.0, 1.0], [1.0, 3.0]])
    BETWEEN = np.array([[4.0, 2.0], [2.0, 5.0]])

    def test_patients_are_weighed_by_how_they_differ_shrunk_for_few_of_them(self) -> None:
        expected = [[4.2, 1.9], [1.9, 5.3]]
        np.testing.assert_allclose(weigh_patients(self.WITHIN, self.BETWEEN), expected)

    def test_images_are_weighed_by_how_those_of_one_patient_differ(self) -> None:
        expected = [[2.8, 1.4], [1.4, 4.0]]
        np.testing.assert_allclose(weigh_images(self.WITHIN, self.BETWEEN), expected)

    def test_channels_are_weighed_each_for_itself(self) -> None:
        assert weigh_channels(self.WITHIN, self.BETWEEN).tolist() == [[6, 0], [0, 8]]


class TestSpace:
    """Against the same sums written out."""

    RANDOM = np.random.default_rng(0)
    PATIENTS = 12
    GROUPS = Groups(name_patients(*[8] * PATIENTS))
    VALUES = np.repeat(RANDOM.normal(size=(PATIENTS, 3)), 8, axis=0) * 3 + RANDOM.normal(
        size=(8 * PATIENTS, 3)
    )
    CENTRES = VALUES.reshape(PATIENTS, 8, 3).mean(1)[np.argsort([f"C{n}" for n in range(PATIENTS)])]
    INSIDE = VALUES - np.repeat(VALUES.reshape(PATIENTS, 8, 3).mean(1), 8, axis=0)
    METRIC = weigh_patients(np.cov(INSIDE.T), np.cov(CENTRES.T))
    METRIC = METRIC + np.eye(3) * (1e-3 * np.trace(METRIC) / 3 + 1e-9)

    @property
    def space(self) -> Space:
        """Made anew by each test, so that it is made by the code under test."""
        return Space(self.VALUES, self.GROUPS, weigh_patients)

    def far(self, one: np.ndarray, other: np.ndarray) -> float:
        """Return Mahalanobis' distance of two points."""
        away = one - other
        return float(np.sqrt(away @ np.linalg.inv(self.METRIC) @ away))

    def find_nearest(self, points: np.ndarray, own: list[int] | None = None) -> np.ndarray:
        return np.array(
            [
                min(
                    self.far(point, centre)
                    for number, centre in enumerate(self.CENTRES)
                    if own is None or number != own[place]
                )
                for place, point in enumerate(points)
            ]
        )

    def test_the_usual_distance_is_what_95_percent_of_patients_keep_each_left_out(self) -> None:
        nearest = self.find_nearest(self.CENTRES, list(range(self.PATIENTS)))
        assert self.space.usual == pytest.approx(np.quantile(nearest, 0.95))
        excess = nearest[nearest > np.quantile(nearest, 0.8)] - np.quantile(nearest, 0.8)
        assert self.space.tail == pytest.approx(excess.mean())

    def test_the_usual_distance_of_an_image_is_what_99_percent_keep_but_from_their_own(
        self,
    ) -> None:
        nearest = self.find_nearest(self.VALUES, self.GROUPS.own.tolist())
        assert self.space.usual_image == pytest.approx(np.quantile(nearest, 0.99))

    def test_a_point_is_measured_to_the_nearest_patient_in_parts(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        points = np.tile(self.RANDOM.normal(size=(7, 3)) * 5, (300, 1))
        measured = self.space.measure(points)
        np.testing.assert_allclose(measured, np.tile(self.find_nearest(points[:7]), 300))
        assert self.space.measure(points[:0]).shape == (0,)
        assert len(self.space.measure(points[:2048])) == 2048

    def test_a_group_is_measured_less_what_few_images_add_by_chance(self) -> None:
        new = self.RANDOM.normal(size=(40, 3)) + 6
        groups = Groups(name_patients(10, 30))
        inverse = np.linalg.inv(self.METRIC)
        noise = np.einsum("ni,ij,nj->n", self.INSIDE, inverse, self.INSIDE).mean()
        squared = self.find_nearest(np.stack([new[:10].mean(0), new[10:].mean(0)])) ** 2
        expected = np.sqrt(squared - 2 * noise / np.array([10, 30]))
        usual = self.space.usual + self.space.tail * np.log(2)

        measured = self.space.measure_groups(new, groups)

        assert self.space.noise == pytest.approx(noise)
        assert measured.index.tolist() == ["C0", "C1"]
        np.testing.assert_allclose(measured, expected / usual, rtol=1e-6)

    def test_a_group_as_near_as_chance_allows_is_no_distance_away(self) -> None:
        measured = self.space.measure_groups(self.VALUES, self.GROUPS)
        assert measured.tolist() == [0] * self.PATIENTS

    def test_the_largest_of_many_distances_may_be_larger(self) -> None:
        assert self.space.grow(1) == self.space.grow(0) == 1
        for count in (2, 40):
            grown = 1 + self.space.tail * np.log(count) / self.space.usual
            assert self.space.grow(count) == pytest.approx(grown, rel=1e-6)

    def test_patients_that_are_all_alike_have_finite_distances(self) -> None:
        space = Space(np.ones((16, 3)), Groups(name_patients(8, 8)), weigh_patients)
        assert np.isfinite(space.measure_groups(np.ones((8, 3)), Groups(name_patients(8)))).all()
        assert space.grow(40) == 1


def test_the_tail_is_the_mean_excess_over_the_eighth_decile() -> None:
    assert distance._measure_tail(np.arange(11.0)) == pytest.approx((9 + 10) / 2 - 8)
    assert distance._measure_tail(np.ones(11)) == 0
