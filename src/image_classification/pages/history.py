"""The page of all nights: champions as a line through time, and each night with what it decided."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from image_classification import words
from image_classification.champion.ledger import Entry, name_event
from image_classification.champion.statement import DecisionRun
from image_classification.pages import story
from image_classification.pages.arrival import Arrival
from image_classification.pages.drawing import draw_both, draw_champions, draw_trend
from image_classification.pages.render import render_page

MOST_NIGHTS = 1000
"""Nights that the page shows, from the newest back, so that it stays below its size."""

MOST_POINTS = 200
"""Decisions in the line of champions, from the newest back."""


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


def render_history(
    entries: Sequence[Entry],
    records: Mapping[str, Mapping[str, Any]],
    trend: pd.DataFrame,
) -> str:
    """Return the page of all nights.

    Args:
        entries: of the ledger, about this model, oldest first.
        records: of `make_record`, by MLflow run. A night of an earlier release has none.
        trend: of `gate.trend.settle_trend`.
    """
    facts = story.NightFacts("", entries, None, "")
    told = story.tell_story(facts)
    for entry in reversed(entries):
        if told.version and (wrong := story.recall_mistakes(entry, told.version)):
            told.wrong = wrong
            break
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
            "trend": draw_both(draw_trend, trend) if trend["accuracy"].notna().any() else None,
        },
    )


def list_nights(
    entries: Iterable[Entry], records: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return all nights, and what else changed the champion, the newest first."""
    rows = []
    last = {}
    for entry in entries:
        last[entry["mlflow_run_id"]] = entry
    for run_id in records:
        rows.append({**records[run_id], "page": f"{run_id}.html"})
    for run_id, entry in last.items():
        if run_id not in records:
            headline, tone, lead = _tell(entry)
            rows.append(
                {
                    "at": entry["at"],
                    "headline": headline,
                    "tone": tone,
                    "lead": lead,
                    "in_use": str(entry["champion_after"] or ""),
                    "found": None,
                    "accepted": None,
                    "page": "",
                }
            )
    return sorted(rows, key=lambda row: str(row["at"]), reverse=True)


def _tell(entry: Entry) -> tuple[str, str, str]:
    """Tell an entry of the ledger; one whose decision is damaged by its name and reason."""
    try:
        return story.tell_event(entry)
    except (KeyError, TypeError, AttributeError, ValueError):
        name = name_event(entry)
        return f"{name[:1].upper()}{name[1:]}", story.CALM, str(entry["reason"])


def _list_points(entries: Iterable[Entry]) -> list[tuple[str, str, float]]:
    """Return when each decision was, who is champion after it, and its accuracy there."""
    points = []
    for entry in entries:
        champion = str(entry["champion_after"] or "")
        models = [(entry["decision"] or {}).get(role) for role in ("challenger", "champion")]
        known = [
            float(model["metrics"]["accuracy"])
            for model in models
            if model and str(model["version"]) == champion
        ]
        points.append((str(entry["at"]), champion, known[0] if known else math.nan))
    return points
