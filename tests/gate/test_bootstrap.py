"""The interval over patients: what it covers, what it depends on, and that it repeats itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from image_classification.gate import bootstrap
from image_classification.gate.bootstrap import bootstrap_patients, sum_by_patient


def estimate(sums: list[float], images: Any = 20.0, confidence: float = 0.95) -> Any:
    counts = np.full(len(sums), images) if np.isscalar(images) else np.array(images, float)
    return bootstrap_patients(np.array(sums, float), counts, confidence, 999)


def test_the_same_numbers_give_the_same_interval() -> None:
    gains = [3, 1, 0, -1, 2, 0, 1, 0, 0, 2]
    state = np.random.get_state()[1].tolist()
    assert estimate(gains) == estimate(gains)
    assert np.random.get_state()[1].tolist() == state


@pytest.mark.parametrize(
    ("gains", "images", "gain"),
    [
        ([2, 2, 2, 2], 20.0, 0.1),
        ([0, 0, 0], 20.0, 0.0),
        ([-3, -3], 20.0, -0.15),
        ([1, 2, 3], [3, 6, 9], 1 / 3),
    ],
)
def test_patients_with_the_same_share_leave_no_doubt(
    gains: list[float], images: Any, gain: float
) -> None:
    assert estimate(gains, images) == pytest.approx((gain, gain), abs=1e-15)


def test_the_width_is_that_of_the_confidence_asked_for() -> None:
    gains = np.random.default_rng(1).normal(1, 2, 400).round().tolist()
    narrow, wide = estimate(gains, confidence=0.5), estimate(gains, confidence=0.95)
    # 0.674 and 1.960 standard errors
    ratio = (wide[1] - wide[0]) / (narrow[1] - narrow[0])
    assert ratio == pytest.approx(1.960 / 0.674, rel=0.15)


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.95, 0.99])
def test_the_gain_is_within_and_more_confidence_is_no_narrower(confidence: float) -> None:
    random = np.random.default_rng(0)
    for patients in (2, 3, 5, 12, 40):
        images = random.integers(1, 40, patients).astype(float)
        gains = np.round(images * random.uniform(-0.3, 0.4, patients))
        low, high = bootstrap_patients(gains, images, confidence, 200)
        wider = bootstrap_patients(gains, images, (1 + confidence) / 2, 200)
        assert -1 <= wider[0] <= low <= gains.sum() / images.sum() <= high <= wider[1] <= 1


def test_an_interval_never_leaves_out_the_gain_by_a_rounding() -> None:
    gains, images = np.array([3.0, 2.0]), np.array([11.0, 36.0])
    for confidence in (0.5, 0.6, 0.7, 0.8):
        for resamples in range(100, 220, 10):
            low, high = bootstrap_patients(gains, images, confidence, resamples)
            assert low <= gains.sum() / images.sum() <= high


def test_it_agrees_with_the_normal_interval_where_there_are_many_equal_patients() -> None:
    gains = np.random.default_rng(1).normal(1, 2, 400).round()
    low, high = estimate(gains.tolist())
    error = 1.96 * gains.std(ddof=1) / 20 / np.sqrt(400)
    assert low == pytest.approx(gains.mean() / 20 - error, abs=0.1 * error)
    assert high == pytest.approx(gains.mean() / 20 + error, abs=0.1 * error)


def test_fewer_patients_give_a_wider_interval() -> None:
    gains = [4.0, 0.0, -1.0, 2.0, 1.0]
    few, many = estimate(gains), estimate(gains * 8)
    assert few[1] - few[0] > 2 * (many[1] - many[0])


def test_cells_that_differ_together_are_less_sure_than_cells_by_themselves() -> None:
    # 12 patients of 20 cells; in three of them all cells are gained, in one all are lost.
    clustered = estimate([20, 20, 20, -20, *[0] * 8])
    naive = estimate([1] * 60 + [-1] * 20 + [0] * 160, 1.0)
    assert clustered[1] - clustered[0] > 3 * (naive[1] - naive[0])
    assert clustered[0] < 0 < naive[0]


def test_a_large_patient_counts_by_its_images() -> None:
    # Ten patients lose a tenth of 100 images each, ten gain a tenth of 10 images each.
    low, high = estimate([-10] * 10 + [1] * 10, [100] * 10 + [10] * 10)
    assert low < -90 / 1100 < high < -0.03


def test_a_patient_is_drawn_together_with_its_number_of_images() -> None:
    # About a tenth for each, however many images there are.
    low, high = estimate([1, 10, 2, 5, 9, 3], [11, 98, 19, 52, 91, 29])
    assert 0.09 < low < high < 0.11


def test_equal_gains_on_different_numbers_of_images_leave_a_doubt() -> None:
    low, high = estimate([2, 2, 2, 2], [10, 20, 30, 40])
    assert low < 8 / 100 < high


def test_where_the_correction_is_not_defined_the_percentiles_are_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sound = bootstrap.stats.bootstrap

    def fail(*data: Any, method: str, **options: Any) -> Any:
        result = sound(*data, method=method, **options)
        if method == "BCa":
            result.confidence_interval = type(result.confidence_interval)(np.nan, 0.5)
        return result

    monkeypatch.setattr(bootstrap.stats, "bootstrap", fail)
    low, high = estimate([3, 1, 0, -1, 2])
    assert -0.05 <= low < 0.05 < high <= 0.15


def test_values_are_summed_by_patient_in_the_order_of_their_names() -> None:
    patients = pd.Series(["b", "a", "b", "b"], index=[7, 7, 1, 0])
    sums, images = sum_by_patient(patients, np.array([1, -1, 0, 1]))
    assert sums.tolist() == [-1.0, 2.0]
    assert images.tolist() == [1.0, 3.0]
