"""The gate: may the challenger replace the champion?

A comparison, facts and a policy in, a verdict with its reasons out. Nothing here reads a file or a
clock: the same comparison, facts and policy give the same decision, tonight and a year later.

Floors, guardrails and slices beside one main measure: Breck E. et al. (2017), The ML Test Score,
IEEE Big Data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from typing_extensions import TypedDict

from image_classification.comparison import compare_predictions
from image_classification.policy import Floors, Guardrails, Improvement, Limits, PromotionPolicy

PROMOTE, KEEP, REFUSE = "promote", "keep", "refuse"
"""Verdicts. Kept: a fair comparison that the challenger did not win. Refused: not a fair one."""

RUN_OF_TODAY = "run_of_today"
"""The guard that says nothing of the challenger, only of its run."""

MINUS = "\N{MINUS SIGN}"
FINEST = 9
"""Decimals of a share that count: 0.8 - 0.7 is more than 0.1 in binary.

The distance to a limit is what is rounded, so that equal is equal on either side of it.
"""


class Facts(TypedDict):
    """What the predictions do not tell, gathered by whoever judges.

    Attributes:
        challenger_seen: validation patients that the challenger was trained on; None: not known.
        champion_seen: the same of the champion; empty where there is none.
        challenger_data_until: how far the index went as the challenger's images were selected, ISO
            8601 in UTC; "" for not known, which is no proof of being as new as the champion.
        champion_data_until: the same of the champion; "" for none, or not known.
        rolled_back: who rolled the challenger back and why, if somebody has; else "".
        backfill: the run was started for a past date.
        run_age_hours: since the date that the run is for; None without a scheduler.
        package: `load_s`, `latency_ms`, `size_mb` of the packaged challenger; None for all, or for
            one: not measured.
    """

    challenger_seen: list[str] | None
    champion_seen: list[str] | None
    challenger_data_until: str
    champion_data_until: str
    rolled_back: str
    backfill: bool
    run_age_hours: float | None
    package: Mapping[str, float | None] | None


class Check(TypedDict):
    """One rule of the policy, applied. `group` is guard, floor, improvement, guardrail or limit."""

    group: str
    name: str
    value: float | str | None
    required: str
    passed: bool
    sentence: str


def decide(
    challenger: pd.DataFrame,
    champion: pd.DataFrame,
    class_names: Sequence[str],
    positive_class: str,
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

    A guard that fails refuses the comparison. Otherwise the challenger is promoted if it meets the
    floors, the limits and, where there is a champion, improvement and guardrails.

    Args:
        comparison: of `compare_predictions`.
        facts: of the two models and the run; None leaves guards and limits out, for a simulation.
        policy: of the parameters.

    Returns:
        The comparison, and: `verdict` (promote, keep or refuse), `promote` (bool), `mode`, `reason`
        (a sentence with the numbers), `checks` (each rule, its value, what was required, whether it
        passed), `facts` and `policy`.
    """
    checks = [
        *_check_guards(comparison, facts, policy),
        *_check_floors(comparison["challenger"]["metrics"], policy["floors"]),
        *_check_improvement(comparison, policy["improvement"]),
        *_check_guardrails(comparison, policy["guardrails"]),
        *_check_limits(facts, policy["limits"]),
    ]
    failed = [check for check in checks if not check["passed"]]
    refused = [check for check in failed if check["group"] == "guard"]
    verdict = REFUSE if refused else KEEP if failed else PROMOTE
    return {
        "verdict": verdict,
        "promote": verdict == PROMOTE,
        "mode": policy["mode"],
        "reason": _explain(comparison, refused or failed, policy),
        **comparison,
        "checks": checks,
        "facts": dict(facts) if facts is not None else None,
        "policy": policy,
    }


def find_seen(images: pd.DataFrame, patients: Iterable[str]) -> list[str]:
    """Return the patients, of those given, that a model was trained on.

    Args:
        images: the images that the model was made from: `patient` and `split`.
        patients: names.
    """
    trained = set(images.loc[images["split"] == "train", "patient"].astype(str))
    return sorted(trained & set(patients))


def format_points(share: float, sign: str = "+") -> str:
    """Return a share as points with one decimal, as in ``+0.4``; minus as it is printed."""
    return f"{100 * share:{sign}.1f}".replace("-", MINUS)


def describe_gain(tests: Mapping[str, Any]) -> str:
    """Return the gain with its interval, ``challenger +0.4 points (95 % CI 0.1 to 1.3 …)``."""
    return (
        f"challenger {format_points(tests['gain'])} points ({100 * tests['confidence']:g} % CI "
        f"{format_points(tests['low'], '')} to {format_points(tests['high'], '')} over "
        f"{tests['patients']} patients)"
    )


