"""The comparison, put together: both models answer the same images."""

from __future__ import annotations

from kedro.pipeline import Pipeline

from image_classification.configuration.tag import DECIDES
from image_classification.pipelines.promotion import create_pipeline


def read_inputs(whole: Pipeline, name: str) -> set[str]:
    (node,) = whole.filter(node_names=[name]).nodes
    return set(node.inputs)


def test_challenger_and_champion_are_scored_on_the_same_images() -> None:
    whole = create_pipeline()
    ours, theirs = (read_inputs(whole, f"score_{role}") for role in ("challenger", "champion"))
    assert ours - theirs == {"network"}
    assert theirs - ours == {"open_champion"}


def test_the_comparison_knows_predictions_alone_neither_networks_nor_images() -> None:
    inputs = read_inputs(create_pipeline(), "compare_models")
    assert not inputs & {"network", "open_champion", "image_batches", "image_splits"}


def test_one_node_decides_and_nothing_else_makes_a_comparison() -> None:
    whole = create_pipeline()
    (decides,) = whole.only_nodes_with_tags(DECIDES).nodes
    assert "comparison" in decides.outputs
    assert [node for node in whole.nodes if "comparison" in node.outputs] == [decides]
