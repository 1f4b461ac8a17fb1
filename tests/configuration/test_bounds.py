"""A run makes rules stricter; it loosens what the configuration names, and nothing else."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from shipped import overlay, read_files

from image_classification.configuration.bounds import (
    GUARDED,
    LESS_IS_STRICTER,
    MODES,
    MORE_IS_STRICTER,
    check_bounds,
)
from image_classification.configuration.path import list_values, nest_value
from image_classification.errors import ConfigurationError
from image_classification.gate.improvement import RULES

SHIPPED = read_files("base", "parameters*.yml")
NO_SIDE = {
    *MODES,
    "promotion.improvement.rule",
    "promotion.improvement.expected_loss.prior_patients",
    "data_processing.corrections.policy",
    "data_processing.corrections.trusted_uids",
    "positive_class",
    "may_loosen",
}
"""Of what is guarded, all that is no number with a stricter side."""


def ask(path: str, value: Any, **configured: Any) -> None:
    """Check a run that changes one value."""
    base = overlay(SHIPPED, configured)
    check_bounds(base, overlay(base, nest_value(path, value)))


GUARDED_VALUES = [
    (path, value)
    for path, value in list_values(SHIPPED)
    if any(path == name or path.startswith(f"{name}.") for name in GUARDED)
]
NUMBERS = [(path, value) for path, value in GUARDED_VALUES if path not in NO_SIDE]


def list_sides(path: str) -> list[int]:
    """Return the stricter sides of a number, which should be one: 1 for more, -1 for less."""
    return [
        side
        for side, names in ((1, MORE_IS_STRICTER), (-1, LESS_IS_STRICTER))
        if any(path == name or path.startswith(f"{name}.") for name in names)
    ]


@pytest.mark.parametrize(("path", "value"), NUMBERS)
def test_a_number_may_be_made_stricter_and_not_looser(path: str, value: float) -> None:
    (side,) = list_sides(path)
    ask(path, value + side * 0.001)
    with pytest.raises(ConfigurationError, match=f"{path}: configured is {value!r}, asked for is"):
        ask(path, value - side * 0.001)


def test_what_is_not_a_number_has_no_stricter_side() -> None:
    assert {path for path, _ in GUARDED_VALUES} - {path for path, _ in NUMBERS} == NO_SIDE
    assert all(list_sides(path) == [] for path in NO_SIDE)


@pytest.mark.parametrize(
    ("configured", "refused"),
    [("auto", set()), ("approve", {"auto"}), ("dry_run", {"auto"})],
)
def test_a_run_may_ask_for_a_person_or_for_nothing_and_not_for_auto(
    configured: str, refused: set[str]
) -> None:
    for mode in ("auto", "approve", "dry_run"):
        if mode in refused:
            with pytest.raises(ConfigurationError, match=r"Allowed: approve, dry_run\."):
                ask("promotion.mode", mode, promotion={"mode": configured})
        else:
            ask("promotion.mode", mode, promotion={"mode": configured})


def test_a_run_may_list_what_is_old_and_remove_it_only_where_that_is_configured() -> None:
    with pytest.raises(ConfigurationError, match=r"retention\.mode: .* Allowed: dry_run\."):
        ask("retention.mode", "apply")
    ask("retention.mode", "apply", retention={"mode": "apply"})
    ask("retention.mode", "dry_run", retention={"mode": "apply"})
    with pytest.raises(ConfigurationError, match=r"runs_nights: .* Allowed: 180 and more\."):
        ask("retention.runs_nights", 179)


@pytest.mark.parametrize("rule", sorted(set(RULES) - {SHIPPED["promotion"]["improvement"]["rule"]}))
def test_a_run_does_not_choose_the_rule(rule: str) -> None:
    with pytest.raises(ConfigurationError, match=r"rule: configured is .* alone\."):
        ask("promotion.improvement.rule", rule)


@pytest.mark.parametrize("key", ["confidence", "significance", "minimum_patients"])
def test_a_run_does_not_choose_the_rule_by_a_key_of_an_earlier_release(key: str) -> None:
    with pytest.raises(ConfigurationError, match="Allowed: to leave it out"):
        ask(f"promotion.improvement.{key}", 0.5)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("promotion.improvement.expected_loss.prior_patients", 11),
        ("promotion.improvement.minimum_gain", float("nan")),
        ("positive_class", "Uninfected"),
        ("may_loosen", ["promotion.mode"]),
    ],
)
def test_what_has_no_stricter_side_stays(path: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=path):
        ask(path, value)


def test_a_run_may_add_a_floor_and_a_guardrail() -> None:
    ask("promotion.floors.specificity", 0.5)
    # It would take the place of the one that follows from the images.
    without: dict[str, Any] = copy.deepcopy(SHIPPED)
    del without["promotion"]["floors"]["accuracy"]
    with pytest.raises(ConfigurationError, match=r"floors\.accuracy: configured is None"):
        check_bounds(without, overlay(without, nest_value("promotion.floors.accuracy", 0.9)))
    ask("promotion.guardrails.maximum_specificity_fall", 0.5)


def test_what_the_configuration_names_may_be_loosened() -> None:
    named = ["promotion.improvement.minimum_gain", "promotion.floors"]
    ask("promotion.improvement.minimum_gain", -1, may_loosen=named)
    ask("promotion.floors.auc", 0, may_loosen=named)
    with pytest.raises(ConfigurationError, match="maximum_loss"):
        ask("promotion.improvement.expected_loss.maximum_loss", 1, may_loosen=named)


@pytest.mark.parametrize("name", ["promotion.mod", "training.epochs", "may_loosen"])
def test_what_is_no_rule_cannot_be_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"may_loosen: '{name}' is no rule"):
        ask("image_size_px", 64, may_loosen=[name])


def test_all_faults_are_listed_with_the_remedy() -> None:
    run = {"mode": "auto", "floors": {"auc": 0.1}}
    base = overlay(SHIPPED, {"promotion": {"mode": "approve"}})
    with pytest.raises(ConfigurationError) as refused:
        check_bounds(base, overlay(base, {"promotion": run}))
    lines = str(refused.value).splitlines()
    assert [line.split(":")[0] for line in lines[1:3]] == [
        "  - promotion.mode",
        "  - promotion.floors.auc",
    ]
    assert lines[2] == (
        "  - promotion.floors.auc: configured is 0.92, asked for is 0.1. Allowed: 0.92 and more."
    )
    assert "`may_loosen`" in lines[-1]


def test_a_run_that_changes_no_rule_is_not_looked_at() -> None:
    ask("training.epochs", 100)
    ask("data_processing.settle_minutes", 0)
