"""The gate: may the challenger replace the champion?

It takes a comparison, facts and a policy, and returns a verdict with its reasons. Nothing here
reads a file or a clock, so the same input gives the same decision tonight and a year later.

Floors, guardrails and slices beside one main measure: Breck E. et al. (2017), The ML Test Score,
IEEE Big Data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from image_classification.gate.check import Check
from image_classification.gate.comparison import compare_predictions
from image_classification.gate.improvement import check_improvement, describe_gain, describe_odds
from image_classification.gate.policy import (
    Floors,
    PromotionPolicy,
    settle_floors,
    settle_improvement,
)
from image_classification.gate.rule import (
    Facts,
    check_floors,
    check_guardrails,
    check_guards,
    check_limits,
)
from image_classification.gate.verdict import KEEP, PROMOTE, REFUSE

WHAT_TO_TRY = (
    "to try: more epochs (training.epochs), another network (training.network), more images of "
    "what it confuses (cm_plot); or a floor that these images allow (floors in project.yml)"
)
"""How a reason ends where a floor was not reached."""


def decide(
    challenger: pd.DataFrame,
    champion: pd.DataFrame,
    class_names: Sequence[str],
    positive_class: str | None,
    policy: PromotionPolicy,
    facts: Facts | None = None,
) -> dict[str, Any]:
    """Compare and judge in one step: `compare_predictions`, then `judge`."""
    comparison = compare_predictions(challenger, champion, class_names, positive_class, policy)
    return judge(comparison, facts, policy)


def judge(
    comparison: Mapping[str, Any], facts: Facts | None, policy: PromotionPolicy
) -> dict[str, Any]:
    """Apply the policy to a comparison.

    If a guard fails, the comparison is refused. Otherwise the challenger is promoted if it meets
    the floors, the limits and, where there is a champion, improvement and guardrails.

    Args:
        comparison: of `compare_predictions`.
        facts: about the two models and the run; None, for a simulation, leaves out the limits and
            all guards but the one that the champion could be scored.
        policy: `promotion` of the parameters.

    Returns:
        The comparison, and: `verdict` (promote, keep or refuse), `promote` (bool), `mode`, `reason`
        (a sentence with the numbers), `checks` (each rule, its value, what was required, whether it
        passed), `facts` and `policy`.
    """
    floors = settle_floors(policy, comparison.get("majority"))
    checks = [
        *check_guards(comparison, facts, policy),
        *check_floors(comparison["challenger"]["metrics"], floors),
        *check_improvement(comparison, settle_improvement(policy["improvement"])),
        *check_guardrails(comparison, policy["guardrails"]),
        *check_limits(facts, policy["limits"]),
    ]
    failed = [check for check in checks if not check["passed"]]
    refused = [check for check in failed if check["group"] == "guard"]
    verdict = REFUSE if refused else KEEP if failed else PROMOTE
    return {
        "verdict": verdict,
        "promote": verdict == PROMOTE,
        "mode": policy["mode"],
        "reason": _explain(comparison, refused or failed, policy, floors),
        **comparison,
        "checks": checks,
        "facts": dict(facts) if facts is not None else None,
        "policy": policy,
    }


def find_seen(images: pd.DataFrame, patients: Iterable[str]) -> list[str]:
    """Return those of the patients that a model was trained on, sorted.

    Args:
        images: the images that the model was made from: `patient` and `split`.
        patients: names of patients.
    """
    trained = set(images.loc[images["split"] == "train", "patient"].astype(str))
    return sorted(trained & set(patients))


def _explain(
    comparison: Mapping[str, Any],
    failed: Sequence[Check],
    policy: PromotionPolicy,
    floors: Floors,
) -> str:
    """Return the reason: the gain where there is one, and each rule that was not met."""
    names = {check["name"] for check in failed}
    # Where the stricter of two tests fails, the other says nothing new.
    implied = {"gain_over_patients": "mcnemar", "gain": "gain_over_patients"}
    silent = {weaker for stricter, weaker in implied.items() if stricter in names}
    faults = "; ".join(check["sentence"] for check in failed if check["name"] not in silent)
    if failed and failed[0]["group"] == "guard":
        return faults
    if any(check["group"] == "floor" for check in failed):
        faults += f"; {WHAT_TO_TRY}"
    tests = comparison["tests"]
    if tests is None:
        return faults or _explain_first(comparison["challenger"]["metrics"], floors)
    gain = describe_gain(tests)
    if faults:
        return f"{gain}, {faults}"
    odds = describe_odds(tests, settle_improvement(policy["improvement"]))
    return f"{gain}, {odds}; all other rules are met"


def _explain_first(metrics: Mapping[str, float], floors: Floors) -> str:
    if not floors:
        return "first champion: no floor is set"
    met = ", ".join(
        f"{name.replace('_', ' ')} {metrics[name]:.4f} ({floor:g})"
        for name, floor in floors.items()
    )
    return f"first champion: it meets the floors, {met}"
