"""The Kedro side of a DAG run, without Airflow."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from image_classification.errors import ConfigurationError, TrackingError

PROJECT = Path(__file__).resolve().parents[2]


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
    make_run(run_id).run_node("index_images")
    (run,) = find_runs(storage)
    assert run.info.status == "RUNNING"
    assert run.data.params["data_processing.split_salt"] == "image-classification"
    assert mlflow.active_run() is None
    assert (storage / "index" / "images.parquet").exists()


def test_node_that_fails_leaves_the_mlflow_run_running_for_its_retry(
    storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow
    from kedro.io import DatasetError

    run_id = make_run().open_mlflow_run()
    monkeypatch.setenv("IMAGE_CLASSIFICATION_IMAGES", str(storage / "nowhere"))
    with pytest.raises(DatasetError, match="does not exist"):
        make_run(run_id).run_node("index_images")
    (run,) = find_runs(storage)
    assert run.info.status == "RUNNING"
    assert mlflow.active_run() is None


def test_parameter_changed_within_a_run_is_refused_with_what_to_do(storage: Path) -> None:
    run_id = make_run().open_mlflow_run()
    make_run(run_id).run_node("index_images")
    changed = make_run(run_id, data_processing={"maximum_refused_share": 0.5})
    with pytest.raises(TrackingError, match="Undo the change, or trigger a new run"):
        changed.run_node("index_images")


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
    run.run_node("index_images")
    assert isinstance(pipelines["retraining"], PipelineML)
    assert "inference" in pipelines


# Is there something to train on?


@pytest.mark.parametrize(
    ("tags", "judges", "answer", "reason"),
    [
        (None, True, True, "No model is registered yet: training on 9 images of 3 patients."),
        ({"data_digest": "old"}, True, True, "New images since version 7: "),
        ({"data_digest": "new", "decision": "promoted"}, True, False, "No new images: version 7 "),
        ({"data_digest": "new"}, False, False, "No new images: version 7 "),
        ({"data_digest": "new"}, True, True, "No new images, but version 7 was never judged: "),
        ({}, True, True, "New images since version 7: "),
    ],
    ids=["no model", "new images", "none", "none, no judging", "never judged", "digest unknown"],
)
def test_training_goes_on_for_new_images_or_a_model_never_judged(
    storage: Path,
    monkeypatch: pytest.MonkeyPatch,
    tags: dict[str, str] | None,
    judges: bool,
    answer: bool,
    reason: str,
) -> None:
    (storage / "index").mkdir(parents=True)
    summary = {"images": 9, "patients": 3, "data_digest": "new"}
    (storage / "index" / "summary.json").write_text(json.dumps(summary))
    latest = None if tags is None else SimpleNamespace(version="7", tags=tags)
    monkeypatch.setattr(
        "image_classification.registry.find_latest_version", {"test-classifier": latest}.get
    )
    given, said = make_run().check_new_images(judges)
    assert given is answer
    assert said.startswith(reason)
