"""The gate as a whole: what the verdict is, how it is explained, and that it repeats itself."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judgement import (
    CLASSES,
    METRICS,
    NEGATIVE,
    POSITIVE,
    assert_only_fails,
    find_check,
    find_failed,
    judge,
    make_comparison,
    make_facts,
    make_policy,
    predict,
)
from shipped import read_shipped

from image_classification.gate import judgement
from image_classification.gate.comparison import compare_predictions
from image_classification.gate.measure import MEASURES

NAN = float("nan")
PACKAGE: Any = make_facts()["package"]


def test_a_challenger_that_meets_every_rule_is_promoted() -> None:
    decision = judge()
    assert decision["verdict"] == "promote"
    assert decision["promote"] is True
    assert find_failed(decision) == []
    assert find_check(decision, "champion_scored")["value"] == "yes"
    groups = {check["group"] for check in decision["checks"]}
    assert groups == {"guard", "floor", "improvement", "guardrail", "limit"}
    assert len(decision["checks"]) == 8 + 3 + 3 + 3 + 3


def test_the_shipped_policy_checks_these_rules_in_this_order() -> None:
    policy = read_shipped("promotion")
    decision = judgement.judge(make_comparison(), make_facts(), policy)
    guarded = [found.name for found in MEASURES if found.guardrail in policy["guardrails"]]
    assert {"sensitivity", "calibration_error"} <= set(guarded)
    assert list(policy["floors"])[:3] == ["accuracy", "sensitivity", "auc"]
    assert [(check["group"], check["name"]) for check in decision["checks"]] == [
        ("guard", "champion_scored"),
        ("guard", "another_version"),
        ("guard", "challenger_unseen_patients"),
        ("guard", "champion_unseen_patients"),
        ("guard", "data_not_older"),
        ("guard", "run_of_today"),
        ("guard", "not_rolled_back"),
        ("guard", "ledger"),
        *(("floor", name) for name in policy["floors"]),
        ("improvement", "believed_gain"),
        ("improvement", "expected_loss"),
        *(("guardrail", name) for name in guarded),
        ("guardrail", "worst_patient"),
        ("limit", "load_s"),
        ("limit", "latency_ms"),
        ("limit", "size_mb"),
    ]


class TestVerdict:
    def test_a_first_champion_needs_floors_limits_and_guards_only(self) -> None:
        decision = judge(make_comparison(theirs=None))
        assert decision["verdict"] == "promote"
        assert {check["group"] for check in decision["checks"]} == {"guard", "floor", "limit"}
        assert decision["reason"] == (
            "first champion: it meets the floors, accuracy 0.9500 (0.85), sensitivity 0.9400 "
            "(0.8), auc 0.9800 (0.92)"
        )

    def test_a_first_champion_under_a_policy_without_floors_is_explained_so(self) -> None:
        policy = make_policy() | {"floors": {}}
        decision = judgement.judge(make_comparison(theirs=None), make_facts(), policy)
        assert (decision["verdict"], decision["reason"]) == (
            "promote",
            "first champion: no floor is set",
        )

    @pytest.mark.parametrize("share", [0.6, 0.95])
    def test_without_a_floor_of_its_own_it_must_beat_the_commonest_class(
        self, share: float
    ) -> None:
        policy: Any = make_policy() | {"floors": {}, "floor_above_majority": 0.1}
        comparison = make_comparison(theirs=None) | {"majority": {"class": "coat", "share": share}}
        decision = judgement.judge(comparison, make_facts(), policy)
        if share == 0.6:
            assert decision["reason"].endswith("it meets the floors, accuracy 0.9500 (0.7)")
        else:
            assert decision["verdict"] == "keep"
            assert decision["reason"] == (
                "the challenger's accuracy of 0.9500 is below the floor of 0.975; "
                f"{judgement.WHAT_TO_TRY}"
            )

    def test_what_to_try_is_said_of_a_floor_alone(self) -> None:
        below = judge(make_comparison(ours={"auc": 0.5}))
        assert below["reason"].count("to try: ") == 1
        assert "to try: " not in judge(make_comparison(tests={"low": -0.1}))["reason"]

    @pytest.mark.parametrize("mode", ["auto", "approve", "dry_run"])
    @pytest.mark.parametrize(
        ("comparison", "facts", "verdict"),
        [
            (make_comparison(), make_facts(), "promote"),
            (make_comparison(theirs=None), make_facts(), "promote"),
            (make_comparison(tests={"low": -0.1}), make_facts(), "keep"),
            (make_comparison(), make_facts(backfill=True), "refuse"),
        ],
    )
    def test_the_mode_changes_no_verdict(
        self, mode: str, comparison: Any, facts: Any, verdict: str
    ) -> None:
        decision = judge(comparison, facts, mode=mode)
        assert decision["verdict"] == verdict
        assert decision["mode"] == mode
        assert decision["reason"] == judge(comparison, facts)["reason"]

    @pytest.mark.parametrize(
        "changes",
        [
            *({"ours": {name: NAN}} for name in ("accuracy", "sensitivity", "auc")),
            {"ours": {"calibration_error": NAN}},
            *({"theirs": {name: NAN}} for name in ("sensitivity", "calibration_error")),
            *({"tests": {name: NAN}} for name in ("low", "p_value", "patients")),
            {"slices": [("C1", NAN, 0.9)]},
            {"slices": [("C1", 0.9, NAN)]},
            {"ours": dict.fromkeys(METRICS, NAN), "theirs": None},
        ],
    )
    def test_what_could_not_be_measured_never_promotes(self, changes: Any) -> None:
        lenient = {
            "accuracy": 0.0,
            "sensitivity": 0.0,
            "auc": 0.0,
            "minimum_gain": -1.0,
            "significance": 1.0,
            "minimum_patients": 2,
            "maximum_sensitivity_fall": 1.0,
            "maximum_calibration_error_rise": 1.0,
            "maximum_worst_patient_fall": 1.0,
        }
        decision = judge(make_comparison(**changes), **lenient)
        assert decision["verdict"] == "keep"
        assert "nan" in decision["reason"]

    def test_a_decision_holds_every_number_it_was_made_of(self) -> None:
        comparison, facts, policy = make_comparison(), make_facts(), make_policy()
        decision = judgement.judge(comparison, facts, policy)
        assert {key: decision[key] for key in comparison} == comparison
        assert (decision["facts"], decision["policy"]) == (facts, policy)
        found = {
            (check["group"], check["name"]): check["value"]
            for check in decision["checks"]
            if check["group"] != "guard"
        }
        assert found == {
            ("floor", "accuracy"): 0.95,
            ("floor", "sensitivity"): 0.94,
            ("floor", "auc"): 0.98,
            ("improvement", "patients"): 12,
            ("improvement", "gain_over_patients"): 0.002,
            ("improvement", "mcnemar"): 0.0065,
            ("guardrail", "sensitivity"): 0.0,
            ("guardrail", "calibration_error"): 0.0,
            ("guardrail", "worst_patient"): 0.0,
            ("limit", "load_s"): 9.0,
            ("limit", "latency_ms"): 140.0,
            ("limit", "size_mb"): 3.5,
        }

    def test_judging_changes_nothing_it_is_given(self) -> None:
        comparison, facts, policy = make_comparison(), make_facts(), make_policy()
        judgement.judge(comparison, facts, policy)
        assert (comparison, facts, policy) == (make_comparison(), make_facts(), make_policy())


class TestReason:
    def test_a_kept_champion_is_explained_by_the_gain_its_interval_and_what_is_required(
        self,
    ) -> None:
        comparison = make_comparison(tests={"gain": 0.004, "low": -0.006, "high": 0.013})
        assert judge(comparison)["reason"] == (
            "challenger +0.4 points (95 % CI \N{MINUS SIGN}0.6 to 1.3 over 12 patients), "
            "required: lower bound > 0"
        )

    @pytest.mark.parametrize(
        ("minimum", "bound"),
        [(0.005, "0.5"), (-0.01, "\N{MINUS SIGN}1"), (0.0004, "0.04"), (0.1, "10")],
    )
    def test_the_bound_required_is_told_in_points(self, minimum: float, bound: str) -> None:
        comparison = make_comparison(tests={"low": -0.1})
        reason = judge(comparison, minimum_gain=minimum)["reason"]
        assert reason.endswith(f"required: lower bound > {bound}")

    def test_a_mcnemar_that_is_not_met_is_told_with_its_counts(self) -> None:
        comparison = make_comparison(
            tests={"p_value": 0.2744, "only_challenger_right": 9, "only_champion_right": 6}
        )
        assert judge(comparison)["reason"] == (
            "challenger +1.0 points (95 % CI 0.2 to 1.8 over 12 patients), exact McNemar p = 0.274 "
            "(9 images only the challenger has right, 6 only the champion), required: at most 0.05"
        )

    def test_a_mcnemar_says_nothing_new_where_the_stricter_test_fails(self) -> None:
        comparison = make_comparison(tests={"low": -0.006, "p_value": 0.2744})
        decision = judge(comparison)
        assert find_failed(decision) == ["gain_over_patients", "mcnemar"]
        assert "required: lower bound > 0" in decision["reason"]
        assert "McNemar" not in decision["reason"]

    def test_a_promotion_is_explained_by_the_gain_and_the_test(self) -> None:
        assert judge()["reason"] == (
            "challenger +1.0 points (95 % CI 0.2 to 1.8 over 12 patients), exact McNemar "
            "p = 0.0065; all other rules are met"
        )

    def test_the_confidence_is_told_as_it_is(self) -> None:
        comparison = make_comparison(tests={"confidence": 0.975})
        assert "(97.5 % CI 0.2" in judge(comparison)["reason"]

    def test_a_challenger_that_costs_too_much_is_told_with_its_gain(self) -> None:
        decision = judge(facts=make_facts(package={**PACKAGE, "size_mb": 123.456}))
        assert decision["reason"].startswith("challenger +1.0 points")
        assert decision["reason"].endswith(
            "the size of the packaged model is 123.5 MB, allowed: 100"
        )


class TestSeenPatients:
    IMAGES = pd.DataFrame(
        {
            "patient": ["C1", "C1", "C2", "C3", "007", "007"],
            "split": ["train", "train", "validation", "test", "train", "train"],
        }
    )

    def test_only_patients_trained_on_have_been_seen(self) -> None:
        assert judgement.find_seen(self.IMAGES, ["C3", "C2", "C1", "C9", "007"]) == ["007", "C1"]

    def test_names_that_look_like_numbers_are_names(self) -> None:
        assert judgement.find_seen(self.IMAGES, ["7"]) == []
        numbers = self.IMAGES.assign(patient=[1, 1, 2, 3, 7, 7])
        assert judgement.find_seen(numbers, ["7", "2"]) == ["7"]

    def test_no_patient_is_seen_where_nothing_was_trained(self) -> None:
        assert judgement.find_seen(self.IMAGES.iloc[:0], ["C1"]) == []


Rows = list[tuple[str, tuple[bool, float], tuple[bool, float]]]
ANSWERS = st.tuples(st.booleans(), st.sampled_from([0.6, 0.8, 0.9, 1.0]))
ROWS: st.SearchStrategy[Rows] = st.lists(
    st.tuples(st.sampled_from([f"C{number}" for number in range(6)]), ANSWERS, ANSWERS),
    min_size=2,
    max_size=40,
)
LENIENT = make_policy(
    accuracy=0.0,
    sensitivity=0.0,
    auc=0.0,
    confidence=0.5,
    significance=1.0,
    minimum_patients=2,
    maximum_sensitivity_fall=1.0,
    maximum_calibration_error_rise=1.0,
    maximum_worst_patient_fall=1.0,
    minimum_patient_images=5,
)
"""Only the gain stands in the way."""


def tabulate(rows: Rows) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the predictions of challenger and champion."""
    tables = []
    for place, version in ((1, "2"), (2, "1")):
        answers = [row[place] for row in rows]
        table = predict(
            {"": "".join(str(int(right)) for right, _ in answers)},
            version,
            [confidence for _, confidence in answers],  # type: ignore[misc]
        )
        tables.append(table.assign(patient=[row[0] for row in rows]))
    return tables[0], tables[1]


