"""Is the challenger better enough? The rules that may be asked, by name.

Sources: non-inferiority by a margin: Piaggio G. et al. (2012), JAMA 308:2594. Expected loss:
`posterior`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from image_classification import words
from image_classification.errors import DataError
from image_classification.gate.check import Check, make_check
from image_classification.gate.number import DECIMALS, format_points
from image_classification.gate.policy import Improvement
from image_classification.gate.posterior import Belief, weigh_gain

GROUP = "improvement"
MOST_PATIENTS = 1000
"""So many more validation patients are not said to decide anything."""

Tests = Mapping[str, Any]


def describe_gain(tests: Mapping[str, Any]) -> str:
    """Return the gain with its interval, ``challenger +0.4 points (95 % CI 0.1 to 1.3 …)``."""
    return (
        f"challenger {format_points(tests['gain'])} points ({100 * tests['confidence']:g} % CI "
        f"{format_points(tests['low'], '')} to {format_points(tests['high'], '')} over "
        f"{words.current().count_groups(tests['patients'])})"
    )


def check_improvement(comparison: Mapping[str, Any], rule: Improvement) -> list[Check]:
    """Check that the challenger is better, and how surely; nothing without a champion."""
    tests = comparison["tests"]
    return [] if tests is None else RULES[rule["rule"]](tests, rule)


def describe_odds(tests: Tests, rule: Improvement) -> str:
    """Return how sure the rule in force is of a gain that it was content with."""
    if rule["rule"] == "superiority":
        return f"exact McNemar p = {tests['p_value']:.2g}"
    if rule["rule"] == "non_inferiority":
        return f"surely not worse by {100 * rule['non_inferiority']['margin']:g} points"
    belief = _weigh(tests, rule)
    return _tell_odds(belief, rule["minimum_gain"])


def describe_requirement(rule: Improvement) -> tuple[float, str]:
    """Return the gain that something must lie beyond, a share of accuracy, and what that is."""
    least = rule["minimum_gain"]
    if rule["rule"] == "expected_loss":
        allowed = 100 * rule["expected_loss"]["maximum_loss"]
        return least, f"belief beyond this, at most {allowed:g} points lost on average"
    margin = rule["non_inferiority"]["margin"] if rule["rule"] == "non_inferiority" else 0.0
    return least - margin, "the whole interval beyond this"


def count_missing(tests: Tests, rule: Improvement) -> int | None:
    """Return how many more validation patients would decide for a switch; None for none soon.

    It is assumed that the gain and the spread over patients stay as they are.
    """
    allowed, least = rule["expected_loss"]["maximum_loss"], rule["minimum_gain"]
    for more in range(1, MOST_PATIENTS if tests["gain"] > least else 0):
        belief = _weigh(tests, rule, more)
        if belief.mean >= least and belief.expect_loss(least) <= allowed:
            return more
    return None


def _weigh(tests: Tests, rule: Improvement, more: int = 0) -> Belief:
    if "spread" not in tests:
        raise DataError(
            "The comparison was made by an earlier release and does not say how far the gains "
            "spread. Run compare_models and what follows it again."
        )
    wanted = rule["expected_loss"]
    return weigh_gain(
        tests["gain"],
        tests["spread"],
        tests["patients"] + more,
        wanted["prior_patients"],
        wanted["prior_gain"],
    )


def _tell_odds(belief: Belief, least: float) -> str:
    better = "better" if least == 0 else f"better by {format_points(least, '')} points"
    return (
        f"P({better}) = {belief.measure_chance(least):.2f}, a switch loses "
        f"{100 * belief.expect_loss(least):.2f} points on average"
    )


def _check_superiority(tests: Tests, rule: Improvement) -> list[Check]:
    """Surely better: the interval lies above the gain required, and McNemar's test agrees."""
    wanted = rule["superiority"]
    least = rule["minimum_gain"]
    return [
        make_check(
            GROUP,
            "patients",
            tests["patients"],
            f"at least {wanted['minimum_patients']}",
            tests["patients"] >= wanted["minimum_patients"],
            f"only {tests['patients']} validation {words.current().groups}, required: "
            f"{wanted['minimum_patients']}",
        ),
        _check_bound(tests, least),
        make_check(
            GROUP,
            "mcnemar",
            tests["p_value"],
            f"p at most {wanted['significance']:g}",
            tests["p_value"] <= wanted["significance"],
            f"exact McNemar p = {tests['p_value']:.3g} ({tests['only_challenger_right']} images "
            f"only the challenger has right, {tests['only_champion_right']} only the champion), "
            f"required: at most {wanted['significance']:g}",
        ),
    ]


def _check_non_inferiority(tests: Tests, rule: Improvement) -> list[Check]:
    """At least as good, and surely not worse by more than a margin."""
    return [
        _check_gain(tests, rule["minimum_gain"]),
        _check_bound(tests, rule["minimum_gain"] - rule["non_inferiority"]["margin"]),
    ]


def _check_loss(tests: Tests, rule: Improvement) -> list[Check]:
    """A gain is believed, and little is lost on average where that is wrong."""
    allowed, least = rule["expected_loss"]["maximum_loss"], rule["minimum_gain"]
    belief = _weigh(tests, rule)
    loss = belief.expect_loss(least)
    more = count_missing(tests, rule)
    missing = f"{more} more validation {words.current().name_groups(more or 0)}"
    remedy = f"; about {missing} would decide" if more else ""
    required = f"at least {format_points(least, '')} points"
    return [
        make_check(
            GROUP,
            "believed_gain",
            belief.mean,
            required,
            round(belief.mean - least, DECIMALS) >= 0,
            f"the gain believed is {format_points(belief.mean)} points, required: {required}",
        ),
        make_check(
            GROUP,
            "expected_loss",
            loss,
            f"at most {100 * allowed:g} points",
            round(loss - allowed, DECIMALS) <= 0,
            f"{_tell_odds(belief, least)}, allowed: {100 * allowed:g}{remedy}",
        ),
    ]


def _check_gain(tests: Tests, least: float) -> Check:
    required = f"at least {format_points(least, '')} points"
    return make_check(
        GROUP,
        "gain",
        tests["gain"],
        required,
        round(tests["gain"] - least, DECIMALS) >= 0,
        f"required: {required}",
    )


def _check_bound(tests: Tests, least: float) -> Check:
    bound = f"{100 * least:g}".replace("-", "\N{MINUS SIGN}")
    return make_check(
        GROUP,
        "gain_over_patients",
        tests["low"],
        f"lower bound > {bound}",
        round(tests["low"] - least, DECIMALS) > 0,
        f"required: lower bound > {bound}",
    )


RULES: dict[str, Callable[[Tests, Improvement], list[Check]]] = {
    "expected_loss": _check_loss,
    "non_inferiority": _check_non_inferiority,
    "superiority": _check_superiority,
}
"""By the name that `improvement.rule` has in the parameters."""
