"""The rules of the gate: one function for each group, which returns what it checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired

from typing_extensions import TypedDict

from image_classification import words
from image_classification.gate.check import Check, make_check
from image_classification.gate.measure import MEASURES, Measure, measure_accuracy
from image_classification.gate.number import DECIMALS, format_change
from image_classification.gate.policy import (
    Floors,
    Guardrails,
    Limits,
    PromotionPolicy,
)

RUN_OF_TODAY = "run_of_today"
"""The guard that says nothing about the challenger, only about its run."""

WORST_PATIENT = "worst_patient"
"""The accuracy on the worst patient, each model's own; not measured over all images."""


class Facts(TypedDict):
    """What the predictions do not tell. Whoever asks for a verdict gathers it.

    Attributes:
        challenger_seen: validation patients that the challenger was trained on; None: not known.
        champion_seen: the same for the champion; empty where there is no champion.
        challenger_data_until: the time up to which the index went when the challenger's images were
            selected, ISO 8601 in UTC; "" where that is not known, and then nothing shows that the
            images are as new as the champion's.
        champion_data_until: the same for the champion; "" where there is none, or it is not known.
        rolled_back: who rolled the challenger back and why; "" where nobody has.
        backfill: whether the run was started for a past date.
        run_age_hours: since the date that the run is for; None without a scheduler.
        package: `load_s`, `latency_ms`, `size_mb` of the packaged challenger; None, for all of them
            or for one, where it was not measured.
        ledger_fault: why the ledger allows no promotion; "" if it does. Decisions of an earlier
            release do not say.
    """

    challenger_seen: list[str] | None
    champion_seen: list[str] | None
    challenger_data_until: str
    champion_data_until: str
    rolled_back: str
    backfill: bool
    run_age_hours: float | None
    package: Mapping[str, Any] | None
    ledger_fault: NotRequired[str]


def check_guards(
    comparison: Mapping[str, Any], facts: Facts | None, policy: PromotionPolicy
) -> list[Check]:
    """Check that the comparison is fair; without facts, only that the champion was scored."""
    fault = comparison["champion_fault"]
    checks = [
        make_check(
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
        make_check(
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
        make_check(
            "guard",
            "not_rolled_back",
            facts["rolled_back"] or "no",
            "nobody rolled it back",
            not facts["rolled_back"],
            f"the challenger was champion before and was rolled back: {facts['rolled_back']}",
        ),
        *_check_ledger(facts),
    ]


def _check_ledger(facts: Facts) -> list[Check]:
    """Check that the ledger allows a promotion, where it was asked."""
    if "ledger_fault" not in facts:
        return []
    fault = facts["ledger_fault"]
    required = "the ledger is whole, and knows the champion"
    sentence = f"the ledger allows no promotion: {fault}"
    return [make_check("guard", "ledger", fault or "yes", required, not fault, sentence)]


def _read_version(model: Mapping[str, Any] | None) -> str:
    return str(model["version"]) if model else ""


def _check_seen(role: str, facts: Facts) -> Check:
    seen: list[str] | None = facts[f"{role}_seen"]  # type: ignore[literal-required]
    groups = words.current().groups
    if seen is None:
        value = "unknown"
        sentence = (
            f"it is not known which {groups} the {role} was trained on: no table of its images is "
            "kept"
        )
    else:
        value = ", ".join(seen) or "none"
        sentence = (
            f"the {role} was trained on {len(seen)} of the validation {groups}: "
            f"{', '.join(seen[:5])}{' …' if len(seen) > 5 else ''}"
        )
    required = f"the {role} was trained on no validation {words.current().group}"
    return make_check("guard", f"{role}_unseen_patients", value, required, seen == [], sentence)


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
    return make_check(
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
    return make_check(
        "guard",
        RUN_OF_TODAY,
        value,
        f"no backfill, at most {maximum_hours:g} hours old",
        passed,
        sentence,
    )


def check_floors(metrics: Mapping[str, float], floors: Floors) -> list[Check]:
    """Check what every champion must reach, whoever it replaces."""
    return [_check_floor(name, metrics.get(name), floor) for name, floor in floors.items()]


def _check_floor(name: str, value: float | None, floor: float) -> Check:
    subject = f"the challenger's {name.replace('_', ' ')}"
    if value is None:
        sentence = f"{subject} was not measured, required: at least {floor:g}"
    else:
        sentence = f"{subject} of {value:.4f} is below the floor of {floor:g}"
    passed = value is not None and round(value - floor, DECIMALS) >= 0
    return make_check("floor", name, value, f"at least {floor:g}", passed, sentence)


def check_guardrails(comparison: Mapping[str, Any], rule: Guardrails) -> list[Check]:
    """Check what may not get worse, however large the gain; nothing without a champion."""
    if comparison["tests"] is None:
        return []
    ours, theirs = (comparison[role]["metrics"] for role in ("challenger", "champion"))
    changes = [
        _check_change(
            measure, theirs.get(measure.name), ours.get(measure.name), rule[measure.guardrail]
        )
        for measure in MEASURES
        if measure.guardrail in rule
    ]
    return [*changes, _check_worst_patient(comparison["slices"], rule)]


def _check_change(
    measure: Measure, before: float | None, after: float | None, allowed: float
) -> Check:
    """Check that a measure has not fallen too far, or risen too far where less is better.

    Args:
        measure: what is compared.
        before: the champion's; None for not measured.
        after: the challenger's; None for not measured.
        allowed: how much worse the challenger may be.
    """
    verb = "fell" if measure.larger_is_better else "rose"
    limit = f"{100 * allowed:g}" if measure.in_points else f"{allowed:g}"
    unit = (" point" if allowed == 0.01 else " points") if measure.in_points else ""
    required = f"{verb} by at most {limit}{unit}"
    if before is None or after is None:
        role = "champion" if before is None else "challenger"
        sentence = f"the {measure.title} of the {role} was not measured, required: {required}"
        return make_check(
            "guardrail", measure.name, None, required, passed=False, sentence=sentence
        )
    loss = before - after if measure.larger_is_better else after - before
    change = round(loss, DECIMALS)
    told = format_change(change, in_points=measure.in_points, sign="")
    return make_check(
        "guardrail",
        measure.name,
        change,
        required,
        round(loss - allowed, DECIMALS) <= 0,
        f"{measure.title} {verb} by {told} ({before:.4f} to {after:.4f}), allowed: {limit}",
    )


def _check_worst_patient(slices: Sequence[Mapping[str, Any]], rule: Guardrails) -> Check:
    group = words.current().group
    if not slices:
        required = f"a {group} with {rule['minimum_patient_images']} images"
        return make_check(
            "guardrail", WORST_PATIENT, "none is large enough", required, passed=True, sentence=""
        )
    ours = min(slices, key=lambda row: row["challenger"])
    theirs = min(slices, key=lambda row: row["champion"])
    measure = Measure(WORST_PATIENT, f"worst {group}", measure_accuracy)
    check = _check_change(measure, theirs["champion"], ours["challenger"], rule[measure.guardrail])
    check["sentence"] += (
        f"; the challenger's is {ours['patient']} ({ours['images']} images), the champion's "
        f"{theirs['patient']}"
    )
    return check


def check_limits(facts: Facts | None, limits: Limits) -> list[Check]:
    """Check what the packaged model costs; nothing without facts."""
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
    return make_check("limit", name, value, f"at most {allowed:g} {unit}", passed, sentence)
