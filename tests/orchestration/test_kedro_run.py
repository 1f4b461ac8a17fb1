"""The Kedro side of a DAG run, without Airflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from image_classification.errors import ConfigurationError, TrackingError

pytestmark = pytest.mark.usefixtures("sessions_read_once")

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 synthetic cells of 6 patients, which arrive instead of ten times as many."""
    from image_classification.local.synthetic import make_cells

    folder = tmp_path_factory.mktemp("cells")
    make_cells(folder, range(1, 7), 4)
    return folder


def make_run(mlflow_run_id: str | None = None, **changes: Any) -> Any:
    from image_classification.orchestration.kedro_run import KedroRun

    return KedroRun(
        project_path=PROJECT,
        pipeline="data_processing",
        dag_id="data_processing",
        dag_run_id="manual__2026-01-02T03:04:05+00:00",
        dag_run_url="http://airflow/dags/data_processing/runs/1",
        runtime_params=changes,
        mlflow_run_id=mlflow_run_id,
    )


def find_runs(storage: Path) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{storage}/mlflow/mlflow.db")
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    runs: list[Any] = client.search_runs(ids)
    return runs


def test_second_try_of_opening_finds_the_run_of_the_first(storage: Path) -> None:
    first, second = make_run().open_mlflow_run(), make_run().open_mlflow_run()
    assert first == second
    (run,) = find_runs(storage)
    assert run.info.run_id == first
    assert run.info.status == "RUNNING"
    assert run.data.tags["airflow.run"] == "data_processing/manual__2026-01-02T03-04-05-00-00"
    assert run.data.tags["airflow.url"] == "http://airflow/dags/data_processing/runs/1"


def test_node_that_succeeds_leaves_the_mlflow_run_running_but_not_active(storage: Path) -> None:
    import mlflow

    run_id = make_run().open_mlflow_run()
    make_run(run_id).run_node("collect_batches")
    (run,) = find_runs(storage)
    assert run.info.status == "RUNNING"
    assert run.data.params["data_processing.split_salt"] == "image-classification"
    assert mlflow.active_run() is None
    assert (storage / "images" / "first" / "_BATCH.json").exists()


def test_node_that_fails_leaves_the_mlflow_run_running_for_its_retry(storage: Path) -> None:
    import mlflow
    from kedro.io import DatasetError

    run_id = make_run().open_mlflow_run()
    with pytest.raises(DatasetError, match="intake_report"):
        make_run(run_id).run_node("check_contract")
    (run,) = find_runs(storage)
    assert run.info.status == "RUNNING"
    assert mlflow.active_run() is None


def test_model_is_logged_by_a_process_that_knows_no_pipelines_yet(
    storage: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from kedro.framework.project import pipelines
    from kedro_mlflow.pipeline.pipeline_ml import PipelineML

    from image_classification.champion.aftermath import Aftermath

    logged: list[Any] = []
    monkeypatch.setattr(
        Aftermath, "log_challenger", lambda _, pipeline: logged.append(pipeline) or "7"
    )
    pipelines.configure(None)  # as in a task that the stock executor starts
    assert make_run("1").log_model() == "7"
    assert [type(pipeline) for pipeline in logged] == [PipelineML]


def test_parameter_changed_within_a_run_is_refused_with_what_to_do(storage: Path) -> None:
    run_id = make_run().open_mlflow_run()
    make_run(run_id).run_node("collect_batches")
    changed = make_run(run_id, data_processing={"settle_minutes": 5})
    with pytest.raises(TrackingError, match="Undo the change, or trigger a new run"):
        changed.run_node("collect_batches")


def test_task_without_an_mlflow_run_says_which_task_to_clear(storage: Path) -> None:
    with pytest.raises(ConfigurationError, match="clear the task open_run"):
        make_run().record_outcome("succeeded")


def test_pipeline_that_logs_a_model_is_whole_again_after_one_of_its_nodes_ran(
    storage: Path,
) -> None:
    from kedro.framework.project import pipelines
    from kedro_mlflow.pipeline.pipeline_ml import PipelineML

    run = make_run()
    run.pipeline = "retraining"
    run.open_mlflow_run()
    run.run_node("collect_batches")
    assert isinstance(pipelines["retraining"], PipelineML)
    assert "inference" in pipelines


# What is there to take in?


def test_an_intake_finds_what_arrived_and_what_was_left_undone_and_an_answer_until_it_is_indexed(
    storage: Path,
) -> None:
    assert make_run().account.find_batches() == ["first"]
    (storage / "incoming" / "slow").mkdir()
    run_id = make_run().open_mlflow_run()
    make_run(run_id).run_node("collect_batches")
    assert make_run(run_id).account.find_batches() == ["first"]
    for name in ("inspect_images", "screen_batches", "index_images"):
        make_run(run_id).run_node(name)
    assert make_run(run_id).account.find_batches() == []
    assert make_run(run_id).account.count_new_images() == 24
    review = make_run(review={"batch": "first"})
    review.pipeline = review.dag_id = "review"
    review.open_mlflow_run()
    review.run_node("describe_batch")
    review.answer_review({"answer": "reject", "by": "Ada", "reason": "stale slides"})
    review.run_node("record_review")
    assert review.account.count_new_images() == 0
    assert review.account.describe_outcome() == "rejected 'first', by Ada: stale slides"
    assert make_run().account.find_batches() == ["first"]
    make_run(run_id).run_node("index_images")
    assert make_run().account.find_batches() == []
    assert make_run(run_id).account.count_new_images() == 0
    make_run(run_id).run_node("check_contract")
    assert "24 rejected" in make_run(run_id).account.describe_outcome()
