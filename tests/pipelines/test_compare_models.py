"""`compare_models`: when a challenger replaces the champion. Each rule at its boundary."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from samples import NEGATIVE, POSITIVE, tabulate_scores

from image_classification.errors import DataError
from image_classification.pipelines.promotion.nodes import compare_models

RULE: dict[str, Any] = {
    "enabled": True,
    "minimum_accuracy": 0.5,
    "minimum_sensitivity": 0.5,
    "minimum_accuracy_gain": 0.0,
}
LABELS = [POSITIVE] * 10 + [NEGATIVE] * 10
NO_CHAMPION = tabulate_scores([], [])


def score_model(missed: int = 0, false_alarms: int = 0, version: str = "2") -> pd.DataFrame:
    """Return predictions on 20 images, 10 of each class, with this many mistakes."""
    right = [0.9] * 10 + [0.1] * 10
    wrong = set(range(missed)) | set(range(10, 10 + false_alarms))
    scores = [1 - score if row in wrong else score for row, score in enumerate(right)]
    return tabulate_scores(LABELS, scores, version)


def compare(
    challenger: pd.DataFrame, champion: pd.DataFrame = NO_CHAMPION, **rule: Any
) -> dict[str, Any]:
    return compare_models(challenger, champion, [POSITIVE, NEGATIVE], POSITIVE, {**RULE, **rule})


def score_champion(missed: int = 0, false_alarms: int = 0) -> pd.DataFrame:
    return score_model(missed, false_alarms, version="1")


def test_promotes_the_first_champion_that_meets_the_floors() -> None:
    decision = compare(score_model(missed=1))

    assert decision["promote"] is True
    assert decision["champion"] is None
    assert "first champion" in decision["reason"]
    assert "0.9500" in decision["reason"]


def test_promotes_a_challenger_that_is_better_by_one_image() -> None:
    decision = compare(score_model(missed=1), score_champion(missed=2))

    assert decision["promote"] is True
    assert "+5.00 points from champion v1's 0.9000" in decision["reason"]


def test_keeps_champion_at_a_tie() -> None:
    decision = compare(score_model(missed=2), score_champion(false_alarms=2))

    assert decision["promote"] is False
    assert "+0.00 points" in decision["reason"]


def test_keeps_champion_that_is_better() -> None:
    assert compare(score_model(missed=2), score_champion(missed=1))["promote"] is False


@pytest.mark.parametrize(("missed", "promoted"), [(2, True), (3, False)])
def test_an_accuracy_equal_to_the_floor_passes_and_one_image_less_does_not(
    missed: int, promoted: bool
) -> None:
    decision = compare(score_model(missed=missed), minimum_accuracy=0.9)

    assert decision["promote"] is promoted
    if not promoted:
        assert decision["reason"] == (
            "the challenger's accuracy of 0.8500 is below the floor of 0.9000"
        )


@pytest.mark.parametrize(("missed", "promoted"), [(3, True), (4, False)])
def test_keeps_champion_when_sensitivity_is_below_the_floor(missed: int, promoted: bool) -> None:
    decision = compare(score_model(missed=missed), minimum_sensitivity=0.7)

    assert decision["promote"] is promoted
    if not promoted:
        assert "sensitivity of 0.6000 is below the floor of 0.7000" in decision["reason"]


def test_keeps_champion_when_a_more_accurate_challenger_is_below_a_floor() -> None:
    decision = compare(
        score_model(missed=4), score_champion(missed=3, false_alarms=3), minimum_sensitivity=0.7
    )

    assert decision["promote"] is False
    assert "sensitivity" in decision["reason"]


@pytest.mark.parametrize("mistakes", range(2, 10))
def test_a_gain_equal_to_the_minimum_keeps_the_champion(mistakes: int) -> None:
    """0.8 - 0.7 is more than 0.1 in binary: exact for every pair of accuracies."""
    champion = score_champion(missed=mistakes // 2, false_alarms=mistakes - mistakes // 2)
    mistakes -= 2
    challenger = score_model(missed=mistakes // 2, false_alarms=mistakes - mistakes // 2)

    assert compare(challenger, champion, minimum_accuracy_gain=0.1)["promote"] is False


def test_a_gain_of_one_image_more_than_the_minimum_promotes() -> None:
    decision = compare(score_model(missed=1), score_champion(missed=4), minimum_accuracy_gain=0.1)

    assert decision["promote"] is True
    assert "required: more than +10.00" in decision["reason"]


def test_a_negative_minimum_allows_a_challenger_a_little_worse() -> None:
    worse, champion = score_model(missed=2), score_champion(missed=1)

    assert compare(worse, champion, minimum_accuracy_gain=-0.06)["promote"] is True
    assert compare(worse, champion, minimum_accuracy_gain=-0.05)["promote"] is False


@pytest.mark.parametrize("champion", [NO_CHAMPION, score_champion(missed=5)])
def test_never_promotes_when_switched_off_and_says_what_would_have_been(
    champion: pd.DataFrame,
) -> None:
    decision = compare(score_model(), champion, enabled=False)

    assert decision["promote"] is False
    assert "promotion.enabled is false" in decision["reason"]
    assert "otherwise " in decision["reason"]


def test_refuses_a_comparison_on_other_images() -> None:
    champion = score_champion()
    champion.loc[3, "image_id"] = "id-elsewhere"

    with pytest.raises(DataError, match="not scored on the same images"):
        compare(score_model(), champion)


@pytest.mark.parametrize("rows", [slice(0, 19), slice(None, None, -1)])
def test_refuses_a_comparison_on_fewer_images_or_in_another_order(rows: slice) -> None:
    with pytest.raises(DataError, match="20 and"):
        compare(score_model(), score_champion().iloc[rows])


def test_decision_records_measures_images_patients_and_the_rule() -> None:
    decision = compare(score_model(missed=1), score_champion(missed=2), minimum_accuracy=0.6)

    assert decision["challenger"]["version"] == "2"
    assert decision["champion"]["version"] == "1"
    assert decision["challenger"]["metrics"]["accuracy"] == 0.95
    assert decision["champion"]["metrics"]["sensitivity"] == 0.8
    assert (decision["images"], decision["patients"]) == (20, 10)
    assert decision["rule"] == {**RULE, "minimum_accuracy": 0.6}
    assert json.loads(json.dumps(decision)) == decision


@pytest.mark.parametrize("version", ["", "7", "12"])
def test_a_version_survives_the_file_between_the_tasks(tmp_path: Path, version: str) -> None:
    def pass_on(table: pd.DataFrame, name: str) -> pd.DataFrame:
        from kedro_datasets.pandas import CSVDataset

        dataset = CSVDataset(filepath=str(tmp_path / name))
        dataset.save(table)
        return dataset.load()

    decision = compare(
        pass_on(score_model(version=version), "challenger.csv"),
        pass_on(NO_CHAMPION, "no_champion.csv"),
    )

    assert decision["challenger"]["version"] == version
    assert decision["champion"] is None


def score_three(classes: Sequence[str], called: Sequence[str], version: str) -> pd.DataFrame:
    """Return predictions of three classes, certain of the class called."""
    chosen = np.array([classes.index(name) for name in called])
    table = pd.DataFrame({"label": [*classes, *classes], "category": called})
    for number, name in enumerate(classes):
        table[f"probability_{name}"] = np.where(chosen == number, 0.8, 0.1)
    table["image_id"] = table["image_name"] = [f"id-{row}" for row in range(len(table))]
    return table.assign(patient="C1", model_version=version)


def test_more_than_two_classes_are_judged_by_the_recall_of_the_positive_one() -> None:
    classes = ["gametocyte", "healthy", "ring"]
    finds_all = ["gametocyte", "healthy", "ring", "gametocyte", "healthy", "ring"]
    misses_one_ring = ["gametocyte", "healthy", "ring", "gametocyte", "healthy", "healthy"]
    rule = {**RULE, "minimum_sensitivity": 0.75}

    good = compare_models(
        score_three(classes, finds_all, "2"),
        score_three(classes, misses_one_ring, "1"),
        classes,
        "ring",
        rule,
    )
    bad = compare_models(
        score_three(classes, misses_one_ring, "2"), NO_CHAMPION, classes, "ring", rule
    )

    assert good["promote"] is True
    assert good["champion"]["metrics"]["sensitivity"] == 0.5
    assert bad["promote"] is False
    assert "sensitivity of 0.5000" in bad["reason"]
