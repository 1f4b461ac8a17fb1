"""The watch, put together: it runs also on nights without training."""

from __future__ import annotations

from image_classification.configuration.tag import WATCHES
from image_classification.pipelines import training
from image_classification.pipelines.monitoring import create_pipeline


def test_it_needs_nothing_that_a_training_selects_or_makes() -> None:
    trains = training.create_selection_pipeline() + training.create_pipeline()
    assert not create_pipeline().inputs() & trains.all_outputs()
    assert "contract_report" not in create_pipeline().inputs()


def test_one_node_watches_and_it_makes_the_sentence_that_people_read() -> None:
    (watches,) = create_pipeline().only_nodes_with_tags(WATCHES).nodes
    assert "champion_watch" in watches.outputs