def compare(challenger: pd.DataFrame, champion: pd.DataFrame) -> dict[str, Any]:
    return compare_predictions(challenger, champion, CLASSES, POSITIVE, LENIENT)


many = settings(max_examples=15, deadline=None)


class TestWholeDecisions:
    """From tables of predictions to a decision, whatever they hold."""

    def test_deciding_is_comparing_and_judging(self) -> None:
        ours, theirs = predict({"C1": "1111", "C2": "1101"}), predict({"C1": "1110", "C2": "1101"})
        for champion in (theirs, theirs.iloc[:0]):
            for facts in (None, make_facts(), make_facts(backfill=True)):
                comparison = compare(ours, champion)
                decision = judgement.decide(ours, champion, CLASSES, POSITIVE, LENIENT, facts)
                assert decision == judgement.judge(comparison, facts, LENIENT)

    @pytest.mark.parametrize("answers", ["1" * 8, "10110111", "0" * 7 + "1"])
    def test_an_identical_challenger_is_kept(self, answers: str) -> None:
        right = {f"C{number}": answers for number in range(12)}
        decision = judgement.decide(predict(right), predict(right), CLASSES, POSITIVE, LENIENT)
        assert_only_fails(decision, "gain_over_patients")
        assert decision["reason"] == (
            "challenger +0.0 points (50 % CI 0.0 to 0.0 over 12 patients), "
            "required: lower bound > 0"
        )

    def test_a_challenger_that_is_right_about_everybody_is_promoted(self) -> None:
        right = {f"C{number}": "1" * 24 for number in range(12)}
        wrong = dict.fromkeys(right, "1" * 20 + "0" * 4)
        decision = judgement.decide(
            predict(right, confidences=[0.99]), predict(wrong), CLASSES, POSITIVE, make_policy()
        )
        assert_only_fails(decision)

    @given(rows=ROWS)
    @many
    def test_a_challenger_right_on_a_part_of_what_the_champion_has_right_is_never_promoted(
        self, rows: Rows
    ) -> None:
        worse = [(name, (ours[0] and theirs[0], ours[1]), theirs) for name, ours, theirs in rows]
        decision = judgement.decide(*tabulate(worse), CLASSES, POSITIVE, LENIENT)
        assert decision["verdict"] == "keep"

    @given(rows=ROWS)
    @many
    def test_swapping_the_roles_mirrors_the_gain_and_at_most_one_of_them_wins(
        self, rows: Rows
    ) -> None:
        challenger, champion = tabulate(rows)
        one, other = compare(challenger, champion), compare(champion, challenger)
        tests, mirrored = one["tests"], other["tests"]
        assert mirrored["gain"] == -tests["gain"]
        assert mirrored["low"] == pytest.approx(-tests["high"], abs=1e-9)
        assert mirrored["high"] == pytest.approx(-tests["low"], abs=1e-9)
        assert mirrored["only_challenger_right"] == tests["only_champion_right"]
        assert mirrored["only_champion_right"] == tests["only_challenger_right"]
        assert one["challenger"]["metrics"] == other["champion"]["metrics"]
        verdicts = [judgement.judge(found, None, LENIENT)["verdict"] for found in (one, other)]
        assert verdicts.count("promote") <= 1

    @given(rows=ROWS, seed=st.integers(0, 99))
    @many
    def test_the_order_of_the_images_changes_nothing(self, rows: Rows, seed: int) -> None:
        challenger, champion = tabulate(rows)
        order = np.random.default_rng(seed).permutation(len(rows))
        one, other = (
            compare(challenger, champion),
            compare(challenger.iloc[order], champion.iloc[order]),
        )
        for role in ("challenger", "champion"):
            assert other[role]["metrics"] == pytest.approx(one[role]["metrics"], abs=1e-12)
            other[role] = one[role]
        assert other == one

    @given(rows=ROWS, champion=st.booleans())
    @many
    def test_a_decision_read_back_from_its_file_is_the_same_again(
        self, rows: Rows, champion: bool
    ) -> None:
        ours, theirs = tabulate(rows)
        comparison = compare(ours, theirs if champion else theirs.iloc[:0])
        facts, policy = make_facts(), make_policy()
        decision = judgement.judge(comparison, facts, policy)
        stored = json.loads(json.dumps(decision, allow_nan=False))
        assert stored == decision
        again = json.loads(json.dumps([comparison, facts, policy], allow_nan=False))
        assert judgement.judge(*again) == decision
        assert judgement.judge(stored, stored["facts"], stored["policy"]) == decision

    def test_three_classes_are_judged_by_the_recall_of_the_positive_one(self) -> None:
        classes = ["gametocyte", NEGATIVE, "ring"]

        def call(names: str, version: str) -> pd.DataFrame:
            called = [classes["gnr".index(letter)] for letter in names]
            table = pd.DataFrame({"label": [*classes, *classes], "category": called})
            for name in classes:
                table[f"probability_{name}"] = np.where(table["category"] == name, 0.8, 0.1)
            table["image_id"] = [f"id-{row}" for row in range(len(table))]
            return table.assign(patient=list("AAABBB"), model_version=version)

        decision = judgement.decide(
            call("gnrgnn", "2"),
            call("gnrgnr", "1"),
            classes,
            "ring",
            make_policy(sensitivity=0.5, accuracy=0.8, auc=0.0, maximum_sensitivity_fall=0.5),
        )
        assert decision["challenger"]["metrics"]["sensitivity"] == 0.5
        assert decision["champion"]["metrics"]["sensitivity"] == 1.0
        assert find_check(decision, "sensitivity", "floor")["passed"]
        assert find_check(decision, "sensitivity", "guardrail")["value"] == 0.5
        assert decision["verdict"] == "keep"
