"""Hindsight, put together: it changes nothing that anything else of a night reads."""

from __future__ import annotations

from kedro.framework.project import configure_project, pipelines

from image_classification.pipelines import data_processing, monitoring, promotion, training
from image_classification.pipelines.hindsight import create_pipeline


def test_it_needs_nothing_that_a_training_selects_or_makes() -> None:
    trains = training.create_selection_pipeline() + training.create_pipeline()
    assert not create_pipeline().inputs() & trains.all_outputs()
    assert "contract_report" not in create_pipeline().inputs()


def test_nothing_that_it_makes_is_read_elsewhere() -> None:
    others = (
        data_processing.create_pipeline()
        + monitoring.create_pipeline()
        + training.create_selection_pipeline()
        + training.create_pipeline()
        + promotion.create_pipeline()
    )
    assert not create_pipeline().all_outputs() & (others.inputs() | others.all_outputs())


def test_the_nightly_run_includes_it() -> None:
    configure_project("image_classification")
    pipelines.set_requested(None)
    nightly = {node.name for node in pipelines["retraining"].nodes}
    assert {node.name for node in create_pipeline().nodes} <= nightly


def test_the_report_is_written_before_the_findings() -> None:
    # Else a task that is killed between the two would find its own news recorded.
    (judges,) = (node for node in create_pipeline().nodes if node.name == "judge_past_decisions")
    assert judges.outputs == ["hindsight_report", "hindsight_findings"]
