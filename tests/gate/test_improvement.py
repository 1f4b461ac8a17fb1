"""When a challenger is better enough: each rule at its edges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from judgement import TESTS, make_comparison, make_policy

from image_classification.errors import DataError
from image_classification.gate.improvement import (
    check_improvement,
    count_missing,
    describe_gain,
    describe_odds,
    describe_requirement,
)
from image_classification.gate.policy import settle_improvement
from image_classification.gate.posterior import weigh_gain


def settle(rule: str, **changes: Any) -> Any:
    return settle_improvement(make_policy(rule=rule, **changes)["improvement"])


def check(rule: str, tests: Mapping[str, Any], **changes: Any) -> dict[str, bool]:
    comparison = make_comparison(tests=tests)
    found = check_improvement(comparison, settle(rule, **changes))
    assert {one["group"] for one in found} == {"improvement"}
    return {one["name"]: one["passed"] for one in found}


@pytest.mark.parametrize("rule", ["expected_loss", "non_inferiority", "superiority"])
def test_without_a_champion_no_rule_asks_for_anything(rule: str) -> None:
    assert check_improvement({"tests": None}, settle(rule)) == []


class TestSuperiority:
    @pytest.mark.parametrize(("low", "passed"), [(0.0, False), (0.0001, True), (-0.001, False)])
    def test_the_lower_end_lies_above_the_gain_required(self, low: float, passed: bool) -> None:
        assert check("superiority", {"low": low}) == {
            "patients": True,
            "gain_over_patients": passed,
            "mcnemar": True,
        }

    @pytest.mark.parametrize(("p_value", "passed"), [(0.05, True), (0.0501, False)])
    def test_mcnemar_agrees(self, p_value: float, passed: bool) -> None:
        assert check("superiority", {"p_value": p_value})["mcnemar"] is passed

    @pytest.mark.parametrize(("patients", "passed"), [(10, True), (9, False)])
    def test_patients_are_counted(self, patients: int, passed: bool) -> None:
        assert check("superiority", {"patients": patients})["patients"] is passed


class TestNonInferiority:
    @pytest.mark.parametrize(("gain", "passed"), [(0.0, True), (-0.0001, False), (0.2, True)])
    def test_the_challenger_is_at_least_as_good(self, gain: float, passed: bool) -> None:
        assert check("non_inferiority", {"gain": gain})["gain"] is passed

    def test_the_gain_is_told_with_what_is_required(self) -> None:
        comparison = make_comparison(tests={"gain": 0.004})
        found = check_improvement(comparison, settle("non_inferiority", minimum_gain=0.01))
        assert found[0] == {
            "group": "improvement",
            "name": "gain",
            "value": 0.004,
            "required": "at least 1.0 points",
            "passed": False,
            "sentence": "required: at least 1.0 points",
        }

    @pytest.mark.parametrize(("low", "passed"), [(-0.01, False), (-0.0099, True)])
    def test_and_surely_not_worse_by_the_margin(self, low: float, passed: bool) -> None:
        assert check("non_inferiority", {"low": low})["gain_over_patients"] is passed

    def test_the_gain_required_moves_both(self) -> None:
        found = check("non_inferiority", {"gain": 0.01, "low": 0.002}, minimum_gain=0.011)
        assert found == {"gain": False, "gain_over_patients": True}
        found = check("non_inferiority", {"gain": 0.02, "low": 0.002}, minimum_gain=0.012)
        assert found == {"gain": True, "gain_over_patients": False}


class TestExpectedLoss:
    def test_the_limit_itself_is_allowed_and_no_more(self) -> None:
        loss = weigh_gain(TESTS["gain"], TESTS["spread"], TESTS["patients"], 10, 0.0).expect_loss()
        for limit, passed in ((loss, True), (loss - 1e-6, False)):
            assert check("expected_loss", {}, maximum_loss=limit)["expected_loss"] is passed

    @pytest.mark.parametrize(("gain", "passed"), [(0.0, True), (-0.0001, False)])
    def test_a_gain_is_believed(self, gain: float, passed: bool) -> None:
        assert check("expected_loss", {"gain": gain}, maximum_loss=1.0)["believed_gain"] is passed

    @pytest.mark.parametrize(("patients", "passed"), [(5, True), (10, True), (20, False)])
    def test_a_prior_gain_outweighs_a_small_loss_over_few_patients(
        self, patients: int, passed: bool
    ) -> None:
        tests = {"gain": -0.003, "patients": patients}
        found = check("expected_loss", tests, maximum_loss=1.0, prior_gain=0.003)
        assert found["believed_gain"] is passed

    def test_the_same_gain_over_more_patients_or_with_less_spread_is_surer(self) -> None:
        def lose(**tests: Any) -> float:
            found = check_improvement(make_comparison(tests=tests), settle("expected_loss"))
            return next(float(one["value"]) for one in found if one["name"] == "expected_loss")

        assert lose(patients=24) < lose(patients=12) < lose(patients=6)
        assert lose(spread=0.01) < lose(spread=0.02)

    def test_a_sceptic_asks_for_more(self) -> None:
        limit = weigh_gain(TESTS["gain"], TESTS["spread"], TESTS["patients"], 10, 0.0).expect_loss()
        found = check("expected_loss", {}, maximum_loss=limit, prior_patients=20)
        assert found["expected_loss"] is False

    def test_a_gain_is_required_where_one_is(self) -> None:
        believed = weigh_gain(TESTS["gain"], TESTS["spread"], TESTS["patients"], 10, 0.0).mean
        for least, passed in ((believed, True), (believed + 1e-6, False)):
            found = check("expected_loss", {}, minimum_gain=least, maximum_loss=1.0)
            assert found["believed_gain"] is passed

    def test_the_gain_believed_is_told_with_what_is_required(self) -> None:
        comparison = make_comparison(tests={"gain": -0.022, "patients": 10})
        found = check_improvement(comparison, settle("expected_loss"))
        assert found[0] == {
            "group": "improvement",
            "name": "believed_gain",
            "value": pytest.approx(-0.011),
            "required": "at least 0.0 points",
            "passed": False,
            "sentence": (
                "the gain believed is \N{MINUS SIGN}1.1 points, required: at least 0.0 points"
            ),
        }
        assert (found[1]["group"], found[1]["required"]) == ("improvement", "at most 0.1 points")

    def test_the_sentence_says_how_sure_what_is_lost_and_what_would_decide(self) -> None:
        tests = {"gain": 0.01, "spread": 0.05, "patients": 8}
        comparison = make_comparison(tests=tests)
        rule = settle("expected_loss", maximum_loss=0.001)
        found = check_improvement(comparison, rule)
        belief = weigh_gain(0.01, 0.05, 8, 10, 0.0)
        more = count_missing(comparison["tests"], rule)
        assert found[1]["sentence"] == (
            f"P(better) = {belief.measure_chance():.2f}, a switch loses "
            f"{100 * belief.expect_loss():.2f} points on average, allowed: 0.1; about {more} more "
            "validation patients would decide"
        )

    def test_nothing_would_decide_for_a_challenger_that_is_not_better(self) -> None:
        comparison = make_comparison(tests={"gain": -0.01})
        found = check_improvement(comparison, settle("expected_loss"))
        assert "would decide" not in found[1]["sentence"]


def test_a_comparison_of_an_earlier_release_is_to_be_made_again() -> None:
    tests = {name: value for name, value in TESTS.items() if name != "spread"}
    with pytest.raises(DataError, match="Run compare_models and what follows it again"):
        check_improvement({"tests": tests}, settle("expected_loss"))


class TestMissingPatients:
    def test_so_many_more_are_enough_and_one_less_is_not(self) -> None:
        tests = make_comparison(tests={"gain": 0.01, "spread": 0.05, "patients": 8})["tests"]
        rule = settle("expected_loss")
        more = count_missing(tests, rule)
        assert more is not None
        losses = [
            weigh_gain(0.01, 0.05, 8 + number, 10, 0.0).expect_loss() for number in (more - 1, more)
        ]
        assert losses[1] <= 0.001 < losses[0]

    def test_none_where_the_gain_is_not_above_the_one_required(self) -> None:
        tests = make_comparison(tests={"gain": 0.01})["tests"]
        assert count_missing(tests, settle("expected_loss", minimum_gain=0.01)) is None

    def test_none_where_a_thousand_would_not_do(self) -> None:
        tests = make_comparison(tests={"gain": 1e-6, "spread": 0.2})["tests"]
        assert count_missing(tests, settle("expected_loss", maximum_loss=1e-6)) is None


class TestSentences:
    def test_the_gain_is_told_with_its_interval_and_patients(self) -> None:
        assert describe_gain(TESTS) == (
            "challenger +1.0 points (95 % CI 0.2 to 1.8 over 12 patients)"
        )

    def test_a_promotion_says_how_sure_the_rule_in_force_is(self) -> None:
        belief = weigh_gain(TESTS["gain"], TESTS["spread"], TESTS["patients"], 10, 0.0)
        assert describe_odds(TESTS, settle("superiority")) == "exact McNemar p = 0.0065"
        assert describe_odds(TESTS, settle("non_inferiority")) == "surely not worse by 1 points"
        assert describe_odds(TESTS, settle("expected_loss")) == (
            f"P(better) = {belief.measure_chance():.2f}, a switch loses "
            f"{100 * belief.expect_loss():.2f} points on average"
        )
        assert describe_odds(TESTS, settle("expected_loss", minimum_gain=0.005)).startswith(
            "P(better by 0.5 points) = "
        )


@pytest.mark.parametrize(
    ("rule", "least", "demand"),
    [
        (
            "expected_loss",
            0.005,
            "belief beyond this, at most 0.1 points lost on average",
        ),
        ("non_inferiority", -0.005, "the whole interval beyond this"),
        ("superiority", 0.005, "the whole interval beyond this"),
    ],
)
def test_what_is_drawn_as_required_is_what_the_rule_asks_for(
    rule: str, least: float, demand: str
) -> None:
    value, told = describe_requirement(settle(rule, minimum_gain=0.005))
    assert value == pytest.approx(least)
    assert told == demand
