"""The parts of a composed DAG: a task group each, which the graph shows as one box until opened."""

from __future__ import annotations

from dataclasses import dataclass

from airflow.sdk import TaskGroup

from image_classification.configuration.tag import (
    HINDSIGHT,
    MONITORING,
    PROCESSING,
    PROMOTION,
    SELECTION,
    TRAINING,
)


@dataclass(frozen=True)
class Part:
    """A part of a composed DAG.

    Attributes:
        name: id of the task group.
        title: what the graph shows.
        tooltip: what it does, in a sentence.
        tags: of its nodes.
    """

    name: str
    title: str
    tooltip: str
    tags: tuple[str, ...]


PARTS = (
    Part(
        "intake",
        "Intake",
        "Check, index and pack what has arrived, and choose what this run works on.",
        (PROCESSING, SELECTION),
    ),
    Part(
        "training",
        "Training",
        "Train a challenger where there is something new, and log it as one model.",
        (TRAINING,),
    ),
    Part(
        "promotion",
        "Promotion",
        "Compare challenger and champion, and promote the challenger only if it is better.",
        (PROMOTION,),
    ),
    Part(
        "watching",
        "Watching",
        "Measure the champion on the newest images, and past decisions by later ones.",
        (MONITORING, HINDSIGHT),
    ),
)
"""In the order in which the graph shows them."""


def make_groups(tags: set[str]) -> dict[str, TaskGroup]:
    """Return the task group of each tag; none for a DAG that is one part itself.

    A task keeps its id within a group: what was configured, linked or cleared by it goes on.

    Args:
        tags: of all nodes of the DAG. Only a DAG that takes images in and trains is composed.
    """
    if not {PROCESSING, TRAINING} <= tags:
        return {}
    return {
        tag: group
        for part in PARTS
        if tags.intersection(part.tags)
        for group in [
            TaskGroup(
                part.name,
                prefix_group_id=False,
                group_display_name=part.title,
                tooltip=part.tooltip,
            )
        ]
        for tag in part.tags
    }
