"""How shares are compared and printed."""

from __future__ import annotations

MINUS = "\N{MINUS SIGN}"

DECIMALS = 9
"""Decimals of a share that count: 0.8 - 0.7 is more than 0.1 in binary.

The distance to a limit is what is rounded, so that equal is equal on either side of it.
"""

IN_POINTS = ("gain", "gain_over_patients", "believed_gain", "expected_loss")
"""Names of the checks of `improvement` whose value is a share of accuracy."""


def format_points(share: float, sign: str = "+") -> str:
    """Return a share as points with one decimal, as in ``+0.4``; minus as it is printed."""
    return f"{100 * share:{sign}.1f}".replace("-", MINUS)


def format_change(change: float, *, in_points: bool, sign: str = "+") -> str:
    """Return a difference as ``+0.4 points``, or as ``+0.0200`` where points would say nothing."""
    if in_points:
        return f"{format_points(change, sign)} points"
    return f"{change:{sign}.4f}".replace("-", MINUS)
