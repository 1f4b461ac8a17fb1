"""Calibration and thresholds, counted by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from image_classification.pages.curve import measure_reliability, measure_thresholds
from image_classification.pages.evidence import list_figures, tabulate_thresholds

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


def test_without_a_positive_class_the_class_that_is_called_counts() -> None:
    table = pd.DataFrame(
        {
            "label": ["a", "b", "c"],
            "category": ["a", "c", "c"],
            "probability_a": [0.95, 0.1, 0.0],
            "probability_b": [0.05, 0.3, 0.03],
            "probability_c": [0.0, 0.6, 0.97],
        }
    )
    middle, high = measure_reliability(table, None)
    assert (middle.given, middle.observed, middle.images) == (0.6, 0.0, 1)
    assert (high.given, high.observed, high.images) == (pytest.approx(0.96), 1.0, 2)


def test_without_a_positive_class_there_is_no_threshold_to_choose() -> None:
    table = TABLE.assign(category="yes")
    (calibration,) = list_figures(None, {"challenger": table}, None)
    assert calibration.title == "Calibration"
    assert "the class that is called" in calibration.told
    assert len(list_figures(None, {"challenger": table}, "yes")) == 2
    assert tabulate_thresholds({"challenger": table}, None) == []


def test_a_threshold_counts_what_is_missed_and_what_is_called_wrongly() -> None:
    everything, usual, strict = measure_thresholds(TABLE, "yes", [0.0, 0.35, 0.5])
    assert (everything.missed, everything.alarms) == (0, 2)
    assert (usual.missed, usual.alarms) == (0, 0)
    assert (strict.missed, strict.alarms) == (1, 0)
    assert (strict.sensitivity, strict.specificity) == (0.5, 1.0)


def test_one_class_alone_has_no_thresholds() -> None:
    assert measure_thresholds(TABLE.assign(label="no"), "yes") == []
