"""The tags that code reads are those that the wiring sets."""

from __future__ import annotations

import pytest
from kedro.pipeline import Node, Pipeline

from image_classification.configuration import tag
from image_classification.pipeline_registry import register_pipelines

KNOWN = {name: value for name, value in vars(tag).items() if name.isupper()}


@pytest.fixture(scope="module")
def worn() -> set[str]:
    """The tags of all nodes."""
    pipelines = register_pipelines().values()
    return {mark for pipeline in pipelines for node in pipeline.nodes for mark in node.tags}


def find_strangers(worn: set[str]) -> set[str]:
    """Return the tags that stand in one of the two places alone."""
    return worn ^ set(KNOWN.values())


def test_each_tag_is_worn_by_a_node_and_each_node_has_known_tags(worn: set[str]) -> None:
    assert find_strangers(worn) == set()
    assert len(set(KNOWN.values())) == len(KNOWN)


def test_a_tag_that_is_written_otherwise_is_noticed(worn: set[str]) -> None:
    node = Node(len, inputs="comparison", outputs="lost", name="len", tags="decide")
    assert find_strangers(worn | Pipeline([node]).nodes[0].tags) == {"decide"}
    assert find_strangers(worn - {"decides"}) == {"decides"}