def _check_guards(
    comparison: Mapping[str, Any], facts: Facts | None, policy: PromotionPolicy
) -> list[Check]:
    fault = comparison["champion_fault"]
    checks = [
        _check(
            "guard",
            "champion_scored",
            fault or "yes",
            "the champion can be scored",
            not fault,
            f"the champion could not be scored: {fault}",
        )
    ]
    if facts is None:
        return checks
    ours, theirs = (_read_version(comparison[role]) for role in ("challenger", "champion"))
    return [
        *checks,
        _check(
            "guard",
            "another_version",
            ours or "none yet",
            "the challenger is not the champion",
            not ours or ours != theirs,
            f"the challenger, version {ours}, is the champion already",
        ),
        *(_check_seen(role, facts) for role in ("challenger", "champion")),
        _check_data_age(facts),
        _check_run_date(facts, policy["maximum_run_age_hours"]),
        _check(
            "guard",
            "not_rolled_back",
            facts["rolled_back"] or "no",
            "nobody rolled it back",
            not facts["rolled_back"],
            f"the challenger was champion before and was rolled back: {facts['rolled_back']}",
        ),
    ]


def _read_version(model: Mapping[str, Any] | None) -> str:
    return str(model["version"]) if model else ""


def _check_seen(role: str, facts: Facts) -> Check:
    seen: list[str] | None = facts[f"{role}_seen"]  # type: ignore[literal-required]
    if seen is None:
        value = "unknown"
        sentence = (
            f"it is not known which patients the {role} was trained on: no table of its images is "
            "kept"
        )
    else:
        value = ", ".join(seen) or "none"
        sentence = (
            f"the {role} was trained on {len(seen)} of the validation patients: "
            f"{', '.join(seen[:5])}{' …' if len(seen) > 5 else ''}"
        )
    required = f"the {role} was trained on no validation patient"
    return _check("guard", f"{role}_unseen_patients", value, required, seen == [], sentence)


def _check_data_age(facts: Facts) -> Check:
    ours, theirs = facts["challenger_data_until"], facts["champion_data_until"]
    if ours:
        sentence = (
            f"the challenger's images were selected as of {ours}, the champion's later, as of "
            f"{theirs}"
        )
    else:
        sentence = (
            "it is not known as of when the challenger's images were selected; the champion's were "
            f"as of {theirs}"
        )
    return _check(
        "guard",
        "data_not_older",
        ours or "unknown",
        f"not before {theirs}" if theirs else "any: the champion's is not known, or there is none",
        not theirs or ours >= theirs,
        sentence,
    )


def _check_run_date(facts: Facts, maximum_hours: float) -> Check:
    age = facts["run_age_hours"]
    if facts["backfill"]:
        sentence = "the run is a backfill: it may train, and never promotes"
    else:
        sentence = (
            f"the run is for a date {age or 0:.1f} hours ago, allowed: {maximum_hours:g}; a re-run "
            "of an old date may train, and never promotes"
        )
    passed = not facts["backfill"] and (age is None or age <= maximum_hours)
    value = "backfill" if facts["backfill"] else age
    return _check(
        "guard",
        RUN_OF_TODAY,
        value,
        f"no backfill, at most {maximum_hours:g} hours old",
        passed,
        sentence,
    )


def _check_floors(metrics: Mapping[str, float], floors: Floors) -> list[Check]:
    return [
        _check(
            "floor",
            name,
            metrics[name],
            f"at least {floor:g}",
            round(metrics[name] - floor, FINEST) >= 0,
            f"the challenger's {name} of {metrics[name]:.4f} is below the floor of {floor:g}",
        )
        for name, floor in floors.items()
        if isinstance(floor, int | float)
    ]


def _check_improvement(comparison: Mapping[str, Any], rule: Improvement) -> list[Check]:
    tests = comparison["tests"]
    if tests is None:
        return []
    minimum = rule["minimum_gain"]
    bound = f"{100 * minimum:g}".replace("-", MINUS)
    return [
        _check(
            "improvement",
            "patients",
            tests["patients"],
            f"at least {rule['minimum_patients']}",
            tests["patients"] >= rule["minimum_patients"],
            f"only {tests['patients']} validation patients, required: {rule['minimum_patients']}",
        ),
        _check(
            "improvement",
            "gain_over_patients",
            tests["low"],
            f"lower bound > {bound}",
            round(tests["low"] - minimum, FINEST) > 0,
            f"required: lower bound > {bound}",
        ),
        _check(
            "improvement",
            "mcnemar",
            tests["p_value"],
            f"p at most {rule['significance']:g}",
            tests["p_value"] <= rule["significance"],
            f"exact McNemar p = {tests['p_value']:.3g} ({tests['only_challenger_right']} images "
            f"only the challenger has right, {tests['only_champion_right']} only the champion), "
            f"required: at most {rule['significance']:g}",
        ),
    ]


