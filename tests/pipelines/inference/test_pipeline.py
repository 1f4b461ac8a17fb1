"""Scoring, put together: the champion alone, and nothing of the training set."""

from __future__ import annotations

from image_classification.pipelines.inference import create_pipeline


def test_images_are_listed_scored_and_reported_one_after_the_other() -> None:
    names = [node.name for node in create_pipeline().nodes]
    assert names == ["list_images", "score_images", "report_scores"]


def test_it_needs_the_champion_and_the_images_and_nothing_of_a_night() -> None:
    inputs = create_pipeline().inputs()
    assert {name for name in inputs if not name.startswith("params:")} == {
        "champion",
        "image_source",
    }
