"""What the demonstration prints and keeps of each night."""

from __future__ import annotations

from image_classification.gate.measure import MEASURES
from image_classification.local import nights


def test_the_history_holds_the_measures_that_are_marked_for_it() -> None:
    shown = [measure for measure in MEASURES if measure.shown_first]
    assert list(nights.SHOWN) == [measure.name for measure in shown]
    assert nights.SHOWN[:5] == ("accuracy", "auc", "sensitivity", "specificity", "f1")
    assert all(measure.larger_is_better for measure in shown)


def test_a_night_is_kept_with_these_measures_of_both_models() -> None:
    tags = {
        f"{prefix}_{name}": "0.9" for prefix in ("validation", "champion") for name in nights.SHOWN
    }
    tags |= {"images": "40", "patients": "4", "decision": "promoted"}
    row = nights._summarise(1, "first", "promoted v2\n", tags, "2")
    for name in nights.SHOWN:
        assert (row[f"challenger_{name}"], row[f"champion_{name}"]) == (0.9, 0.9)
    assert (row["images"], row["version"], row["outcome"]) == (40, "2", "promoted v2")
    first = nights._summarise(1, "first", "", {}, None)
    assert (first["challenger_accuracy"], first["decision"]) == (None, "nothing trained")


def test_a_night_that_waits_is_told_from_one_that_was_stopped() -> None:
    said = "skipped: Waiting for more: no image is accepted yet. 0 patients are known."
    row = nights._summarise(1, "first", f"{said}\n\nMLflow run: http://mlflow/run", {}, None)
    assert (row["decision"], row["outcome"]) == ("waiting for more", said)
    stopped = nights._summarise(1, "first", "failed: check_contract. ...", {}, None)
    assert stopped["decision"] == "nothing trained"
