"""What a run of a pipeline is for beyond its data, said by tags of its nodes and checked.

A node says by a tag that its output asks for something after the nodes: a comparison for a
decision, a plan for a rollback, a watch for a sentence in the notes. Which datasets a pipeline
happens to leave open says nothing of that: any node may be added that reads one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from kedro.pipeline import Pipeline

from image_classification.configuration import names
from image_classification.errors import ConfigurationError

DECIDES, WATCHES, ROLLS_BACK = "decides", "watches", "rolls_back"
"""Tags of nodes."""

OUTPUT_OF = {
    DECIDES: names.COMPARISON,
    WATCHES: names.CHAMPION_WATCH,
    ROLLS_BACK: names.ROLLBACK_PLAN,
}
"""The dataset that the node with this tag must make, and no other node may."""

PROCESSING, SELECTION, TRAINING, PROMOTION = (
    "data_processing",
    "selection",
    "training",
    "promotion",
)
"""Tags of nodes: the part of a composed pipeline that they belong to."""


@dataclass(frozen=True)
class Purpose:
    """What follows the nodes of a pipeline.

    Attributes:
        decides: challenger and champion are compared: the challenger is measured and judged, and
            what the gate says is carried out.
        watches: the champion is measured on the newest days, and the notes say how it does.
        rolls_back: a plan is carried out that makes an earlier version champion again.
    """

    decides: bool
    watches: bool
    rolls_back: bool


def read_purpose(pipeline: Pipeline) -> Purpose:
    """Return what a pipeline is for, as its nodes say.

    Raises:
        ConfigurationError: a tag stands at a node that does not make the tag's dataset, or the
            dataset is made by a node without the tag.
    """
    found = {}
    for tag, dataset in OUTPUT_OF.items():
        tagged = {node.name for node in pipeline.nodes if tag in node.tags}
        makers = {node.name for node in pipeline.nodes if dataset in node.outputs}
        if tagged != makers:
            raise ConfigurationError(
                f"The tag '{tag}' says that a node makes the dataset '{dataset}', and what follows "
                f"the nodes depends on it. Tagged: {_name(tagged)}. Making it: {_name(makers)}. "
                "Give the tag to the node that makes the dataset, and to no other."
            )
        found[tag] = bool(tagged)
    return Purpose(**found)


def split_at_training(pipeline: Pipeline) -> tuple[Pipeline, Pipeline] | None:
    """Cut a pipeline that takes images in and trains on them into what comes before and after.

    Before: all that is worth doing although too few images are new. After: training, and the
    comparison of what was trained.

    Returns:
        Both parts; None for a pipeline that does not do both: whoever asks for training alone
        gets it.
    """
    tags = {tag for node in pipeline.nodes for tag in node.tags}
    if not {PROCESSING, TRAINING} <= tags:
        return None
    after = [node for node in pipeline.nodes if node.tags & {TRAINING, PROMOTION}]
    before = [node for node in pipeline.nodes if node not in after]
    return Pipeline(before), Pipeline(after)


def _name(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
