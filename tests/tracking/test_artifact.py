"""Files of a run: written, read, and where their pages are."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from image_classification import tracking
from image_classification.errors import TrackingError
from image_classification.intake.index import digest_images

IMAGES = pd.DataFrame(
    {
        "image_id": ["a", "b", "c", "d"],
        "label": ["Parasitized", "Uninfected", "Parasitized", "Uninfected"],
        "patient": ["C1", "C1", "C2", "C3"],
        "split": ["train", "train", "validation", "test"],
    }
)
SERVER = "http://mlflow:5000/"


@pytest.fixture
def run_id(mlflow_store: str, tmp_path: Path) -> str:
    experiment = tracking.open_experiment("cells", artifact_location=str(tmp_path))
    return tracking.open_run(experiment, "retraining/1", "a night", {})


def test_the_images_of_a_run_are_named_by_split_and_kept_as_a_table(run_id: str) -> None:
    with tracking.resume_run(run_id):
        tracking.log_images(IMAGES)
    read = tracking.read_images(run_id)
    assert read is not None
    pd.testing.assert_frame_equal(read, IMAGES)
    inputs = MlflowClient().get_run(run_id).inputs.dataset_inputs
    named = {item.tags[0].value: item.dataset for item in inputs}
    for context, split in (("training", "train"), ("validation", "validation"), ("test", "test")):
        assert named[context].name == f"{context} images"
        assert named[context].digest == digest_images(IMAGES[IMAGES["split"] == split])


def test_without_an_active_run_no_image_is_named(run_id: str) -> None:
    tracking.log_images(IMAGES)
    assert tracking.read_images(run_id) is None


def test_an_artifact_that_is_not_there_is_none(run_id: str) -> None:
    tracking.log_json(run_id, {"a": 1}, "promotion/decision.json")
    content = tracking.read_artifact(run_id, "promotion/decision.json")
    assert content is not None
    assert json.loads(content) == {"a": 1}
    assert tracking.read_artifact(run_id, "promotion/other.json") is None
    assert tracking.read_artifact(run_id, "decision.json") is None


@pytest.mark.usefixtures("mlflow_store")
def test_a_run_that_was_deleted_for_good_has_no_artifact() -> None:
    assert tracking.read_artifact("0" * 32, "promotion/decision.json") is None


def test_a_run_that_was_not_measured_is_named(run_id: str) -> None:
    with pytest.raises(TrackingError, match=rf"{run_id} keeps no profile/timings\.json"):
        tracking.read_profile(run_id)


def test_without_a_server_an_artifact_is_where_its_file_lies(run_id: str) -> None:
    place = tracking.locate_artifact(run_id, "plots/roc_curve.png")
    assert place.endswith(f"{run_id}/artifacts/plots/roc_curve.png")
    assert tracking.locate_artifact_file(run_id, "plots/roc_curve.png") is None
    assert tracking.locate_run(run_id) == f"MLflow run {run_id} in {tracking.read_uri()}"


def test_a_run_in_a_database_is_told_without_the_login_of_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "postgresql://ada:hidden@host/mlflow")
    assert tracking.locate_run("r1", "7") == "MLflow run r1 in postgresql://host/mlflow"


def test_a_server_shows_a_run_its_artifacts_and_a_picture() -> None:
    mlflow.set_tracking_uri(SERVER)
    page = "http://mlflow:5000/#/experiments/7/runs/r1"
    assert tracking.locate_run("r1", "7") == page
    picture = tracking.locate_artifact_file("r1", "plots/roc curve.png")
    assert picture == "http://mlflow:5000/get-artifact?path=plots%2Froc%20curve.png&run_uuid=r1"
