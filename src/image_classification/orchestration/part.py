"""The parts of a composed DAG: a task group each, which the graph shows as one box until opened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from airflow.sdk import TaskGroup

from image_classification.configuration.tag import (
    HINDSIGHT,
    MONITORING,
    PROCESSING,
    PROMOTION,
    SELECTION,
    TRAINING,
)
from image_classification.errors import ConfigurationError


@dataclass(frozen=True)
class NodeSpec:
    """A Kedro node: its name, its tags, and the nodes it depends on."""

    name: str
    tags: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


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


def find_part(tags: Iterable[str]) -> Part | None:
    """Return the part to which a node with these tags belongs; None for no part of a night."""
    return next((part for part in PARTS if set(part.tags).intersection(tags)), None)


def check_parts(nodes: Sequence[NodeSpec]) -> None:
    """Check that each part can be one task.

    Raises:
        ConfigurationError: a node of no part stands between two of one.
    """
    parts = {node.name: find_part(node.tags) for node in nodes}
    tasks = {name: part.name if part else name for name, part in parts.items()}
    after: dict[str, set[str]] = {task: set() for task in tasks.values()}
    for node in nodes:
        after[tasks[node.name]] |= {tasks[name] for name in node.after} - {tasks[node.name]}
    try:
        TopologicalSorter(after).prepare()
    except CycleError as error:
        circle = " → ".join(reversed(error.args[1]))
        raise ConfigurationError(
            "conf/*/airflow.yml: 'group_by: tag' makes one task of the nodes of each part "
            f"({', '.join(part.name for part in PARTS)}). What stands between them has a place in "
            f"none: {circle}. Give such a node the tag of its part, or leave group_by out."
        ) from None


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
