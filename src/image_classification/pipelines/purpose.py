"""What must follow the nodes of a pipeline. Tags of the nodes say it, and are checked.

A tag of a node says what must follow from its output: a decision from a comparison, a rollback from
a plan, a sentence in the notes from a watch. The free outputs of a pipeline cannot say it, since
anybody may add a node that reads one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from kedro.pipeline import Pipeline

from image_classification.configuration import names
from image_classification.configuration.tag import (
    DECIDES,
    PROCESSING,
    PROMOTION,
    ROLLS_BACK,
    SELECTION,
    TRAINING,
    WATCHES,
)
from image_classification.errors import ConfigurationError

OUTPUT_OF = {
    DECIDES: names.COMPARISON,
    WATCHES: names.CHAMPION_WATCH,
    ROLLS_BACK: names.ROLLBACK_PLAN,
}
"""The dataset that the node with this tag must make, and that no other node may make."""


@dataclass(frozen=True)
class Purpose:
    """What follows the nodes of a pipeline.

    Attributes:
        decides: challenger and champion were compared; the challenger is then measured and judged,
            and the decision is carried out.
        watches: the champion was measured on the newest days; the notes then say how it does.
        rolls_back: a rollback was planned; an earlier version then becomes champion again.
    """

    decides: bool
    watches: bool
    rolls_back: bool


def read_purpose(pipeline: Pipeline) -> Purpose:
    """Return what must follow the nodes of a pipeline, as their tags say.

    Raises:
        ConfigurationError: a node with a tag does not make the dataset of that tag, or a node
            without the tag makes it.
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
    """Cut a pipeline that selects images and then trains on them into two parts.

    Returns:
        The nodes that run even if there are too few images, and then those that train and compare.
        None for a pipeline that does not do both.
    """
    tags = _list_tags(pipeline)
    if TRAINING not in tags or tags.isdisjoint({PROCESSING, SELECTION}):
        return None
    after = [node for node in pipeline.nodes if node.tags & {TRAINING, PROMOTION}]
    before = [node for node in pipeline.nodes if node not in after]
    return Pipeline(before), Pipeline(after)


def takes_images_in(pipeline: Pipeline) -> bool:
    """Tell whether a run of the pipeline may find new images."""
    return PROCESSING in _list_tags(pipeline)


def _list_tags(pipeline: Pipeline) -> set[str]:
    return {tag for node in pipeline.nodes for tag in node.tags}


def _name(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
