"""Calibration and thresholds, counted by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from image_classification.pages.curve import measure_reliability, measure_thresholds

TABLE = pd.DataFrame(
    {"label": ["yes", "yes", "no", "no"], "probability_yes": [0.95, 0.35, 0.31, 0.0]}
)


def test_a_bin_tells_what_was_given_and_what_was_true() -> None:
    low, middle, high = measure_reliability(TABLE, "yes")
    assert (low.given, low.observed, low.images) == (0.0, 0.0, 1)
    assert (middle.given, middle.observed, middle.images) == (pytest.approx(0.33), 0.5, 2)
    assert (high.observed, high.images) == (1.0, 1)


def test_a_probability_of_one_falls_into_the_last_bin() -> None:
    (found,) = measure_reliability(TABLE.assign(probability_yes=1.0), "yes")
    assert (found.given, found.images) == (1.0, 4)


def test_a_threshold_counts_what_is_missed_and_what_is_called_wrongly() -> None:
    everything, usual, strict = measure_thresholds(TABLE, "yes", [0.0, 0.35, 0.5])
    assert (everything.missed, everything.alarms) == (0, 2)
    assert (usual.missed, usual.alarms) == (0, 0)
    assert (strict.missed, strict.alarms) == (1, 0)
    assert (strict.sensitivity, strict.specificity) == (0.5, 1.0)


def test_one_class_alone_has_no_thresholds() -> None:
    assert measure_thresholds(TABLE.assign(label="no"), "yes") == []
