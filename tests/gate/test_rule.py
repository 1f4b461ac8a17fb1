"""The rules of the gate: each at its limit, on both sides."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judgement import (
    METRICS,
    assert_only_fails,
    find_check,
    find_failed,
    judge,
    make_comparison,
    make_facts,
    make_policy,
)

from image_classification.gate import judgement
from image_classification.gate.comparison import measure_mcnemar
from image_classification.gate.measure import MEASURES, Measure
from image_classification.gate.rule import check_floors, check_guardrails

NAN = float("nan")
TINY = 1e-6
"""Smaller than any difference that counts on a real validation set, larger than a rounding."""


class TestFloors:
    @pytest.mark.parametrize("name", ["accuracy", "sensitivity", "auc"])
    @pytest.mark.parametrize("champion", [{}, None])
    def test_a_measure_equal_to_its_floor_passes_and_one_just_below_does_not(
        self, name: str, champion: Any
    ) -> None:
        rule = {name: 0.9, "maximum_sensitivity_fall": 1.0}
        at = judge(make_comparison(ours={name: 0.9}, theirs=champion), **rule)
        below = judge(make_comparison(ours={name: 0.9 - TINY}, theirs=champion), **rule)
        assert_only_fails(at)
        assert_only_fails(below, name)
        assert f"{name} of 0.9000 is below the floor of 0.9" in below["reason"]

    @given(images=st.integers(1, 400), data=st.data())
    @settings(max_examples=60, deadline=None)
    def test_a_share_equal_to_the_floor_passes_however_it_was_computed(
        self, images: int, data: st.DataObject
    ) -> None:
        right = data.draw(st.integers(0, images))
        shares = (right / images, 1 - (images - right) / images, sum([1 / images] * right))
        for share in shares:
            for floor in shares:
                assert_only_fails(judge(make_comparison(ours={"accuracy": share}), accuracy=floor))
        if right:
            one_less = make_comparison(ours={"accuracy": (right - 1) / images})
            assert_only_fails(judge(one_less, accuracy=right / images), "accuracy")

    def test_a_difference_counts_from_its_ninth_decimal_on(self) -> None:
        # Half a unit of the ninth decimal is where rounding begins.
        assert_only_fails(judge(make_comparison(ours={"accuracy": 0.9 - 4e-10}), accuracy=0.9))
        below = make_comparison(ours={"accuracy": 0.9 - 6e-10})
        assert_only_fails(judge(below, accuracy=0.9), "accuracy")

    def test_a_floor_of_zero_is_met_by_zero(self) -> None:
        nothing = {"accuracy": 0.0, "sensitivity": 0.0, "auc": 0.0}
        decision = judge(make_comparison(ours=nothing, theirs=nothing), **nothing)
        assert_only_fails(decision)

    def test_each_floor_that_is_not_met_is_told(self) -> None:
        decision = judge(make_comparison(ours={"accuracy": 0.5, "auc": 0.6}, theirs=None))
        assert decision["reason"] == (
            "the challenger's accuracy of 0.5000 is below the floor of 0.85; "
            f"the challenger's auc of 0.6000 is below the floor of 0.92; {judgement.WHAT_TO_TRY}"
        )

    @pytest.mark.parametrize("name", [found.name for found in MEASURES if found.larger_is_better])
    def test_any_measure_of_which_more_is_better_may_have_a_floor(self, name: str) -> None:
        lenient = {"maximum_sensitivity_fall": 1.0, "accuracy": 0.0, "sensitivity": 0.0, "auc": 0.0}
        rule = {**lenient, name: 0.7}
        assert_only_fails(judge(make_comparison(ours={name: 0.7}), **rule))
        assert_only_fails(judge(make_comparison(ours={name: 0.7 - TINY}), **rule), name)

    def test_floors_are_checked_in_the_order_of_the_policy(self) -> None:
        checks = check_floors(METRICS, {"specificity": 0.1, "accuracy": 0.1, "f1": 0.1})
        assert [check["name"] for check in checks] == ["specificity", "accuracy", "f1"]

    def test_a_floor_on_what_was_not_measured_is_not_met(self) -> None:
        comparison = make_comparison()
        del comparison["challenger"]["metrics"]["specificity"]
        decision = judge(comparison, specificity=0.1)
        assert_only_fails(decision, "specificity")
        assert find_check(decision, "specificity")["value"] is None
        assert decision["reason"].endswith(
            "the challenger's specificity was not measured, required: at least 0.1; "
            f"{judgement.WHAT_TO_TRY}"
        )

    def test_a_far_better_challenger_below_a_floor_is_kept_out(self) -> None:
        better = make_comparison(
            ours={"accuracy": 0.8}, theirs={"accuracy": 0.5}, tests={"gain": 0.3, "low": 0.2}
        )
        assert_only_fails(judge(better), "accuracy")


class TestImprovement:
    @pytest.mark.parametrize(("low", "promoted"), [(-TINY, False), (0.0, False), (TINY, True)])
    def test_the_lower_bound_must_be_above_zero(self, low: float, promoted: bool) -> None:
        decision = judge(make_comparison(tests={"low": low}))
        assert_only_fails(decision, *([] if promoted else ["gain_over_patients"]))

    @pytest.mark.parametrize("minimum", [0.1, -0.1, 1 / 3, 0.0123456789123])
    def test_a_lower_bound_equal_to_the_minimum_is_kept_and_just_above_is_promoted(
        self, minimum: float
    ) -> None:
        def judge_bound(low: float) -> dict[str, Any]:
            return judge(make_comparison(tests={"low": low}), minimum_gain=minimum)

        assert_only_fails(judge_bound(minimum), "gain_over_patients")
        assert_only_fails(judge_bound(minimum + TINY))

    @pytest.mark.parametrize("low", [0.8 - 0.7, 0.4 - 0.3, 0.3 - 0.2, 0.1])
    def test_a_bound_that_is_only_above_the_minimum_in_binary_is_kept(self, low: float) -> None:
        decision = judge(make_comparison(tests={"low": low}), minimum_gain=0.1)
        assert_only_fails(decision, "gain_over_patients")

    def test_the_gain_itself_is_not_the_bound(self) -> None:
        unsure = make_comparison(tests={"gain": 0.3, "low": -0.01, "high": 0.6})
        assert_only_fails(judge(unsure), "gain_over_patients")

    def test_a_p_value_equal_to_the_significance_passes(self) -> None:
        p_value = measure_mcnemar(5, 0)
        comparison = make_comparison(tests={"p_value": p_value})
        assert_only_fails(judge(comparison, significance=1 / 32))
        assert_only_fails(judge(comparison, significance=1 / 32 - TINY), "mcnemar")

    def test_a_significance_of_one_switches_the_test_off(self) -> None:
        comparison = make_comparison(tests={"p_value": 1.0})
        assert_only_fails(judge(comparison, significance=1.0))
        assert_only_fails(judge(comparison, significance=0.99), "mcnemar")

    @pytest.mark.parametrize(("patients", "promoted"), [(11, False), (12, True), (13, True)])
    def test_as_many_patients_as_required_are_enough(self, patients: int, promoted: bool) -> None:
        decision = judge(make_comparison(tests={"patients": patients}), minimum_patients=12)
        assert_only_fails(decision, *([] if promoted else ["patients"]))
        if not promoted:
            assert "only 11 validation patients, required: 12" in decision["reason"]

    def test_both_tests_must_agree(self) -> None:
        bound_only = judge(make_comparison(tests={"p_value": 0.2}))
        mcnemar_only = judge(make_comparison(tests={"low": -0.001}))
        assert_only_fails(bound_only, "mcnemar")
        assert_only_fails(mcnemar_only, "gain_over_patients")


FALLS = [(0.8, 0.7), (0.9, 0.8), (0.4, 0.3), (0.3, 0.2), (1.0, 0.9), (0.2, 0.1)]
"""A tenth each; in binary some are more, some less."""


class TestGuardrails:
    @pytest.mark.parametrize(("more", "less"), FALLS)
    def test_sensitivity_may_fall_by_the_limit_and_not_by_more(
        self, more: float, less: float
    ) -> None:
        def fall_to(value: float) -> dict[str, Any]:
            comparison = make_comparison(ours={"sensitivity": value}, theirs={"sensitivity": more})
            return judge(comparison, sensitivity=0.0, maximum_sensitivity_fall=0.1)

        assert_only_fails(fall_to(less))
        assert_only_fails(fall_to(less - TINY), "sensitivity")

    @pytest.mark.parametrize(("more", "less"), FALLS)
    def test_the_calibration_error_may_rise_by_the_limit_and_not_by_more(
        self, more: float, less: float
    ) -> None:
        def rise_to(value: float) -> dict[str, Any]:
            comparison = make_comparison(
                ours={"calibration_error": value}, theirs={"calibration_error": less}
            )
            return judge(comparison, maximum_calibration_error_rise=0.1)

        assert_only_fails(rise_to(more))
        assert_only_fails(rise_to(more + TINY), "calibration_error")

    @pytest.mark.parametrize(("more", "less"), FALLS)
    def test_the_worst_patient_may_fall_by_the_limit_and_not_by_more(
        self, more: float, less: float
    ) -> None:
        def fall_to(value: float) -> dict[str, Any]:
            comparison = make_comparison(slices=[("C1", value, more), ("C2", 1.0, 1.0)])
            return judge(comparison, maximum_worst_patient_fall=0.1)

        assert_only_fails(fall_to(less))
        assert_only_fails(fall_to(less - TINY), "worst_patient")

    @pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
    def test_any_measure_may_get_worse_by_its_limit_and_not_by_more(self, measure: Measure) -> None:
        def worsen(step: float) -> dict[str, Any]:
            change = -step if measure.larger_is_better else step
            comparison = make_comparison(
                ours={measure.name: 0.96 + change}, theirs={measure.name: 0.96}
            )
            lenient = {"maximum_sensitivity_fall": 1.0, "maximum_calibration_error_rise": 1.0}
            return judge(comparison, **{**lenient, measure.guardrail: 0.02})

        assert_only_fails(worsen(0.02))
        assert_only_fails(worsen(-0.02))
        assert_only_fails(worsen(0.02 + TINY), measure.name)

    def test_a_measure_without_a_guardrail_may_fall_as_it_likes(self) -> None:
        comparison = make_comparison(
            ours={"specificity": 0.1, "f1": 0.1, "log_loss": 9.0, "sensitivity": 0.85},
            theirs={"specificity": 0.9, "f1": 0.9, "log_loss": 0.1, "sensitivity": 0.95},
        )
        rule = make_policy()["guardrails"]
        kept = {key: value for key, value in rule.items() if key != "maximum_sensitivity_fall"}
        checks = check_guardrails(comparison, kept)
        assert [check["name"] for check in checks] == ["calibration_error", "worst_patient"]
        assert all(check["passed"] for check in checks)

    def test_a_rise_that_points_would_not_tell_is_told_as_a_number(self) -> None:
        decision = judge(
            make_comparison(ours={"log_loss": 0.2}, theirs={"log_loss": 0.15}),
            maximum_log_loss_rise=0.01,
        )
        assert_only_fails(decision, "log_loss")
        assert find_check(decision, "log_loss")["required"] == "rose by at most 0.01"
        assert decision["reason"].endswith(
            "log loss rose by 0.0500 (0.1500 to 0.2000), allowed: 0.01"
        )

    @pytest.mark.parametrize("role", ["challenger", "champion"])
    def test_a_guardrail_on_what_was_not_measured_is_not_met(self, role: str) -> None:
        comparison = make_comparison()
        del comparison[role]["metrics"]["f1"]
        decision = judge(comparison, maximum_f1_fall=1.0)
        assert_only_fails(decision, "f1")
        assert find_check(decision, "f1", "guardrail")["value"] is None
        assert decision["reason"].endswith(
            f"the F1 of the {role} was not measured, required: fell by at most 100 points"
        )

    def test_a_limit_of_zero_allows_what_stays_as_it_is(self) -> None:
        rule = {
            "maximum_sensitivity_fall": 0.0,
            "maximum_calibration_error_rise": 0.0,
            "maximum_worst_patient_fall": 0.0,
        }
        assert_only_fails(judge(**rule))

    def test_no_improvement_of_a_guarded_measure_is_too_large(self) -> None:
        comparison = make_comparison(
            ours={"sensitivity": 1.0, "calibration_error": 0.0},
            theirs={"sensitivity": 0.1, "calibration_error": 0.9},
            slices=[("C1", 1.0, 0.0)],
        )
        assert_only_fails(judge(comparison))

    def test_the_worst_patient_of_each_model_counts_whoever_it_is(self) -> None:
        comparison = make_comparison(slices=[("C1", 0.6, 0.95), ("C2", 1.0, 0.8), ("C3", 0.9, 0.9)])
        decision = judge(comparison)
        assert_only_fails(decision, "worst_patient")
        assert decision["reason"].endswith(
            "worst patient fell by 20.0 points (0.8000 to 0.6000), allowed: 10; the challenger's "
            "is C1 (25 images), the champion's C2"
        )

    def test_without_a_patient_large_enough_the_slice_is_left_out_and_said_so(self) -> None:
        decision = judge(make_comparison(slices=[]))
        assert_only_fails(decision)
        check = find_check(decision, "worst_patient")
        assert (check["value"], check["required"]) == (
            "none is large enough",
            "a patient with 20 images",
        )
        assert check["sentence"] == ""

    def test_one_patient_large_enough_is_the_worst_one(self) -> None:
        assert_only_fails(judge(make_comparison(slices=[("C1", 0.7, 0.9)])), "worst_patient")

    def test_a_fall_and_a_rise_are_told_with_both_values_and_the_limit(self) -> None:
        comparison = make_comparison(
            ours={"sensitivity": 0.9, "calibration_error": 0.051},
            theirs={"sensitivity": 0.94, "calibration_error": 0.02},
        )
        decision = judge(comparison)
        reason = decision["reason"]
        required = [check["required"] for check in decision["checks"][-6:-4]]
        assert required == ["fell by at most 1 point", "rose by at most 2 points"]
        assert "sensitivity fell by 4.0 points (0.9400 to 0.9000), allowed: 1" in reason
        assert "calibration error rose by 3.1 points (0.0200 to 0.0510), allowed: 2" in reason


LIMITS = {"load_s": "maximum_load_s", "latency_ms": "maximum_latency_ms"} | {
    "size_mb": "maximum_size_mb"
}
PACKAGE: Any = make_facts()["package"]


class TestLimits:
    @pytest.mark.parametrize(("measure", "limit"), LIMITS.items())
    @pytest.mark.parametrize("champion", [{}, None])
    def test_a_cost_equal_to_its_limit_passes_and_one_just_above_does_not(
        self, measure: str, limit: str, champion: Any
    ) -> None:
        def cost(value: float) -> dict[str, Any]:
            facts = make_facts(package={**PACKAGE, measure: value})
            return judge(make_comparison(theirs=champion), facts, **{limit: 12.0})

        assert_only_fails(cost(12.0))
        above = cost(math.nextafter(12.0, 13.0))
        assert_only_fails(above, measure)
        assert "of the packaged model is 12 " in above["reason"]

    @pytest.mark.parametrize("package", [None, {}])
    def test_a_package_that_was_not_measured_is_kept_out(self, package: Any) -> None:
        decision = judge(facts=make_facts(package=package))
        assert_only_fails(decision, *LIMITS)
        assert "the time to load of the packaged model was not measured" in decision["reason"]

    @pytest.mark.parametrize("measure", LIMITS)
    @pytest.mark.parametrize("value", [None, NAN])
    def test_a_cost_that_was_not_measured_keeps_it_out(self, measure: str, value: Any) -> None:
        facts = make_facts(package={**PACKAGE, measure: value})
        assert_only_fails(judge(facts=facts), measure)


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    (
        "challenger_unseen_patients",
        {"challenger_seen": ["C7", "C9"]},
        "the challenger was trained on 2 of the validation patients: C7, C9",
    ),
    (
        "champion_unseen_patients",
        {"champion_seen": ["C7"]},
        "the champion was trained on 1 of the validation patients: C7",
    ),
    (
        "challenger_unseen_patients",
        {"challenger_seen": None},
        "it is not known which patients the challenger was trained on: no table",
    ),
    (
        "champion_unseen_patients",
        {"champion_seen": None},
        "it is not known which patients the champion was trained on: no table",
    ),
    (
        "data_not_older",
        {"challenger_data_until": "2026-11-21T01:59:59+00:00"},
        "were selected as of 2026-11-21T01:59:59+00:00, the champion's later, as of 2026-11-21T02:",
    ),
    (
        "data_not_older",
        {"challenger_data_until": ""},
        "not known as of when the challenger's images were selected; the champion's were as of",
    ),
    ("run_of_today", {"backfill": True}, "the run is a backfill: it may train, and never promotes"),
    (
        "run_of_today",
        {"run_age_hours": 80.04},
        "the run is for a date 80.0 hours ago, allowed: 36; a re-run of an old date may train",
    ),
    (
        "not_rolled_back",
        {"rolled_back": "by Ada on 2026-11-20, misses rings"},
        "was champion before and was rolled back: by Ada on 2026-11-20, misses rings",
    ),
    (
        "ledger",
        {"ledger_fault": "entry 3 was edited"},
        "the ledger allows no promotion: entry 3 was edited",
    ),
]


class TestGuards:
    @pytest.mark.parametrize(("name", "changes", "sentence"), REFUSALS)
    @pytest.mark.parametrize("champion", [{}, None])
    def test_an_unfair_comparison_is_refused_and_says_why(
        self, name: str, changes: dict[str, Any], sentence: str, champion: Any
    ) -> None:
        decision = judge(make_comparison(theirs=champion), make_facts(**changes))
        assert decision["verdict"] == "refuse"
        assert decision["promote"] is False
        assert find_failed(decision) == [name]
        assert sentence in decision["reason"]
        assert find_check(decision, name)["group"] == "guard"

    def test_a_ledger_that_was_not_asked_is_no_rule(self) -> None:
        facts: Any = {name: fact for name, fact in make_facts().items() if name != "ledger_fault"}
        checks = judge(make_comparison(), facts)["checks"]
        assert "ledger" not in {check["name"] for check in checks}

    @pytest.mark.parametrize("facts", [None, make_facts()])
    def test_a_champion_that_cannot_be_scored_refuses_and_is_no_missing_champion(
        self, facts: Any
    ) -> None:
        comparison = make_comparison(theirs=None, fault="its files are gone")
        decision = judgement.judge(comparison, facts, make_policy())
        assert decision["verdict"] == "refuse"
        assert decision["reason"] == "the champion could not be scored: its files are gone"
        assert find_check(decision, "champion_scored")["value"] == "its files are gone"

    @pytest.mark.parametrize(("version", "passes"), [("3", False), ("4", True), ("", True)])
    def test_the_champion_is_no_challenger_of_itself(self, version: str, passes: bool) -> None:
        comparison = make_comparison()
        comparison["challenger"]["version"] = version
        decision = judge(comparison)
        assert decision["verdict"] == ("promote" if passes else "refuse")
        assert find_check(decision, "another_version")["passed"] is passes
        if not passes:
            assert decision["reason"] == "the challenger, version 3, is the champion already"

    def test_without_a_champion_every_challenger_is_another_version(self) -> None:
        assert find_check(judge(make_comparison(theirs=None)), "another_version")["passed"]

    def test_a_guard_beats_every_other_rule_and_alone_is_the_reason(self) -> None:
        poor = make_comparison(
            ours={"accuracy": 0.1, "sensitivity": 0.1, "calibration_error": 0.9},
            tests={"gain": -0.8, "low": -0.9, "p_value": 1.0, "patients": 2},
            slices=[("C1", 0.0, 1.0)],
        )
        facts = make_facts(backfill=True, package=None)
        decision = judge(poor, facts)
        assert decision["verdict"] == "refuse"
        assert decision["reason"] == "the run is a backfill: it may train, and never promotes"
        assert len(find_failed(decision)) > 8

    def test_every_guard_that_fails_is_told(self) -> None:
        facts = make_facts(challenger_seen=["C1"], champion_seen=None, rolled_back="by Ada")
        reason = judge(facts=facts)["reason"]
        assert reason.count(";") == 2
        assert reason.index("challenger was trained on 1") < reason.index("by Ada")

    def test_many_patients_are_counted_in_the_reason_and_all_kept_in_the_decision(self) -> None:
        seen = [f"C{number}" for number in range(6)]
        decision = judge(facts=make_facts(challenger_seen=seen))
        assert "on 6 of the validation patients: C0, C1, C2, C3, C4 …" in decision["reason"]
        assert find_check(decision, "challenger_unseen_patients")["value"] == ", ".join(seen)
        decision = judge(facts=make_facts(challenger_seen=seen[:5]))
        assert decision["reason"].endswith("on 5 of the validation patients: C0, C1, C2, C3, C4")

    @pytest.mark.parametrize(
        ("ours", "theirs", "fair"),
        [
            ("2026-11-22", "2026-11-22", True),
            ("2026-11-22T02:00:00+00:00", "2026-11-22T02:00:00+00:00", True),
            ("2026-11-22T02:00:00.000001+00:00", "2026-11-22T02:00:00+00:00", True),
            ("2026-11-22T02:00:00+00:00", "2026-11-22T02:00:00.000001+00:00", False),
            ("2026-11-22T02:00:00+00:00", "", True),
            ("", "", True),
            ("", "2026-11-22T02:00:00+00:00", False),
        ],
    )
    def test_data_as_new_as_the_champions_are_fair_and_older_or_unknown_are_not(
        self, ours: str, theirs: str, fair: bool
    ) -> None:
        facts = make_facts(challenger_data_until=ours, champion_data_until=theirs)
        assert find_failed(judge(facts=facts)) == ([] if fair else ["data_not_older"])

    @pytest.mark.parametrize(
        ("age", "fair"),
        [
            (36.0, True),
            (math.nextafter(36.0, 37.0), False),
            (0.0, True),
            (-0.1, True),
            (None, True),
            (NAN, False),
        ],
    )
    def test_a_run_as_old_as_allowed_may_promote_and_an_older_one_not(
        self, age: float | None, fair: bool
    ) -> None:
        decision = judge(facts=make_facts(run_age_hours=age))
        assert find_failed(decision) == ([] if fair else ["run_of_today"])

    def test_a_backfill_of_today_is_a_backfill(self) -> None:
        assert judge(facts=make_facts(backfill=True, run_age_hours=0.0))["verdict"] == "refuse"

    def test_without_facts_guards_and_limits_are_left_out(self) -> None:
        decision = judgement.judge(make_comparison(), None, make_policy())
        assert decision["verdict"] == "promote"
        assert decision["facts"] is None
        named = {check["name"] for check in decision["checks"] if check["group"] == "guard"}
        assert named == {"champion_scored"}
        assert not [check for check in decision["checks"] if check["group"] == "limit"]


FAILING = [
    # group, name, value, required, sentence
    (
        "guard",
        "another_version",
        "3",
        "the challenger is not the champion",
        "the challenger, version 3, is the champion already",
    ),
    (
        "guard",
        "challenger_unseen_patients",
        "C7, C9",
        "the challenger was trained on no validation patient",
        "the challenger was trained on 2 of the validation patients: C7, C9",
    ),
    (
        "guard",
        "champion_unseen_patients",
        "unknown",
        "the champion was trained on no validation patient",
        (
            "it is not known which patients the champion was trained on: no table of its images is "
            "kept"
        ),
    ),
    (
        "guard",
        "data_not_older",
        "2026-11-20",
        "not before 2026-11-21T02:00:00+00:00",
        (
            "the challenger's images were selected as of 2026-11-20, the champion's later, as of "
            "2026-11-21T02:00:00+00:00"
        ),
    ),
    (
        "guard",
        "run_of_today",
        80.0,
        "no backfill, at most 36 hours old",
        (
            "the run is for a date 80.0 hours ago, allowed: 36; a re-run of an old date may train, "
            "and never promotes"
        ),
    ),
    (
        "guard",
        "not_rolled_back",
        "by Ada",
        "nobody rolled it back",
        "the challenger was champion before and was rolled back: by Ada",
    ),
    (
        "guard",
        "ledger",
        "entry 3 was edited",
        "the ledger is whole, and knows the champion",
        "the ledger allows no promotion: entry 3 was edited",
    ),
    (
        "floor",
        "accuracy",
        0.8,
        "at least 0.85",
        "the challenger's accuracy of 0.8000 is below the floor of 0.85",
    ),
    (
        "floor",
        "sensitivity",
        0.7,
        "at least 0.8",
        "the challenger's sensitivity of 0.7000 is below the floor of 0.8",
    ),
    (
        "floor",
        "auc",
        0.9,
        "at least 0.92",
        "the challenger's auc of 0.9000 is below the floor of 0.92",
    ),
    (
        "improvement",
        "patients",
        9,
        "at least 10",
        "only 9 validation patients, required: 10",
    ),
    (
        "improvement",
        "gain_over_patients",
        -0.01,
        "lower bound > 0",
        "required: lower bound > 0",
    ),
    (
        "improvement",
        "mcnemar",
        0.75,
        "p at most 0.05",
        (
            "exact McNemar p = 0.75 (12 images only the challenger has right, 2 only the "
            "champion), required: at most 0.05"
        ),
    ),
    (
        "guardrail",
        "sensitivity",
        0.24,
        "fell by at most 1 point",
        "sensitivity fell by 24.0 points (0.9400 to 0.7000), allowed: 1",
    ),
    (
        "guardrail",
        "calibration_error",
        0.03,
        "rose by at most 2 points",
        "calibration error rose by 3.0 points (0.0200 to 0.0500), allowed: 2",
    ),
    (
        "guardrail",
        "worst_patient",
        0.3,
        "fell by at most 10 points",
        (
            "worst patient fell by 30.0 points (0.8000 to 0.5000), allowed: 10; the "
            "challenger's is C1 (25 images), the champion's C2"
        ),
    ),
    (
        "limit",
        "load_s",
        61.0,
        "at most 60 s",
        "the time to load of the packaged model is 61 s, allowed: 60",
    ),
    (
        "limit",
        "latency_ms",
        2001.0,
        "at most 2000 ms",
        "the time for one image of the packaged model is 2001 ms, allowed: 2000",
    ),
    (
        "limit",
        "size_mb",
        100.5,
        "at most 100 MB",
        "the size of the packaged model is 100.5 MB, allowed: 100",
    ),
]
"""What the ledger keeps of each rule, word for word: entries of years are read side by side."""


def test_each_rule_is_stored_with_what_was_found_what_was_required_and_a_sentence() -> None:
    poor = {"accuracy": 0.8, "sensitivity": 0.7, "auc": 0.9, "calibration_error": 0.05}
    comparison = make_comparison(
        ours=poor,
        tests={"low": -0.01, "p_value": 0.75, "patients": 9},
        slices=[("C1", 0.5, 0.9), ("C2", 1.0, 0.8)],
    )
    comparison["challenger"]["version"] = "3"
    facts = make_facts(
        challenger_seen=["C7", "C9"],
        champion_seen=None,
        challenger_data_until="2026-11-20",
        rolled_back="by Ada",
        ledger_fault="entry 3 was edited",
        run_age_hours=80.0,
        package={"load_s": 61.0, "latency_ms": 2001.0, "size_mb": 100.5},
    )
    checks = judge(comparison, facts)["checks"]
    keys = ("group", "name", "value", "required", "sentence")
    assert [tuple(check[key] for key in keys) for check in checks[1:]] == FAILING
    assert not any(check["passed"] for check in checks[1:])
    assert all(set(check) == {*keys, "passed"} for check in checks)


GUARDS = {
    "champion_scored": ("yes", "the champion can be scored"),
    "another_version": ("4", "the challenger is not the champion"),
    "challenger_unseen_patients": ("none", "the challenger was trained on no validation patient"),
    "champion_unseen_patients": ("none", "the champion was trained on no validation patient"),
    "data_not_older": (
        "2026-11-22T02:00:00.000001+00:00",
        "not before 2026-11-21T02:00:00+00:00",
    ),
    "run_of_today": (0.5, "no backfill, at most 36 hours old"),
    "not_rolled_back": ("no", "nobody rolled it back"),
    "ledger": ("yes", "the ledger is whole, and knows the champion"),
}


def test_each_guard_that_is_met_is_stored_with_what_was_found() -> None:
    checks = [check for check in judge()["checks"] if check["group"] == "guard"]
    assert {check["name"]: (check["value"], check["required"]) for check in checks} == GUARDS
    unknown = judge(facts=make_facts(challenger_data_until="", champion_data_until=""))
    age = find_check(unknown, "data_not_older")
    assert age["value"] == "unknown"
    assert age["required"] == "any: the champion's is not known, or there is none"
    comparison = make_comparison()
    comparison["challenger"]["version"] = ""
    assert find_check(judge(comparison), "another_version")["value"] == "none yet"
    backfill = judge(facts=make_facts(backfill=True))
    assert find_check(backfill, "run_of_today")["value"] == "backfill"
