"""What hindsight has found of the decisions, for the gate report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from kedro.framework.context import KedroContext

from image_classification.commands.console import load_entry, run_pipeline
from image_classification.commands.decisions import read_entries
from image_classification.configuration import names
from image_classification.gate.finding import count_outcomes, describe_decision, settle_findings
from image_classification.gate.hindsight import list_decisions

ADDED = [
    "hindsight",
    "later_images",
    "later_patients",
    "later_gain",
    "later_gain_low",
    "later_gain_high",
]
"""Columns of the report that tell what later images say of a decision."""

NO_LIMIT = 1_000_000_000
ASK = "`image-classification gate-report --hindsight` looks back on all of them"


def look_back() -> None:
    """Run the pipeline `hindsight` over every decision, however much there is to score."""
    limits = {"maximum_decisions": NO_LIMIT, "maximum_images": NO_LIMIT}
    run_pipeline("hindsight", hindsight=limits)


def add_hindsight(context: KedroContext, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of a report with what was found of the decision of their `run_id`."""
    found = {one["run_id"]: one for one in read_findings(context)}
    columns = ("outcome", "images", "patients", "gain", "low", "high")
    return [
        {
            **row,
            **{
                added: found.get(row["run_id"], {}).get(name)
                for added, name in zip(ADDED, columns, strict=True)
            },
        }
        for row in rows
    ]


def tell_hindsight(context: KedroContext) -> Iterator[str]:
    """Yield a sentence for each decision between two versions, oldest first, and then the sum."""
    findings = read_findings(context)
    found = {one["run_id"]: one["sentence"] for one in findings}
    decisions = list_decisions(read_entries(context))
    now = datetime.now(UTC)
    for decision in decisions:
        waiting = f"{describe_decision(decision, now)}; not looked back on yet"
        yield found.get(decision["run_id"], waiting)
    left = sum(decision["run_id"] not in found for decision in decisions)
    parts = [count_outcomes(findings)] if findings or not left else []
    if left:
        parts.append(f"{left} not looked back on yet: {ASK}")
    yield f"Hindsight: {'; '.join(parts)}."


def read_findings(context: KedroContext) -> list[dict[str, Any]]:
    """Return what was last found of each decision, oldest first."""
    findings = settle_findings(load_entry(context, names.HINDSIGHT_FINDINGS))
    return [
        {str(name): value for name, value in one.items()} for one in findings.to_dict("records")
    ]
