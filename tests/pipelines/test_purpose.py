"""What a pipeline is for is said by tags, and said wrongly it is refused."""

from __future__ import annotations

from typing import Any

import pytest
from kedro.pipeline import Node, Pipeline, pipeline

from image_classification.errors import ConfigurationError
from image_classification.pipeline_registry import register_pipelines
from image_classification.pipelines import monitoring, promotion, rollback
from image_classification.pipelines.purpose import (
    OUTPUT_OF,
    Purpose,
    read_purpose,
    split_at_training,
    takes_images_in,
)

EXPECTED = {
    "__default__": Purpose(decides=False, watches=False, rolls_back=False),
    "data_processing": Purpose(decides=False, watches=False, rolls_back=False),
    "hindsight": Purpose(decides=False, watches=False, rolls_back=False),
    "inference": Purpose(decides=False, watches=False, rolls_back=False),
    "monitoring": Purpose(decides=False, watches=True, rolls_back=False),
    "promotion": Purpose(decides=True, watches=False, rolls_back=False),
    "retention": Purpose(decides=False, watches=False, rolls_back=False),
    "retraining": Purpose(decides=True, watches=True, rolls_back=False),
    "review": Purpose(decides=False, watches=False, rolls_back=False),
    "rollback": Purpose(decides=False, watches=False, rolls_back=True),
    "training": Purpose(decides=False, watches=False, rolls_back=False),
}
MAKERS = {
    "comparison": promotion.create_pipeline(),
    "champion_watch": monitoring.create_pipeline(),
    "rollback_plan": rollback.create_pipeline(),
}


@pytest.fixture(scope="module")
def registered() -> dict[str, Pipeline]:
    return register_pipelines()


def look_at(value: Any) -> Any:
    return value


def add_reader(whole: Pipeline, dataset: str) -> Pipeline:
    """Return the pipeline with one more node, which reads a dataset."""
    return whole + Pipeline([Node(look_at, inputs=dataset, outputs="seen", name="look_at")])


def without_tags(whole: Pipeline, tags: set[str]) -> Pipeline:
    """Return the pipeline with some tags taken off its nodes."""
    return Pipeline(
        [
            Node(
                node.func,
                inputs=node.inputs,
                outputs=node.outputs,
                name=node.name,
                tags=node.tags - tags,
            )
            for node in whole.nodes
        ]
    )


def test_each_registered_pipeline_is_for_what_its_name_says(
    registered: dict[str, Pipeline],
) -> None:
    assert {name: read_purpose(whole) for name, whole in registered.items()} == EXPECTED


@pytest.mark.parametrize("dataset", MAKERS)
def test_a_node_that_reads_what_is_made_changes_nothing(dataset: str) -> None:
    whole = MAKERS[dataset]
    more = add_reader(whole, dataset)
    assert dataset not in more.outputs()
    assert read_purpose(more) == read_purpose(whole)


@pytest.mark.parametrize(("tag", "dataset"), OUTPUT_OF.items())
def test_a_tag_that_was_taken_off_is_an_error_and_no_silence(tag: str, dataset: str) -> None:
    silent = without_tags(MAKERS[dataset], {tag})
    with pytest.raises(ConfigurationError, match=rf"The tag '{tag}'.*Tagged: none\. Making it: "):
        read_purpose(silent)


@pytest.mark.parametrize(("tag", "dataset"), OUTPUT_OF.items())
def test_a_tag_at_another_node_is_an_error(tag: str, dataset: str) -> None:
    more = add_reader(MAKERS[dataset], dataset)
    stray = Pipeline(
        [*more.nodes[:-1], Node(look_at, inputs="a", outputs="b", name="stray", tags=tag)]
    )
    with pytest.raises(ConfigurationError, match=r"Tagged: .*stray.*Give the tag to the node"):
        read_purpose(stray)


def test_a_dataset_of_another_name_is_an_error() -> None:
    renamed = pipeline(MAKERS["comparison"], outputs={"comparison": "contrast"})
    with pytest.raises(ConfigurationError, match=r"Tagged: compare_models\. Making it: none"):
        read_purpose(renamed)


def test_a_night_is_cut_between_taking_in_and_training(registered: dict[str, Pipeline]) -> None:
    parts = split_at_training(registered["retraining"])
    assert parts is not None
    before, after = ({node.name for node in part.nodes} for part in parts)
    assert before | after == {node.name for node in registered["retraining"].nodes}
    assert not before & after
    # The watch and hindsight go on, and so does all that `check_new_images` stands after in a DAG.
    assert before >= {"index_images", "check_contract", "select_images", "watch_champion"}
    assert before >= {"choose_later_images", "score_past_versions", "judge_past_decisions"}
    assert after >= {"sample_images", "train_network", "score_champion", "compare_models"}
    assert not parts[0].inputs() & parts[1].all_outputs()


def test_what_only_trains_is_cut_after_the_selection(registered: dict[str, Pipeline]) -> None:
    parts = split_at_training(registered["training"])
    assert parts is not None
    assert {node.name for node in parts[0].nodes} == {"select_images"}
    assert split_at_training(registered["training"].only_nodes("train_network")) is None
    assert not takes_images_in(registered["training"])
    assert takes_images_in(registered["retraining"])


@pytest.mark.parametrize("name", ["promotion", "data_processing", "monitoring", "hindsight"])
def test_what_is_asked_for_alone_is_not_cut(registered: dict[str, Pipeline], name: str) -> None:
    assert split_at_training(registered[name]) is None
