"""The schema of the policy: its keys follow the measures, and a misspelt one is refused."""

from __future__ import annotations

import copy
from typing import Annotated, Any, ClassVar, NotRequired, get_type_hints

import pytest
from annotated_types import Ge
from shipped import read_shipped

from image_classification.configuration.parameters import check_parameters
from image_classification.errors import ConfigurationError
from image_classification.gate import policy
from image_classification.gate.measure import MEASURES, Measure

SECTIONS = (
    "data_processing",
    "review",
    "training",
    "inference",
    "promotion",
    "retention",
    "rollback",
    "may_loosen",
    "monitoring",
    "hindsight",
    "image_size_px",
    "positive_class",
)


@pytest.fixture
def parameters() -> dict[str, Any]:
    shipped = {name: copy.deepcopy(read_shipped(name)) for name in SECTIONS}
    return {**shipped, "registered_model_name": "cells"}


class TestFloorAboveTheMajority:
    @pytest.mark.parametrize(
        ("share", "margin", "floor"),
        [(0.1, 0.1, 0.2), (0.5, 0.1, 0.6), (0.9, 0.1, 0.95), (0.5, 0.0, 0.5), (1 / 3, 0.1, 0.4333)],
    )
    def test_it_is_the_share_of_the_commonest_class_and_a_margin_and_can_be_reached(
        self, share: float, margin: float, floor: float
    ) -> None:
        rules: Any = {"floors": {"auc": 0.7}, "floor_above_majority": margin}
        floors = policy.settle_floors(rules, {"class": "coat", "share": share})
        assert floors == {"accuracy": floor, "auc": 0.7}

    def test_a_floor_of_the_project_stays(self) -> None:
        rules: Any = {"floors": {"accuracy": 0.3}, "floor_above_majority": 0.1}
        assert policy.settle_floors(rules, {"class": "coat", "share": 0.5}) == {"accuracy": 0.3}

    def test_policies_and_comparisons_of_before_have_none(self) -> None:
        majority = {"class": "coat", "share": 0.5}
        rules: Any = {"floors": {}}
        assert policy.settle_floors(rules, majority) == {}
        assert policy.settle_floors(rules | {"floor_above_majority": 0.1}, None) == {}


def test_a_floor_may_be_set_on_every_measure_of_which_more_is_better() -> None:
    assert list(get_type_hints(policy.Floors)) == [
        measure.name for measure in MEASURES if measure.larger_is_better
    ]


def test_a_guardrail_may_be_set_on_every_measure() -> None:
    assert list(get_type_hints(policy.Guardrails)) == [
        *(measure.guardrail for measure in MEASURES),
        "maximum_worst_patient_fall",
        "minimum_patient_images",
    ]
    falls = {measure.guardrail for measure in MEASURES if measure.larger_is_better}
    assert "maximum_f1_fall" in falls
    assert {measure.guardrail for measure in MEASURES} - falls == {
        "maximum_calibration_error_rise",
        "maximum_log_loss_rise",
    }


def test_shares_are_limited_to_one_and_other_numbers_are_not() -> None:
    share = Measure("j", "J", lambda _: 0.0)
    number = Measure("n", "N", lambda _: 0.0, in_points=False)
    loss = Measure("l", "L", lambda _: 0.0, larger_is_better=False, in_points=False)
    assert policy.list_floors((share, number, loss)) == {
        "j": NotRequired[policy.Share],
        "n": NotRequired[float],
    }
    assert policy.list_guardrails((share, loss)) == {
        "maximum_j_fall": NotRequired[policy.Share],
        "maximum_l_rise": NotRequired[Annotated[float, Ge(0)]],
        "maximum_worst_patient_fall": policy.Share,
        "minimum_patient_images": policy.Count,
    }


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
@pytest.mark.parametrize("value", [0, 0.5, 1])
def test_every_floor_and_guardrail_is_accepted(
    parameters: dict[str, Any], measure: Any, value: float
) -> None:
    parameters["promotion"]["guardrails"][measure.guardrail] = value
    if measure.larger_is_better:
        parameters["promotion"]["floors"][measure.name] = value
    check_parameters(parameters)


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_a_guardrail_out_of_range_is_refused(parameters: dict[str, Any], measure: Any) -> None:
    def refuse(value: float) -> None:
        parameters["promotion"]["guardrails"][measure.guardrail] = value
        with pytest.raises(ConfigurationError, match=f"'promotion.guardrails.{measure.guardrail}'"):
            check_parameters(parameters)

    refuse(-0.01)
    if measure.in_points:
        refuse(1.01)
    else:
        parameters["promotion"]["guardrails"][measure.guardrail] = 1.01
        check_parameters(parameters)


