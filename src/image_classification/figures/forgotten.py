"""Figures in place of those that showed images of a patient who was forgotten."""

from __future__ import annotations

import io
import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from matplotlib.figure import Figure

from image_classification import words
from image_classification.figures.comparison import plot_comparison
from image_classification.gate.improvement import describe_requirement
from image_classification.gate.policy import settle_improvement

COMPARISON, MISTAKES, SHEET = "comparison.png", "confident_mistakes.png", "contact_sheet.png"
"""Names of the figures that show images, or name patients."""

JUDGED = ("challenger_predictions.csv", "champion_predictions.csv", "validation_predictions.csv")
"""Tables of a run whose images its figures show."""

SUMMARY = "review_summary.md"
"""What tells of which batch a contact sheet is."""


def choose_figures(
    paths: Iterable[str], changed: Iterable[str], summary: str, batches: Iterable[str]
) -> list[str]:
    """Return those figures of a run that show a patient who is forgotten.

    Args:
        paths: of all files of the run.
        changed: of those tables and records that tell of the patient.
        summary: the content of its `SUMMARY`, "" for none.
        batches: which have images of the patient.
    """
    showing = set[str]()
    if not {posixpath.basename(path) for path in changed}.isdisjoint(JUDGED):
        showing |= {COMPARISON, MISTAKES}
    told = summary.replace("\\", "")
    if any(batch in told for batch in batches):
        showing.add(SHEET)
    return [path for path in paths if posixpath.basename(path) in showing]


def redraw_figure(name: str, decision: Mapping[str, Any] | None) -> bytes:
    """Return a figure, as PNG, that takes the place of one which showed a patient's images.

    Args:
        name: of the figure.
        decision: of the same run, if there is one: it names patients by their pseudonyms.
    """
    figure = None
    if name == COMPARISON and decision is not None:
        figure = _plot_decision(decision)
    file = io.BytesIO()
    (figure or _plot_notice()).savefig(file, format="png")
    return file.getvalue()


def _plot_decision(decision: Mapping[str, Any]) -> Figure | None:
    try:
        improvement = settle_improvement(decision["policy"]["improvement"])
        return plot_comparison(decision, describe_requirement(improvement))
    except (KeyError, TypeError, ValueError):  # of an earlier release
        return None


def _plot_notice() -> Figure:
    figure = Figure(figsize=(6, 1.5))
    said = f"Removed: it showed a {words.current().group} who was forgotten since."
    figure.text(0.5, 0.5, said, ha="center", va="center")
    return figure