def _check_guardrails(comparison: Mapping[str, Any], rule: Guardrails) -> list[Check]:
    if comparison["tests"] is None:
        return []
    ours, theirs = (comparison[role]["metrics"] for role in ("challenger", "champion"))
    return [
        _check_fall(
            "sensitivity",
            theirs["sensitivity"],
            ours["sensitivity"],
            rule["maximum_sensitivity_fall"],
        ),
        _check_fall(
            "calibration_error",
            ours["calibration_error"],
            theirs["calibration_error"],
            rule["maximum_calibration_error_rise"],
            verb="rose",
        ),
        _check_worst_patient(comparison["slices"], rule),
    ]


def _check_fall(
    name: str, better: float, worse: float, allowed: float, verb: str = "fell"
) -> Check:
    """Check that what should be large has not fallen, or what should be small not risen."""
    change = round(better - worse, FINEST)
    before, after = (better, worse) if verb == "fell" else (worse, better)
    return _check(
        "guardrail",
        name,
        change,
        f"{verb} by at most {100 * allowed:g} point{'' if allowed == 0.01 else 's'}",
        round(better - worse - allowed, FINEST) <= 0,
        f"{name.replace('_', ' ')} {verb} by {format_points(change, '')} points ({before:.4f} to "
        f"{after:.4f}), allowed: {100 * allowed:g}",
    )


def _check_worst_patient(slices: Sequence[Mapping[str, Any]], rule: Guardrails) -> Check:
    if not slices:
        required = f"a patient with {rule['minimum_patient_images']} images"
        return _check(
            "guardrail", "worst_patient", "none is large enough", required, passed=True, sentence=""
        )
    ours = min(slices, key=lambda row: row["challenger"])
    theirs = min(slices, key=lambda row: row["champion"])
    check = _check_fall(
        "worst_patient", theirs["champion"], ours["challenger"], rule["maximum_worst_patient_fall"]
    )
    check["sentence"] += (
        f"; the challenger's is {ours['patient']} ({ours['images']} images), the champion's "
        f"{theirs['patient']}"
    )
    return check


def _check_limits(facts: Facts | None, limits: Limits) -> list[Check]:
    if facts is None:
        return []
    names = {
        "load_s": ("time to load", limits["maximum_load_s"], "s"),
        "latency_ms": ("time for one image", limits["maximum_latency_ms"], "ms"),
        "size_mb": ("size", limits["maximum_size_mb"], "MB"),
    }
    package = facts["package"] or {}
    return [_check_limit(name, package.get(name), *rule) for name, rule in names.items()]


def _check_limit(name: str, value: float | None, title: str, allowed: float, unit: str) -> Check:
    if value is None:
        sentence = f"the {title} of the packaged model was not measured"
    else:
        sentence = f"the {title} of the packaged model is {value:.4g} {unit}, allowed: {allowed:g}"
    passed = value is not None and value <= allowed
    return _check("limit", name, value, f"at most {allowed:g} {unit}", passed, sentence)


def _check(
    group: str, name: str, value: float | str | None, required: str, passed: bool, sentence: str
) -> Check:
    return {
        "group": group,
        "name": name,
        "value": value,
        "required": required,
        "passed": bool(passed),
        "sentence": sentence,
    }


def _explain(
    comparison: Mapping[str, Any], failed: Sequence[Check], policy: PromotionPolicy
) -> str:
    """Return the reason: the gain where there is one, and each rule that was not met."""
    names = {check["name"] for check in failed}
    # Where the stricter of the two tests fails, the other says nothing new.
    told = [
        check for check in failed if check["name"] != "mcnemar" or "gain_over_patients" not in names
    ]
    faults = "; ".join(check["sentence"] for check in told)
    if failed and failed[0]["group"] == "guard":
        return faults
    tests = comparison["tests"]
    if tests is None:
        return faults or _explain_first(comparison["challenger"]["metrics"], policy["floors"])
    gain = describe_gain(tests)
    if faults:
        return f"{gain}, {faults}"
    return f"{gain}, exact McNemar p = {tests['p_value']:.2g}; all other rules are met"


def _explain_first(metrics: Mapping[str, float], floors: Floors) -> str:
    met = ", ".join(
        f"{name} {metrics[name]:.4f} ({floor:g})"
        for name, floor in floors.items()
        if isinstance(floor, int | float)
    )
    return f"first champion: it meets the floors, {met}"
