"""What a night's decision rests on, as rows and figures of its page."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pandas as pd
from markupsafe import Markup

from image_classification import words
from image_classification.configuration.path import list_values
from image_classification.gate.check import tell_value
from image_classification.gate.measure import find_measure, measure_classes
from image_classification.gate.number import format_change
from image_classification.pages.curve import (
    TOLD_THRESHOLDS,
    measure_reliability,
    measure_thresholds,
)
from image_classification.pages.drawing import (
    CHALLENGER,
    CHAMPION,
    Figure,
    draw_both,
    draw_groups,
    draw_history,
    draw_reliability,
    draw_thresholds,
)

GROUPS = {
    "guard": "Is the comparison a fair one?",
    "floor": "Is it good enough at all?",
    "improvement": "Is it better?",
    "guardrail": "Does nothing that matters get worse?",
    "limit": "Is it small and quick enough?",
}
"""What each group of rules asks."""

RULE_TITLES = {
    "load_s": "seconds to load",
    "latency_ms": "milliseconds an image",
    "size_mb": "megabytes",
    "data_not_older": "data as new as the champion's",
}
"""Titles of rules whose name does not say it."""

PACKAGES = ("image-classification", "tensorflow", "keras", "mlflow", "kedro", "apache-airflow")

BOTH_KEYS = (("challenger", CHALLENGER), ("champion", CHAMPION))


@dataclass(frozen=True)
class Row:
    """A measure of both models.

    Attributes:
        title: of the measure.
        challenger: its value.
        champion: the same of the champion; None for none.
        change: the difference, as it is told; "" for none.
        tone: "better", "worse" or "".
        in_percent: whether the values are shares.
    """

    title: str
    challenger: float
    champion: float | None
    change: str
    tone: str
    in_percent: bool


@dataclass(frozen=True)
class Judgement:
    """How challenger and champion compare.

    Attributes:
        challenger: the version; "" where it is not registered yet.
        champion: the version; "" for none.
        fault: why there is none to compare with.
        images: how many both were asked about.
        patients: whose they are.
        rows: the measures.
        tests: the gain, its interval, and who alone is right how often; None without a champion.
        slices: accuracy of both on each patient.
        chart: the same, drawn for a desk and for a phone; None for no patient with enough images.
    """

    challenger: str
    champion: str
    fault: str
    images: int
    patients: int
    rows: list[Row]
    tests: Mapping[str, Any] | None
    slices: Sequence[Mapping[str, Any]]
    chart: tuple[Markup, Markup] | None


def describe_judgement(
    comparison: Mapping[str, Any], decision: Mapping[str, Any] | None
) -> Judgement:
    """Return how both models compare, patient by patient.

    Args:
        comparison: of `gate.comparison.compare_predictions`.
        decision: of the gate, which knows the challenger's version; None for not judged yet.
    """
    champion = comparison["champion"]
    ours = comparison["challenger"]["metrics"]
    theirs = champion["metrics"] if champion else {}
    slices = sorted(comparison["slices"], key=lambda row: (row["challenger"], row["patient"]))
    return Judgement(
        challenger=str((decision or comparison)["challenger"]["version"]),
        champion=str(champion["version"]) if champion else "",
        fault=comparison["champion_fault"],
        images=comparison["images"],
        patients=comparison["patients"],
        rows=[_compare(name, value, theirs.get(name)) for name, value in ours.items()],
        tests=comparison["tests"],
        slices=slices,
        chart=draw_both(draw_groups, slices) if slices else None,
    )


def _compare(name: str, ours: float, theirs: float | None) -> Row:
    measure = find_measure(name)
    title = measure.title if measure else name.replace("_", " ")
    in_points = measure is not None and measure.in_points
    if theirs is None:
        return Row(title, ours, None, "", "", in_points)
    change, tone = format_change(ours - theirs, in_points=in_points), ""
    if measure and any(digit in "123456789" for digit in change):
        tone = "better" if (ours > theirs) == measure.larger_is_better else "worse"
    return Row(title, ours, theirs, change, tone, in_points)


@dataclass(frozen=True)
class RuleGroup:
    """The rules that ask the same.

    Attributes:
        question: what they ask.
        passed: whether all of them are met.
        checks: of each, its title, what was found, what is required, whether it is met, and the
            sentence where it is not.
    """

    question: str
    passed: bool
    checks: list[dict[str, Any]]


def list_rules(decision: Mapping[str, Any]) -> list[RuleGroup]:
    """Return every rule of the gate with what it found, in groups."""
    found: dict[str, list[dict[str, Any]]] = {}
    for check in decision["checks"]:
        found.setdefault(check["group"], []).append(
            {
                "title": _name_rule(check["name"]),
                "found": tell_value(check),
                "required": check["required"],
                "passed": check["passed"],
                "sentence": "" if check["passed"] else check["sentence"],
            }
        )
    return [
        RuleGroup(GROUPS.get(group, group), all(check["passed"] for check in checks), checks)
        for group, checks in found.items()
    ]


def _name_rule(name: str) -> str:
    measure = find_measure(name)
    return RULE_TITLES.get(name) or (measure.title if measure else words.current().tell_key(name))


def list_figures(
    history: Mapping[str, Sequence[float]] | None,
    predictions: Mapping[str, pd.DataFrame],
    positive_class: str | None,
) -> list[Figure]:
    """Return the charts of training, calibration and thresholds.

    Args:
        history: accuracy and loss by epoch; None where the run has trained nothing.
        predictions: of validation images, by role.
        positive_class: the class whose recall is the sensitivity; None for none, and then there is
            no threshold to choose.
    """
    figures = []
    if history:
        keys = (("training", "quiet"), ("validation", CHALLENGER))
        told = "The two lines should come near each other; where they part, it learns by heart."
        accuracy, loss = (draw_history(history, name) for name in ("accuracy", "loss"))
        figures += [
            Figure("Accuracy by epoch", told, accuracy, keys),
            Figure("Loss by epoch", "Lower is better.", loss, keys),
        ]
    if not predictions:
        return figures
    shown = tuple(key for key in BOTH_KEYS if key[0] in predictions)
    named = positive_class or "the class that is called"
    bins = {role: measure_reliability(table, positive_class) for role, table in predictions.items()}
    figures.append(
        Figure(
            "Calibration",
            f"Of the {words.current().images} that get 80 % for {named}, some 80 % should "
            "be it: a model that knows how sure it is lies on the dotted line.",
            draw_reliability(bins, named),
            (*shown, ("perfect", "ideal")),
        )
    )
    if positive_class is None:
        return figures
    levels = {
        role: measure_thresholds(table, positive_class) for role, table in predictions.items()
    }
    if any(levels.values()):
        figures.append(
            Figure(
                "Thresholds",
                f"How much of {positive_class} is found (solid), and how much of the rest is left "
                "alone (dashed), if it is called from another probability on.",
                draw_thresholds(levels, positive_class),
                shown,
            )
        )
    return figures


def tabulate_thresholds(
    predictions: Mapping[str, pd.DataFrame], positive_class: str | None
) -> list[dict[str, Any]]:
    """Return what a few thresholds would lead to: missed and false alarms, of each model."""
    if positive_class is None:
        return []
    found = {
        role: measure_thresholds(table, positive_class, TOLD_THRESHOLDS)
        for role, table in predictions.items()
    }
    told = {role: levels for role, levels in found.items() if levels}
    nothing: dict[str, Any] = {CHALLENGER: None, CHAMPION: None}
    return [
        nothing | {"level": level} | {role: levels[place] for role, levels in told.items()}
        for place, level in enumerate(TOLD_THRESHOLDS)
        if CHALLENGER in told
    ]


def describe_classes(
    predictions: Mapping[str, pd.DataFrame], class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return, of each role, recall and precision of each class, and what it is read as instead."""
    return [
        {
            "role": role,
            "measures": measure_classes(table, class_names),
            "confusion": pd.crosstab(table["label"], table["category"])
            .reindex(index=list(class_names), columns=list(class_names), fill_value=0)
            .to_numpy()
            .tolist(),
            "names": list(class_names),
        }
        for role, table in predictions.items()
    ]


def list_parameters(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return all parameters, nested ones with dots in their names, sorted."""
    return sorted((path, str(value)) for path, value in list_values(parameters))


def list_packages() -> dict[str, str]:
    """Return the versions of Python and of the packages that matter to a result."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
