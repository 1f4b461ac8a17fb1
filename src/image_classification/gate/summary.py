"""A decision in a few aligned lines: what challenger and champion have on the validation images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from image_classification import words
from image_classification.gate.measure import MEASURES

SHOWN = tuple(measure.name for measure in MEASURES if measure.shown_first)


def summarise_decision(decision: Mapping[str, Any]) -> list[str]:
    """Return a header, and a line for each of the two models that was measured."""
    lines = [_align(f"On the validation {words.current().groups}", SHOWN)]
    for role in ("challenger", "champion"):
        model = decision[role]
        if model:
            values = [_show(model["metrics"].get(name)) for name in SHOWN]
            lines.append(_align(f"{role}, version {model['version']}", values))
    return lines


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _align(title: str, values: Sequence[str]) -> str:
    return f"{title:<28}  {'  '.join(f'{value:>11}' for value in values)}"
