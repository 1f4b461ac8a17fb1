"""What the champion is watched by, once labels of its validation images were corrected."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from image_classification.gate.reference import (
    REFERENCE_COLUMNS,
    count_corrected,
    digest_labels,
    find_judged,
    find_reference,
    make_row,
)

MADE_FROM = pd.DataFrame(
    {
        "image_id": ["1", "2", "3", "4"],
        "label": ["P", "U", "P", "P"],
        "split": ["validation", "validation", "train", "validation"],
    }
)
NOW = pd.DataFrame({"image_id": ["9", "3", "2", "1"], "label": ["P", "U", "P", "P"], "path": "x"})


def test_the_validation_images_have_the_labels_of_today_beside_those_of_then() -> None:
    judged = find_judged(MADE_FROM, NOW)
    assert judged[["image_id", "label", "label_then"]].to_numpy().tolist() == [
        ["1", "P", "P"],
        ["2", "P", "U"],
    ]
    assert set(judged["path"]) == {"x"}
    assert count_corrected(judged) == 1
    assert count_corrected(judged.head(0)) == 0


def test_the_digest_changes_with_each_image_and_each_label_and_not_with_the_order() -> None:
    judged = find_judged(MADE_FROM, NOW)
    digest = digest_labels(judged)
    assert len(digest) == 16
    assert digest == digest_labels(judged.iloc[::-1])
    assert digest != digest_labels(judged.head(1))
    assert digest != digest_labels(judged.assign(label="U"))


FACTS = {"version": "3", "run_id": "abc", "corrected": 1, "before": 0.75}


def test_a_measurement_is_recorded_and_found_for_the_same_version_and_labels() -> None:
    predictions = pd.DataFrame({"label": ["P", "U"], "category": ["P", "P"]})
    row = make_row(FACTS, predictions, "digest", "monday")
    assert row.to_dict("records") == [
        {
            "recorded_at": "monday",
            "model_version": "3",
            "run_id": "abc",
            "labels_digest": "digest",
            "images": 2,
            "corrected": 1,
            "accuracy": 0.5,
            "before": 0.75,
        }
    ]
    assert find_reference(row, "abc", "digest") == 0.5
    later = pd.concat([row, row.assign(accuracy=0.6)])
    assert find_reference(later, "abc", "digest") == pytest.approx(0.6)
    assert find_reference(row, "abd", "digest") is None
    assert find_reference(row, "abc", "other") is None
    assert find_reference(pd.DataFrame(columns=REFERENCE_COLUMNS), "abc", "digest") is None


def test_an_accuracy_that_is_not_known_is_recorded_as_none() -> None:
    predictions = pd.DataFrame({"label": ["P"], "category": ["P"]})
    row = make_row({**FACTS, "before": None}, predictions, "digest", "monday")
    assert math.isnan(row["before"].iloc[0])
