"""What is measured of a classifier, and that every output takes its measures from the one list."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from judgement import judge, make_comparison, make_decision, make_entry
from sklearn import metrics

from image_classification.champion import card, ledger
from image_classification.gate import measure, policy, rule, verdict
from image_classification.gate.measure import (
    MEASURES,
    Answers,
    Measure,
    average_classes,
    count_confusions,
    find_measure,
    measure_calibration_error,
    measure_classes,
    measure_predictions,
)
from image_classification.gate.prediction import tabulate_predictions


def predictions(labels: str, scores: list[float]) -> pd.DataFrame:
    table = pd.DataFrame({"label": list(labels)})
    given = np.array(scores)
    return tabulate_predictions(table, np.stack([given, 1 - given], axis=1), ["p", "u"])


KNOWN = predictions("pppuu", [0.9, 0.8, 0.4, 0.3, 0.6])


class TestMeasures:
    def test_a_known_table_is_measured_as_counted_by_hand(self) -> None:
        losses = [0.9, 0.8, 0.4, 0.7, 0.4]  # given to the label
        # Bins of one: 0.9, 0.8 and 0.7 right, both 0.6 wrong.
        gaps = [0.1, 0.2, 0.6, 0.3, 0.6]
        expected = {
            "accuracy": 3 / 5,
            "auc": 5 / 6,
            "sensitivity": 2 / 3,
            "specificity": 1 / 2,
            "f1": 2 / 3,
            "calibration_error": sum(gaps) / 5,
            "log_loss": -sum(map(math.log, losses)) / 5,
        }
        measured = measure_predictions(KNOWN, ["p", "u"], "p")
        assert {name: measured[name] for name in expected} == pytest.approx(expected)

    def test_sensitivity_specificity_auc_and_f1_are_about_the_positive_class(self) -> None:
        other = measure_predictions(KNOWN, ["p", "u"], "u")
        assert other["sensitivity"] == pytest.approx(1 / 2)
        assert other["specificity"] == pytest.approx(2 / 3)
        assert other["f1"] == pytest.approx(1 / 2)
        assert other["auc"] == pytest.approx(5 / 6)

    @pytest.mark.filterwarnings("error")
    def test_without_a_positive_class_they_are_means_over_the_classes(self) -> None:
        given = np.random.default_rng(1).dirichlet(np.ones(4), 60)
        table = tabulate_predictions(pd.DataFrame({"label": list("abc" * 20)}), given, list("abcd"))
        measured = measure_predictions(table, list("abcd"), None)
        each = [measure_predictions(table, list("abcd"), name) for name in "abc"]
        for name in ("auc", "sensitivity", "specificity", "f1"):
            assert measured[name] == pytest.approx(np.mean([one[name] for one in each]))
        assert measured["accuracy"] == each[0]["accuracy"]
        one_class = measure_predictions(table[table["label"] == "a"], list("abcd"), None)
        assert math.isnan(one_class["auc"])

    @pytest.mark.filterwarnings("error")
    def test_probabilities_of_a_network_which_sum_to_one_but_for_rounding_are_measured(
        self,
    ) -> None:
        given = np.random.default_rng(0).dirichlet(np.ones(3), 50).astype(np.float32)
        given *= np.float32(1 + 1e-6)
        labels = pd.DataFrame({"label": list("abcab" * 10)})
        table = tabulate_predictions(labels, given, list("abc"))
        exact = tabulate_predictions(labels, given / given.sum(axis=1, keepdims=True), list("abc"))
        measures = measure_predictions(table, list("abc"), "a")
        assert measures == pytest.approx(measure_predictions(exact, list("abc"), "a"), rel=1e-5)

    def test_three_classes_are_measured_against_the_rest(self) -> None:
        labels = pd.DataFrame({"label": list("abcabc")})
        probabilities = np.tile(np.eye(3), (2, 1)) * 0.8 + 0.2 / 3
        table = tabulate_predictions(labels, probabilities, list("abc"))
        measures = measure_predictions(table, list("abc"), "b")
        assert {measures[name] for name in ("accuracy", "auc", "sensitivity", "f1")} == {1.0}

    @pytest.mark.parametrize("seed", range(5))
    def test_what_is_counted_here_is_what_scikit_learn_counts(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        images = pd.DataFrame({"label": random.choice(list("abc"), 40)})
        table = tabulate_predictions(images, random.dirichlet(np.ones(3), 40), list("abc"))
        measures = measure_predictions(table, list("abc"), "b")
        label, category = table["label"], table["category"]
        assert measures["accuracy"] == metrics.accuracy_score(label, category)
        assert measures["f1"] == metrics.f1_score(label == "b", category == "b")
        assert measures["sensitivity"] == metrics.recall_score(label == "b", category == "b")
        assert measures["specificity"] == metrics.recall_score(label != "b", category != "b")

    def test_without_a_positive_image_or_answer_f1_is_zero(self) -> None:
        table = predictions("uu", [0.1, 0.2])
        answers = Answers(
            table["label"].to_numpy(object),
            table["category"].to_numpy(object),
            table[["probability_p", "probability_u"]].to_numpy(),
            ["p", "u"],
            "p",
        )
        assert measure.measure_f1(answers) == 0.0

    def test_each_class_is_measured_with_its_number_of_images(self) -> None:
        classes = measure_classes(KNOWN, ["p", "u"])
        assert classes["p"] == pytest.approx(
            {"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "images": 3}
        )
        assert classes["u"] == pytest.approx(
            {"precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2, "images": 2}
        )

    def test_a_class_without_images_measures_zero(self) -> None:
        found = measure_classes(KNOWN, ["p", "u", "x"])["x"]
        assert found == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "images": 0}


def calibrate(groups: list[tuple[float, int, int]]) -> float:
    """Return the calibration error of groups: confidence, images, and how many are right."""
    confidences = [confidence for confidence, images, _ in groups for _ in range(images)]
    right = [number < wins for _, images, wins in groups for number in range(images)]
    return measure_calibration_error(np.array(confidences), np.array(right))


class TestCalibration:
    @pytest.mark.parametrize(
        "groups",
        [
            [(0.75, 4, 3)],
            [(0.75, 400, 300)],
            [(0.5, 10, 5), (0.9, 10, 9), (1.0, 80, 80)],
            [(1.0, 1, 1)],
        ],
    )
    def test_a_model_as_right_as_it_is_sure_has_none(
        self, groups: list[tuple[float, int, int]]
    ) -> None:
        assert calibrate(groups) == pytest.approx(0, abs=1e-12)

    @pytest.mark.parametrize(
        ("groups", "error"),
        [
            # too sure, not sure enough, and always wrong
            ([(0.9, 10, 5)], 0.4),
            ([(0.6, 10, 10)], 0.4),
            ([(1.0, 7, 0)], 1.0),
            # bins of two: 10 images off by 0.3, 10 off by 0.1
            ([(0.5, 10, 8), (0.9, 10, 8)], 0.2),
            # bins of three: the fourth holds one of the first level and two of the second
            ([(0.6, 10, 10), (0.8, 20, 10)], (9 * 0.4 + 0.2 + 18 * 0.3) / 30),
        ],
    )
    def test_small_cases_counted_by_hand(
        self, groups: list[tuple[float, int, int]], error: float
    ) -> None:
        assert calibrate(groups) == pytest.approx(error)

    def test_images_of_equal_confidence_count_alike_in_any_order(self) -> None:
        confidences = np.repeat([0.7, 1.0], [13, 40])
        right = np.arange(53) % 3 > 0
        errors = set()
        for seed in range(5):
            order = np.random.default_rng(seed).permutation(53)
            errors.add(round(measure_calibration_error(confidences[order], right[order]), 12))
        assert len(errors) == 1

    def test_it_is_measured_of_the_category_called_and_lies_between_zero_and_one(self) -> None:
        sure_and_wrong = predictions("pu", [0.0, 1.0])
        sure_and_right = predictions("pu", [1.0, 0.0])
        assert measure_predictions(sure_and_wrong, ["p", "u"], "p")["calibration_error"] == 1
        assert measure_predictions(sure_and_right, ["p", "u"], "p")["calibration_error"] == 0


TELLING = Measure("youden", "Youden's J", lambda _: 0.25)
COSTLY = Measure(
    "expected_cost", "expected cost", lambda _: 3.0, larger_is_better=False, in_points=False
)


class TestOneList:
    """A measure that is added to the list is in every output, or a test here fails."""

    @pytest.fixture(autouse=True)
    def added(self, monkeypatch: pytest.MonkeyPatch) -> None:
        more = (*MEASURES, TELLING, COSTLY)
        for module in (measure, rule):
            monkeypatch.setattr(module, "MEASURES", more)

    def test_names_and_titles_are_each_used_once(self) -> None:
        assert len({found.name for found in MEASURES}) == len(MEASURES)
        assert len({found.title for found in MEASURES}) == len(MEASURES)

    def test_the_names_that_old_ledgers_and_versions_are_read_by_are_still_there(self) -> None:
        old = ["accuracy", "auc", "sensitivity", "specificity", "f1"]
        old += ["calibration_error", "log_loss"]
        assert [found.name for found in MEASURES if found.name in old] == old

    def test_it_is_measured(self) -> None:
        measured = measure_predictions(KNOWN, ["p", "u"], "p")
        assert list(measured) == [found.name for found in (*MEASURES, TELLING, COSTLY)]
        assert (measured["youden"], measured["expected_cost"]) == (0.25, 3.0)

    def test_it_is_a_column_of_the_ledger_for_challenger_and_champion(self) -> None:
        decision = make_decision(ours={"youden": 0.8}, theirs={"youden": 0.7})
        table = ledger.tabulate_entries([make_entry(verdict.PROMOTED, "4", decision=decision)])
        for found in (*MEASURES, TELLING, COSTLY):
            assert {f"challenger_{found.name}", f"champion_{found.name}"} <= set(table)
        assert table[["challenger_youden", "champion_youden"]].iloc[0].tolist() == [0.8, 0.7]
        assert table.columns.is_unique

    def test_it_is_a_row_of_the_card_with_its_title_and_which_is_better(self) -> None:
        ours, theirs = {"youden": 0.8, "expected_cost": 3.0}, {"youden": 0.7, "expected_cost": 2.0}
        text = card.render_decision(make_decision(ours=ours, theirs=theirs))
        for found in (*MEASURES, TELLING, COSTLY):
            assert f"| {found.title} | " in text
        assert "| Youden's J | 0.8000 | 0.7000 | +10.0 points, better |" in text
        assert "| expected cost | 3.0000 | 2.0000 | +1.0000, worse |" in text

    def test_a_measure_that_is_no_longer_taken_is_shown_as_it_was_stored(self) -> None:
        text = card.render_decision(make_decision(ours={"old_one": 0.8}, theirs={"old_one": 0.7}))
        assert find_measure("old_one") is None
        assert "| old one | 0.8000 | 0.7000 | +0.1000 |" in text

    def test_the_policy_takes_a_guardrail_on_it_and_a_floor_where_more_is_better(self) -> None:
        floors = policy.list_floors((TELLING, COSTLY))
        guardrails = policy.list_guardrails((TELLING, COSTLY))
        assert list(floors) == ["youden"]
        assert list(guardrails) == [
            "maximum_youden_fall",
            "maximum_expected_cost_rise",
            "maximum_worst_patient_fall",
            "minimum_patient_images",
        ]

    def test_a_guardrail_on_it_is_a_rule_of_the_gate_and_stands_on_the_card(self) -> None:
        ours, theirs = {"youden": 0.8, "expected_cost": 3.0}, {"youden": 0.9, "expected_cost": 2.5}
        rules = {
            **make_decision()["policy"]["guardrails"],
            "maximum_youden_fall": 0.05,
            "maximum_expected_cost_rise": 0.4,
        }
        comparison = make_comparison(ours=ours, theirs=theirs)
        found = {check["name"]: check for check in rule.check_guardrails(comparison, rules)}
        assert list(found) == [
            "sensitivity",
            "calibration_error",
            "youden",
            "expected_cost",
            "worst_patient",
        ]
        assert not found["youden"]["passed"]
        assert found["youden"]["sentence"] == (
            "Youden's J fell by 10.0 points (0.9000 to 0.8000), allowed: 5"
        )
        assert not found["expected_cost"]["passed"]
        assert found["expected_cost"]["required"] == "rose by at most 0.4"
        assert found["expected_cost"]["sentence"] == (
            "expected cost rose by 0.5000 (2.5000 to 3.0000), allowed: 0.4"
        )
        decision = {**judge(comparison), "checks": list(found.values())}
        text = card.render_decision(decision)
        assert "| guardrail | youden | 10.00 points | fell by at most 5 points | **no** |" in text
        assert "| guardrail | expected cost | 0.5 | rose by at most 0.4 | **no** |" in text


def test_importing_the_list_loads_neither_pandas_nor_scikit_learn() -> None:
    code = (
        "import sys, image_classification.gate.measure, image_classification.gate.policy\n"
        "print([name for name in ('pandas', 'scipy', 'sklearn') if name in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


def test_macro_averages_count_each_class_alike_and_leave_out_one_without_images() -> None:
    classes = {
        "ring": {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "images": 1000},
        "healthy": {"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "images": 10},
        "gametocyte": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "images": 0},
    }
    assert average_classes(classes) == {"precision": 0.75, "recall": 0.75, "f1": 2 / 3}


def test_the_confusion_matrix_has_a_row_per_label_and_a_column_per_category() -> None:
    predictions = pd.DataFrame(
        {"label": ["a", "a", "a", "b", "b"], "category": ["a", "b", "c", "b", "b"]}
    )
    assert count_confusions(predictions, ["a", "b", "c"]) == [[1, 1, 1], [0, 2, 0], [0, 0, 0]]
    assert count_confusions(predictions[3:], ["c", "b"]) == [[0, 0], [0, 2]]
