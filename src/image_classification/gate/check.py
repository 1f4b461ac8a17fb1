"""One rule of the policy, applied."""

from __future__ import annotations

from typing_extensions import TypedDict


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
