"""The page of all nights: champions as a line through time, and each night with what it decided."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from image_classification import words
from image_classification.champion.ledger import Entry, name_event
from image_classification.champion.statement import DecisionRun
from image_classification.pages import name_page, story
from image_classification.pages.arrival import Arrival
from image_classification.pages.drawing import draw_both, draw_champions, draw_trend
from image_classification.pages.render import render_page

MOST_NIGHTS = 1000
"""Nights that the page shows, from the newest back, so that it stays below its size."""

MOST_POINTS = 200
"""Decisions in the line of champions, from the newest back."""


TOLD = {
    "at": str,
    "headline": str,
    "tone": str,
    "lead": str,
    "in_use": str,
    "found": int,
    "accepted": int,
}
"""What a record holds that the page of all nights shows."""

DAMAGED = (KeyError, TypeError, AttributeError, ValueError)
"""What telling an entry raises whose decision is damaged."""


def make_record(
    run: DecisionRun,
    at: str,
    told: story.Story,
    facts: story.NightFacts,
    arrivals: Iterable[Arrival],
) -> dict[str, Any]:
    """Return what the page of all nights tells of one: it is read without asking MLflow.

    Args:
        run: whose night it is.
        at: when it was, ISO 8601.
        told: what its page says first.
        facts: what that was made of.
        arrivals: what arrived.
    """
    arrived = list(arrivals)
    return {
        "at": at,
        "headline": told.headline,
        "tone": told.tone,
        "lead": told.lead,
        "in_use": told.version,
        "found": sum(arrival.found for arrival in arrived),
        "accepted": sum(arrival.counts.get("accepted", 0) for arrival in arrived),
        "airflow_run": run.airflow_run,
        "decided": facts.own is not None,
    }


def find_fault(record: object) -> str:
    """Return why a record of `make_record` cannot be shown, a clause; "" where it can."""
    if not isinstance(record, Mapping) or not record:
        return "it cannot be read"
    for name, kind in TOLD.items():
        if not isinstance(record.get(name), kind):
            return f"its '{name}' is {'damaged' if name in record else 'missing'}"
    return "" if read_time(record) else "its 'at' is no time"


def read_time(record: object) -> str:
    """Return when the night of a record was, ISO 8601; "" where it does not tell."""
    at = record.get("at") if isinstance(record, Mapping) else None
    try:
        return datetime.fromisoformat(str(at)).isoformat(timespec="seconds")
    except ValueError:
        return ""


def render_history(
    entries: Sequence[Entry],
    records: Mapping[str, Mapping[str, Any]],
    trend: pd.DataFrame | None,
) -> str:
    """Return the page of all nights.

    Args:
        entries: of the ledger, about this model, oldest first.
        records: of `make_record`, by MLflow run. A night of an earlier release has none. One that
            is damaged costs the line of its night, which then says so.
        trend: of `gate.trend.settle_trend`; None where it cannot be read, which the page says.
    """
    facts = story.NightFacts("", entries, None, "")
    told = story.tell_story(facts)
    told.wrong = _recall_mistakes(entries, told.version)
    points = _list_points(entries)[-MOST_POINTS:]
    nights = list_nights(entries, records)
    return render_page(
        "history.html.j2",
        {
            "words": words.current(),
            "story": told,
            "nights": nights[:MOST_NIGHTS],
            "left_out": max(0, len(nights) - MOST_NIGHTS),
            "line": draw_both(draw_champions, points) if points else None,
            "trend": _draw_trend(trend),
            "trend_is_damaged": trend is None,
        },
    )


def list_nights(
    entries: Iterable[Entry], records: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return all nights, and what else changed the champion, the newest first.

    A night whose record is damaged is told as the ledger knows it, and says so.
    """
    last = {entry["mlflow_run_id"]: entry for entry in entries}
    rows = [_tell_entry(entry) for run_id, entry in last.items() if run_id not in records]
    for run_id, record in records.items():
        page = {"page": name_page(run_id)}
        if fault := find_fault(record):
            said = f"What is kept of this night for this list is damaged: {fault}."
            rows.append(_tell_damaged(record, last.get(run_id), said) | page)
        else:
            rows.append({**record, **page})
    return sorted(rows, key=lambda row: str(row["at"]), reverse=True)


def _tell_damaged(record: object, entry: Entry | None, said: str) -> dict[str, Any]:
    if entry is not None:
        told = _tell_entry(entry)
        return told | {"lead": f"{told['lead']} {said}"}
    return {
        "at": read_time(record),
        "headline": "Its own page tells what was decided",
        "tone": story.WARN,
        "lead": said,
        **dict.fromkeys(("in_use", "found", "accepted")),
    }


def _tell_entry(entry: Entry) -> dict[str, Any]:
    """Return the line of an entry of the ledger, which leads to no page."""
    headline, tone, lead = _tell(entry)
    return {
        "at": entry["at"],
        "headline": headline,
        "tone": tone,
        "lead": lead,
        "in_use": str(entry["champion_after"] or ""),
        "found": None,
        "accepted": None,
        "page": "",
    }


def _tell(entry: Entry) -> tuple[str, str, str]:
    """Tell an entry of the ledger; one whose decision is damaged by its name and reason."""
    try:
        return story.tell_event(entry)
    except DAMAGED:
        name = name_event(entry)
        return f"{name[:1].upper()}{name[1:]}", story.CALM, str(entry["reason"])


def _recall_mistakes(entries: Sequence[Entry], version: str) -> list[str]:
    """Return what a version got wrong when it was judged last, by the newest entry that tells."""
    for entry in reversed(entries):
        try:
            wrong = story.recall_mistakes(entry, version) if version else []
        except DAMAGED:
            continue
        if wrong:
            return wrong
    return []


def _draw_trend(trend: pd.DataFrame | None) -> Any:
    known = trend is not None and trend["accuracy"].notna().any()
    return draw_both(draw_trend, trend) if known else None


def _list_points(entries: Iterable[Entry]) -> list[tuple[str, str, float]]:
    """Return when each decision was, who is champion after it, and its accuracy there."""
    points = []
    for entry in entries:
        champion = str(entry["champion_after"] or "")
        try:
            accuracy = _read_accuracy(entry["decision"] or {}, champion)
        except DAMAGED:
            accuracy = math.nan
        points.append((str(entry["at"]), champion, accuracy))
    return points


def _read_accuracy(decision: Mapping[str, Any], version: str) -> float:
    """Return a version's accuracy in a decision; NaN where that was not about it."""
    for model in (decision.get(role) for role in ("challenger", "champion")):
        if model and str(model["version"]) == version:
            return float(model["metrics"]["accuracy"])
    return math.nan
