"""The intake, put together: what a batch must pass before it is in the index."""

from __future__ import annotations

import pytest
from kedro.pipeline import Pipeline

from image_classification.pipelines.data_processing import create_pipeline


@pytest.fixture(scope="module")
def intake() -> Pipeline:
    return create_pipeline()


def test_no_image_is_indexed_before_it_is_inspected_screened_and_reviewed(
    intake: Pipeline,
) -> None:
    before = {node.name for node in intake.to_nodes("index_images").nodes}
    assert before == {"collect_batches", "inspect_images", "screen_batches", "index_images"}
    (index,) = intake.filter(node_names=["index_images"]).nodes
    assert {"batch_screenings", "batch_reviews"} <= set(index.inputs)


def test_pixels_are_packed_for_what_is_indexed_alone(intake: Pipeline) -> None:
    (pack,) = intake.filter(node_names=["pack_images"]).nodes
    assert "image_index" in pack.inputs
    assert "image_inspections" not in pack.inputs


def test_whatever_is_known_of_other_nights_is_read_by_a_name_of_its_own(intake: Pipeline) -> None:
    assert {name for name in intake.inputs() if name.startswith("known_")} == {
        "known_images",
        "known_index",
        "known_inspections",
        "known_pixels",
        "known_screenings",
    }


def test_the_contract_is_checked_on_the_index_of_this_night(intake: Pipeline) -> None:
    (check,) = intake.filter(node_names=["check_contract"]).nodes
    assert {"image_index", "intake_report"} <= set(check.inputs)
