"""One rule of the policy, applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import TypedDict

from image_classification.gate.measure import find_measure
from image_classification.gate.number import IN_POINTS, MINUS


class Check(TypedDict):
    """What a rule found. `group` is guard, floor, improvement, guardrail or limit."""

    group: str
    name: str
    value: float | str | None
    required: str
    passed: bool
    sentence: str


def make_check(
    group: str, name: str, value: float | str | None, required: str, passed: bool, sentence: str
) -> Check:
    """Return a check; its sentence is what is said where it has not passed."""
    return {
        "group": group,
        "name": name,
        "value": value,
        "required": required,
        "passed": bool(passed),
        "sentence": sentence,
    }


def tell_value(check: Mapping[str, Any]) -> str:
    """Return what a rule found, as people read it: in points where the requirement is."""
    value = check["value"]
    if value is None:
        return "unknown"
    if not isinstance(value, float):
        return str(value)
    measure = find_measure(check["name"])
    in_points = check["group"] == "guardrail" and (measure is None or measure.in_points)
    if in_points or check["name"] in IN_POINTS:
        return f"{100 * value:.2f} points".replace("-", MINUS)
    return f"{value:.4g}"