def test_no_floor_and_no_guardrail_on_a_measure_is_required(parameters: dict[str, Any]) -> None:
    parameters["promotion"]["floors"] = {}
    parameters["promotion"]["guardrails"] = {
        "maximum_worst_patient_fall": 0.1,
        "minimum_patient_images": 20,
    }
    check_parameters(parameters)


@pytest.mark.parametrize("key", ["maximum_worst_patient_fall", "minimum_patient_images"])
def test_the_guardrail_on_the_worst_patient_is_required(
    parameters: dict[str, Any], key: str
) -> None:
    del parameters["promotion"]["guardrails"][key]
    with pytest.raises(ConfigurationError, match=f"'promotion.guardrails.{key}' is missing"):
        check_parameters(parameters)


@pytest.mark.parametrize(
    ("section", "key", "meant"),
    [
        ("guardrails", "maximum_sensitivty_fall", "maximum_sensitivity_fall"),
        ("guardrails", "maximum_calibration_error_fall", "maximum_calibration_error_rise"),
        ("guardrails", "maximum_log_loss_fall", "maximum_log_loss_rise"),
        ("floors", "acuracy", "accuracy"),
    ],
)
def test_a_misspelt_key_is_refused_with_the_one_that_was_meant(
    parameters: dict[str, Any], section: str, key: str, meant: str
) -> None:
    parameters["promotion"][section][key] = 0.1
    with pytest.raises(ConfigurationError) as refused:
        check_parameters(parameters)
    message = str(refused.value)
    assert f"'promotion.{section}.{key}' is not a parameter. Did you mean '{meant}'?" in message
    assert "Allowed here: " in message


@pytest.mark.parametrize("name", ["calibration_error", "log_loss"])
def test_no_floor_is_allowed_on_what_should_be_small(parameters: dict[str, Any], name: str) -> None:
    parameters["promotion"]["floors"][name] = 0.1
    with pytest.raises(ConfigurationError, match=f"'promotion.floors.{name}' is not a parameter"):
        check_parameters(parameters)


class TestPoliciesWrittenBefore:
    OLD: ClassVar[dict[str, Any]] = {
        "minimum_gain": 0.002,
        "confidence": 0.9,
        "significance": 0.1,
        "resamples": 500,
        "minimum_patients": 7,
    }

    def test_are_read_as_the_rule_that_they_were_written_for(self) -> None:
        settled = policy.settle_improvement(self.OLD)
        assert settled == {
            "rule": "superiority",
            "minimum_gain": 0.002,
            "resamples": 500,
            "superiority": {"confidence": 0.9, "significance": 0.1, "minimum_patients": 7},
            "confidence": 0.9,
        }

    def test_one_key_of_before_laid_over_the_shipped_policy_decides_as_it_did(self) -> None:
        shipped = read_shipped("promotion")["improvement"]
        settled = policy.settle_improvement(shipped | {"confidence": 0.9})
        assert settled["rule"] == "superiority"
        assert settled["superiority"] == shipped["superiority"] | {"confidence": 0.9}
        assert settled["confidence"] == 0.9

    def test_are_accepted_with_the_remedy_said(
        self, parameters: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        parameters["promotion"]["improvement"] = dict(self.OLD)
        check_parameters(parameters)
        (said,) = caplog.messages
        assert "confidence, significance, minimum_patients belong to the rule 'superiority'" in said
        assert "set rule: superiority and move them below superiority" in said

    def test_are_still_held_to_their_limits(self, parameters: dict[str, Any]) -> None:
        parameters["promotion"]["improvement"]["confidence"] = 2
        with pytest.raises(ConfigurationError, match=r"'promotion\.improvement\.confidence'"):
            check_parameters(parameters)

    def test_nothing_is_said_of_a_policy_of_today(
        self, parameters: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        check_parameters(parameters)
        assert caplog.messages == []
        assert policy.explain_old_keys(parameters["promotion"]["improvement"]) == ""


@pytest.mark.parametrize(("rule", "confidence"), [("expected_loss", 0.95), ("superiority", 0.98)])
def test_the_interval_shown_is_the_one_that_decides_where_one_does(
    rule: str, confidence: float
) -> None:
    settled = policy.settle_improvement(read_shipped("promotion")["improvement"] | {"rule": rule})
    assert settled["confidence"] == confidence


@pytest.mark.parametrize("rule", ["expected_loss", "non_inferiority", "superiority"])
def test_the_rule_in_force_has_its_section(parameters: dict[str, Any], rule: str) -> None:
    improvement = parameters["promotion"]["improvement"]
    improvement["rule"] = rule
    del improvement[rule]
    with pytest.raises(ConfigurationError, match=rf"'promotion\.improvement\.{rule}' is missing"):
        check_parameters(parameters)
