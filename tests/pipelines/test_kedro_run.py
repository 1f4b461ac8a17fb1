"""The pipelines as `kedro run` runs them, and what they leave in MLflow and on disk."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from arrivals import deliver_cells
from bucket import Fault, make_bucket, serve_store
from kedro.framework.project import settings
from kedro.framework.startup import bootstrap_project
from mlflow import MlflowClient
from sessions import kedro_run, read_results
from storage_root import STORE, copy_storage, forget_mlflow_state, put_in_force
from terminal import call, read_table

from image_classification.champion.lineage import read_facts
from image_classification.datasets import LedgerDataset
from image_classification.datasets.file import open_filesystem
from image_classification.local.synthetic import make_cells

PROJECT = Path(__file__).resolve().parents[2]
MODEL = "test-classifier"
# Whole runs, with a fresh process each. tests/dags/test_outcomes.py has a quick one.
pytestmark = pytest.mark.slow

ANY_GAIN = {"promotion": {"improvement": {"minimum_gain": -1.0}}}


@dataclass
class Retrained:
    storage: Path
    uri: str
    results: Any
    index: list[dict[str, Any]]

    @property
    def client(self) -> MlflowClient:
        mlflow.set_tracking_uri(self.uri)
        return MlflowClient()

    @property
    def run(self) -> Any:
        return self.client.search_runs(["1"], order_by=["attributes.start_time ASC"])[0]

    def artifacts(self, path: str | None = None) -> set[str]:
        found = self.client.list_artifacts(self.run.info.run_id, path)
        return {entry.path for entry in found}


@pytest.fixture(scope="module")
def retrained(tmp_path_factory: pytest.TempPathFactory, cells: Path) -> Iterator[Retrained]:
    storage = tmp_path_factory.mktemp("storage")
    with pytest.MonkeyPatch.context() as patch:
        put_in_force(patch, storage)
        deliver_cells(cells, storage)
        kedro_run("retraining", **ANY_GAIN)
        # Later tests run more nights over this storage.
        results, index = read_results(storage / "runs" / "local"), read_index(storage)
        yield Retrained(storage, f"sqlite:///{storage}/mlflow/mlflow.db", results, index)


def test_indexes_every_image_once_with_its_patient_and_split(
    retrained: Retrained, cells: Path
) -> None:
    splits = pd.read_parquet(retrained.storage / "runs/local/image_splits.parquet")
    assert len(splits) == len(list(cells.rglob("*.png"))) == splits["image_id"].nunique()
    assert splits.groupby("patient")["split"].nunique().max() == 1
    assert set(splits["split"]) == {"train", "validation", "test"}
    assert set(splits["captured_on"]) == {"2015-06-01"}


def test_nothing_of_a_good_folder_is_in_quarantine(retrained: Retrained) -> None:
    index, run = retrained.storage / "index", retrained.storage / "runs" / "local"
    assert len(pd.read_parquet(index / "quarantine" / "first.parquet")) == 0
    assert len(pd.read_parquet(index / "inspections" / "first.parquet")) == 240
    assert json.loads((index / "screenings" / "first.json").read_text())["verdict"] == "accepted"
    assert json.loads((run / "class_names.json").read_text()) == ["Parasitized", "Uninfected"]
    summary = json.loads((run / "data_summary.json").read_text())
    assert (summary["images"], summary["patients"]) == (240, 30)
    assert sum(split["images"] for split in summary["splits"].values()) == 240


def test_all_that_belongs_to_the_run_lies_in_its_folder(retrained: Retrained) -> None:
    names = {path.name for path in (retrained.storage / "runs" / "local").iterdir()}
    assert names >= {
        "images.parquet",
        "network.keras",
        "training_history.json",
        "evaluation_report.json",
        "validation_predictions.csv",
        "test_predictions.csv",
        "decision.json",
        "challenger_predictions.csv",
        "champion_predictions.csv",
        "training_evaluation_metrics.png",
        "confusion_matrix.png",
        "roc_curve.png",
        "reliability_diagram.png",
        "confident_mistakes.png",
    }
    assert {path.name for path in retrained.storage.iterdir()} == {
        "images",
        "incoming",
        "index",
        "keys",
        "ledger",
        "mlflow",
        "pages",
        "pixels",
        "runs",
    }


def test_each_epoch_has_a_point_in_the_curves(retrained: Retrained) -> None:
    history = json.loads((retrained.storage / "runs/local/training_history.json").read_text())
    run_id = retrained.run.info.run_id
    for key, name in {
        "training_accuracy": "train_accuracy",
        "training_loss": "train_loss",
        "validation_accuracy": "validation_accuracy",
        "validation_loss": "validation_loss",
        "training.learning_rate": "learning_rate",
    }.items():
        points = retrained.client.get_metric_history(run_id, key)
        assert [point.value for point in points] == pytest.approx(history[name])


def test_one_run_holds_the_metrics_under_their_keys(retrained: Retrained) -> None:
    assert len(retrained.client.search_runs(["1"])) == 1
    assert retrained.run.info.status == "FINISHED"
    metrics = set(retrained.run.data.metrics)
    assert metrics >= {
        "training_accuracy",
        "training_loss",
        "validation_accuracy",
        "validation_loss",
        "training.learning_rate",
        "training.images_per_second",
        "test_accuracy",
        *(
            f"{split}.{name}"
            for split in ("validation", "test")
            for name in ("accuracy", "auc", "sensitivity", "specificity", "f1")
        ),
    }


def test_the_parameters_of_every_node_are_logged_one_by_one(retrained: Retrained) -> None:
    logged = retrained.run.data.params
    assert logged["training.epochs"] == "1"
    assert logged["image_size_px"] == "64"
    assert logged["data_processing.split_salt"] == "image-classification"
    assert logged["promotion.improvement.minimum_gain"] == "-1.0"


def test_figures_tables_and_the_decision_are_artifacts_of_the_run(retrained: Retrained) -> None:
    assert retrained.artifacts("plots") == {
        "plots/training_evaluation_metrics.png",
        "plots/confusion_matrix.png",
        "plots/roc_curve.png",
        "plots/reliability_diagram.png",
        "plots/confident_mistakes.png",
    }
    assert retrained.artifacts("predictions") == {
        "predictions/validation_predictions.csv",
        "predictions/test_predictions.csv",
    }
    assert retrained.artifacts("promotion") == {
        "promotion/decision.json",
        "promotion/ledger_entry.json",
        "promotion/comparison.png",
        "promotion/challenger_predictions.csv",
        "promotion/champion_predictions.csv",
    }
    assert retrained.artifacts("evaluation") == {
        "evaluation/baseline_report.json",
        "evaluation/evaluation_report.json",
    }


def test_the_model_is_logged_once_with_signature_example_and_requirements(
    retrained: Retrained,
) -> None:
    assert len(retrained.client.search_logged_models(["1"])) == 1
    info = mlflow.models.get_model_info(f"models:/{MODEL}/1")
    assert {column.name: column.type.name for column in info.signature.inputs} == {
        "image_name": "string",
        "image": "binary",
    }
    assert info.saved_input_example_info
    path = Path(mlflow.artifacts.download_artifacts(f"models:/{MODEL}/1"))
    requirements = (path / "requirements.txt").read_text().splitlines()
    assert all("==" in line for line in requirements)
    assert {line.split("==")[0] for line in requirements} >= {"kedro", "mlflow", "tensorflow"}
    assert (path / "code" / "image_classification" / "vision" / "pixels.py").exists()


def test_the_first_challenger_becomes_champion_and_the_registry_says_why(
    retrained: Retrained,
) -> None:
    version = retrained.client.get_model_version_by_alias(MODEL, "champion")
    assert int(version.version) == 1
    assert version.tags["decision"] == "promoted"
    assert version.tags["decision_reason"].startswith("first champion")
    decision = json.loads((retrained.storage / "runs/local/decision.json").read_text())
    assert decision["promote"]
    assert decision["reason"] == version.tags["decision_reason"]


def test_challenger_and_evaluation_agree_on_the_validation_images(retrained: Retrained) -> None:
    # One is scored from the files, the other from packed pixels: the same network, the same result.
    run = retrained.storage / "runs" / "local"
    scored = pd.read_csv(run / "challenger_predictions.csv").set_index("image_id")
    evaluated = pd.read_csv(run / "validation_predictions.csv").set_index("image_id")
    columns = ["probability_Parasitized", "probability_Uninfected"]
    difference = (scored[columns] - evaluated.loc[scored.index, columns]).abs().to_numpy()
    assert len(scored) == len(evaluated) > 0
    assert difference.max() < 1e-5


SCORES = [
    "image_name",
    "path",
    "probability_Parasitized",
    "probability_Uninfected",
    "category",
    "error",
    "model_name",
    "model_version",
    "scored_at",
]


def test_inference_scores_a_folder_with_the_champion(
    retrained: Retrained, cells: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_CLASSIFICATION_INFERENCE", str(cells / "Uninfected"))
    kedro_run("inference")
    table = pd.read_csv(retrained.storage / "runs" / "local" / "scores.csv")
    assert list(table.columns) == SCORES
    assert len(table) == len(list((cells / "Uninfected").glob("*.png")))
    probabilities = table[["probability_Parasitized", "probability_Uninfected"]]
    assert probabilities.sum(axis=1).round(5).eq(1).all()
    assert set(table["model_version"]) == {1}


def test_scoring_keeps_its_table_and_counts_in_mlflow(
    retrained: Retrained, cells: Path, tmp_path: Path
) -> None:
    listed = sorted(str(path) for path in cells.rglob("*.png"))[:5]
    (tmp_path / "cells.txt").write_text("\n".join([*listed, "gone.png"]))
    places = [str(tmp_path), str(cells)]
    kedro_run("inference", inference={"images": f"{tmp_path}/cells.txt"}, named_places=places)
    newest = retrained.client.search_runs(["1"], order_by=["attributes.start_time DESC"])[0]
    found = retrained.client.list_artifacts(newest.info.run_id, "scores")
    assert {entry.path for entry in found} == {
        "scores/scores.parquet",
        "scores/scores.csv",
        "scores/score_summary.json",
    }
    assert newest.data.metrics == {"inference.images": 6.0, "inference.unreadable": 1.0}
    assert newest.data.params["inference.images"] == str(tmp_path / "cells.txt")
    table = pd.read_parquet(retrained.storage / "runs" / "local" / "scores.parquet")
    assert list(table.columns) == SCORES
    assert table["path"].tolist() == [*listed, str(tmp_path / "gone.png")]
    assert set(table["model_name"]) == {MODEL}
    assert table["model_version"].tolist() == ["1"] * 6


def test_the_run_names_the_exact_rows_it_worked_on(retrained: Retrained) -> None:
    from image_classification.intake.index import digest_images

    rows = pd.read_parquet(retrained.storage / "runs/local/image_splits.parquet")
    inputs = {item.tags[0].value: item.dataset for item in retrained.run.inputs.dataset_inputs}
    assert set(inputs) == {"training", "validation", "test"}
    for context, split in (("training", "train"), ("validation", "validation"), ("test", "test")):
        assert inputs[context].digest == digest_images(rows[rows["split"] == split])
        assert inputs[context].name == f"{context} images"
    assert retrained.artifacts("data") == {"data/images.parquet", "data/data_summary.json"}
    assert retrained.artifacts("intake") == {
        "intake/intake_report.json",
        "intake/intake_counts.json",
    }


def test_digests_batches_and_split_rule_are_known_of_the_version(retrained: Retrained) -> None:
    summary = json.loads((retrained.storage / "runs/local/data_summary.json").read_text())
    facts = read_facts(retrained.client.get_model_version(MODEL, "1"))
    assert facts["data_digest"] == summary["data_digest"]
    for split, found in summary["splits"].items():
        assert facts[f"{split}_digest"] == found["digest"]
    assert facts["batches"] == "first"
    assert (facts["images"], facts["patients"]) == ("240", "30")
    assert facts["split_salt"] == "image-classification"
    assert (facts["validation_share"], facts["test_share"]) == ("0.2", "0.15")


def test_promotion_alone_judges_the_registered_challenger(retrained: Retrained) -> None:
    kedro_run("promotion")
    decision = json.loads((retrained.storage / "runs/local/decision.json").read_text())
    assert decision["challenger"]["version"] == decision["champion"]["version"] == "1"
    assert decision["verdict"] == "refuse"
    assert decision["reason"] == "the challenger, version 1, is the champion already"
    champion = retrained.client.get_model_version(MODEL, "1")
    assert champion.tags["decision"] == "promoted"


def test_the_packaged_model_is_measured_and_verified_in_a_fresh_process(
    retrained: Retrained,
) -> None:
    measures = json.loads((retrained.storage / "runs/local/package_measures.json").read_text())
    assert measures["golden_cells"] == 4
    assert measures["golden_difference"] < 1e-5
    assert measures["load_s"] > 0
    assert measures["latency_ms"] > 0
    assert 0.1 < measures["size_mb"] < 20


def test_the_ledger_says_who_decided_what_on_which_data(retrained: Retrained) -> None:
    entries = [
        json.loads(file.read_text()) for file in (retrained.storage / "ledger").glob("*.json")
    ]
    (first,) = (entry for entry in entries if entry.get("event") == "promoted")
    assert first["version"] == first["champion_after"] == "1"
    assert first["champion_before"] is None
    assert first["by"] == "the policy"
    assert first["decision"]["policy"]["improvement"]["minimum_gain"] == -1.0
    assert first["decision"]["facts"]["challenger_seen"] == []
    assert first["data"]["data_digest"]
    assert first["airflow_run"] == ""


def test_a_run_without_new_images_trains_nothing_and_is_a_success_that_says_so(
    retrained: Retrained, caplog: pytest.LogCaptureFixture
) -> None:
    trained = (retrained.storage / "runs/local/network.keras").stat().st_mtime_ns
    entries = sorted((retrained.storage / "ledger").iterdir())
    with caplog.at_level("INFO"):
        kedro_run("retraining", **ANY_GAIN)
    newest = retrained.client.search_runs(["1"], order_by=["attributes.start_time DESC"])[0]
    said = "No new images: version 1 was trained on these 240 images of 30 patients."
    assert said in caplog.text
    assert newest.info.status == "FINISHED"
    assert newest.data.tags["outcome"] == f"skipped: {said}"
    assert "training.epochs" not in newest.data.params
    # The champion is watched all the same.
    assert newest.data.tags["champion_watch"].startswith("champion v1")
    assert (retrained.storage / "runs/local/network.keras").stat().st_mtime_ns == trained
    assert sorted((retrained.storage / "ledger").iterdir()) == entries
    assert len(retrained.client.search_model_versions(f"name = '{MODEL}'")) == 1
    assert mlflow.active_run() is None


def test_a_second_run_of_one_process_has_an_mlflow_run_a_model_and_a_version_of_its_own(
    retrained: Retrained,
) -> None:
    first = {run.info.run_id for run in retrained.client.search_runs(["1"])}
    shards = list((retrained.storage / "pixels").rglob("*.npy"))

    changes = {"mode": "dry_run", "improvement": {"minimum_gain": -1.0}}
    kedro_run("retraining", promotion=changes, training={"force": True})

    assert mlflow.active_run() is None
    (new,) = (run for run in retrained.client.search_runs(["1"]) if run.info.run_id not in first)
    assert new.info.status == "FINISHED"
    assert new.data.tags["outcome"].startswith("dry run, kept v1; v2 would have been promoted")
    # Two keys were changed; the rest of the section stays in force.
    assert new.data.params["promotion.mode"] == "dry_run"
    assert new.data.params["promotion.improvement.resamples"] == "200"
    models = retrained.client.search_logged_models(["1"])
    assert sorted(model.source_run_id == new.info.run_id for model in models) == [False, True]
    versions = {
        alias: int(retrained.client.get_model_version_by_alias(MODEL, alias).version)
        for alias in ("champion", "challenger")
    }
    assert versions == {"champion": 1, "challenger": 2}
    assert retrained.client.get_model_version(MODEL, "2").run_id == new.info.run_id
    assert list((retrained.storage / "pixels").rglob("*.npy")) == shards


def test_a_slice_of_a_pipeline_neither_registers_nor_decides(retrained: Retrained) -> None:
    versions = len(retrained.client.search_model_versions(f"name = '{MODEL}'"))
    bootstrap_project(PROJECT)
    with settings.SESSION_CLASS.create(project_path=PROJECT) as session:
        session.run(pipeline_names=["promotion"], node_names=["compare_models"])
    assert len(retrained.client.search_model_versions(f"name = '{MODEL}'")) == versions
    newest = retrained.client.search_runs(["1"], order_by=["attributes.start_time DESC"])[0]
    assert "outcome" not in newest.data.tags


@pytest.mark.usefixtures("storage")
def test_scoring_without_a_champion_says_what_to_run_first(cells: Path) -> None:
    with pytest.raises(Exception, match=r"no version with the alias 'champion'.*'retraining'"):
        kedro_run("inference", inference={"images": str(cells)})


@pytest.mark.usefixtures("storage")
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"training": {"epoch": 3}}, r"'training.epoch' is not a parameter. Did you mean 'epochs'"),
        ({"training": {"epochs": 0}}, r"'training.epochs': .*greater than or equal to 1"),
        (
            {"image_size_px": 16, "training": {"network": "mobilenet"}},
            r"'mobilenet' reads images of 32 px and more. Received: image_size_px 16",
        ),
        ({"training": {"weights": "gone.keras"}}, r"'training.weights': .*there is no file .*gone"),
        ({"positive_class": "Parasitised"}, r"positive_class: configured is"),
        ({"data_processing": {"contract": {"minimum_patient": 1}}}, r"Did you mean 'minimum_patie"),
        ({"data_processing": {"screening": {"maximum_blank_share": 2.0}}}, r"less than or equal"),
        ({"review": {"answer": "maybe"}}, r"'review.answer': Input should be '', 'accept' or"),
    ],
)
def test_a_wrong_parameter_stops_the_run_before_training(
    params: dict[str, Any], message: str
) -> None:
    with pytest.raises(Exception, match=message):
        kedro_run("__default__", **params)


def test_a_night_in_a_bucket_comes_to_the_same_as_one_in_a_folder(
    retrained: Retrained, cells: Path, tmp_path: Path, empty_store: Path
) -> None:
    """The store is slow now and then, and loses answers to what it has done."""
    with pytest.MonkeyPatch.context() as patch, serve_store(patch) as gate:
        storage = f"{make_bucket()}/laboratory"
        put_in_force(patch, storage)
        patch.setenv("IMAGE_CLASSIFICATION_CACHE", str(tmp_path / "cache"))
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
        shutil.copy(empty_store, tmp_path / "mlflow.db")
        batch = f"{storage.removeprefix('s3://')}/incoming/first"
        filesystem = open_filesystem(storage)[0]
        filesystem.put(str(cells), batch, recursive=True)
        filesystem.pipe_file(f"{batch}/_READY", b"")
        gate.fault = make_trouble()
        kedro_run("retraining", **ANY_GAIN)
        gate.forget()
        filesystem.get(f"{storage.removeprefix('s3://')}/", f"{tmp_path}/copy/", recursive=True)
        assert filesystem.find(batch) == []
    assert list(PROJECT.glob("s3:*")) == []
    copy = tmp_path / "copy"
    here, there = retrained.results, read_results(copy / "runs" / "local")
    # Keras numbers the layers of a process, and writes their names into the file.
    assert there | {"network": here["network"]} == here
    assert read_index(copy) == retrained.index
    (entry,) = LedgerDataset(filepath=f"{copy}/ledger").load().values()
    assert (entry["event"], entry["version"]) == ("promoted", "1")
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (run,) = client.search_runs(["1"])
    assert run.info.status == "FINISHED"
    assert run.data.metrics.keys() == retrained.run.data.metrics.keys()
    assert int(client.get_model_version_by_alias(MODEL, "champion").version) == 1
    artifacts = tmp_path / "artifacts" / run.info.run_id / "artifacts"
    assert (artifacts / "plots" / "confusion_matrix.png").read_bytes()[:4] == b"\x89PNG"
    assert (artifacts / "promotion" / "decision.json").exists()


def make_trouble() -> Fault:
    numbers = itertools.count(1)

    def answer(method: str, _: str) -> str:
        number = next(numbers)
        if number % 23 == 0:
            return "slow down"
        return "lost answer" if number % 29 == 0 and method in ("PUT", "DELETE") else ""

    return answer


def read_index(storage: Path) -> list[dict[str, Any]]:
    """Return what is known of each image, without the times at which it was recorded."""
    log = pd.concat([pd.read_parquet(path) for path in (storage / "index" / "images").iterdir()])
    facts = log.drop(columns=["first_seen", "recorded_at"]).sort_values("path")
    return [
        {str(name): value for name, value in row.items() if value == value}  # noqa: PLR0124 - NaN
        for row in facts.to_dict("records")
    ]


def test_a_backup_goes_on_in_a_bucket_without_who_was_forgotten_since(
    retrained: Retrained, tmp_path: Path
) -> None:
    """Everything is lost after a backup; a patient was forgotten between the two."""
    # Other tests may have run more nights over this storage, in any order.
    before = read_table(call("ledger"), version=str)["version"].tolist()
    champion = int(retrained.client.get_model_version_by_alias(MODEL, "champion").version)
    newest = max(int(found.version) for found in retrained.client.search_model_versions())
    splits = pd.read_parquet(retrained.storage / "runs/local/image_splits.parquet")
    shown = pd.read_parquet(retrained.storage / "runs/local/golden_cells.parquet")
    patient = splits.set_index("image_name").loc[shown["image_name"].iloc[0], "patient"]
    backups = tmp_path / "backups"
    assert call("backup", str(backups)).exit_code == 0
    forgotten = call("forget", patient, "--reason", "asked for it", "--yes")
    assert forgotten.exit_code == 0, forgotten.output
    assert "packages: " in forgotten.output
    forget_mlflow_state()
    with pytest.MonkeyPatch.context() as patch, serve_store(patch):
        storage = f"{make_bucket()}/laboratory"
        put_in_force(patch, storage)
        patch.setenv("IMAGE_CLASSIFICATION_CACHE", str(tmp_path / "cache"))
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/there/mlflow.db")
        restored = call("restore", str(backups))
        assert restored.exit_code == 0, restored.output
        assert "packages: " in restored.output
        again = call("restore", str(backups))
        assert "is not empty" in again.output

        make_cells(tmp_path / "more", range(31, 41), 8)
        number = int(patient.removeprefix("C"))
        make_cells(tmp_path / "more", range(number, number + 1), 3, captured_on="20150701")
        delivered = call("deliver", str(tmp_path / "more"), "--name", "second")
        assert delivered.exit_code == 0, delivered.output
        kedro_run("retraining", **ANY_GAIN)
        told = call("batches").output
        assert "second: accepted (80 images)" in told
        assert "Left out: 3 of patients who were forgotten, and removed." in told
        assert patient not in set(read_table(call("images"))["patient"])
        verified = call("ledger", "--verify")
        assert verified.exit_code == 0, verified.output
        events = read_table(call("ledger"), version=str)
        assert events["version"].tolist() == [*before, str(newest + 1)]
        assert events["champion_before"].tolist()[-1] == champion
        client = MlflowClient(f"sqlite:///{tmp_path}/there/mlflow.db")
        assert int(client.get_model_version_by_alias(MODEL, "champion").version) == newest + 1
        filesystem = open_filesystem(storage)[0]
        names = filesystem.find(storage.removeprefix("s3://"))
        assert not [name for name in names if f"/{patient}P" in name]


def test_what_is_old_goes_and_the_champion_before_can_still_be_put_back(
    retrained: Retrained, tmp_path: Path
) -> None:
    """A version that nobody judged, an intake and their files go; all that decided stays."""
    forget_mlflow_state()
    storage = copy_storage(retrained.storage, tmp_path / "storage")
    with pytest.MonkeyPatch.context() as patch:
        put_in_force(patch, storage)
        kedro_run("training")
        kedro_run("data_processing")
        kedro_run("retraining", training={"force": True}, **ANY_GAIN)
        client = MlflowClient(f"sqlite:///{storage}/mlflow/mlflow.db")
        versions = sorted(int(one.version) for one in client.search_model_versions())
        unjudged, champion = versions[-2:]
        grow_old(storage, nights=400)
        (storage / "runs/retraining/night").mkdir(parents=True)
        put_old(storage / "runs/retraining/night/decision.json", nights=200)
        put_old(storage / "pixels/32px/a.npy", nights=40)
        whole = {path for path in storage.rglob("*") if path.is_file()}

        kedro_run("retention")
        plan = json.loads((storage / "runs/local/retention_plan.json").read_text())
        assert plan["outcome"].startswith("dry run, nothing was removed. Old are ")
        assert [one["version"] for one in plan["versions"]] == [str(unjudged)]
        assert len(plan["mlflow_runs"]) >= 2
        assert not [path for path in whole if not path.exists() and "mlflow" not in path.parts]

        kedro_run("retention", retention={"mode": "apply"})
        known = sorted(int(one.version) for one in client.search_model_versions())
        assert known == [version for version in versions if version != unjudged]
        assert not (storage / "runs/retraining/night").exists()
        assert not (storage / "pixels/32px").exists()
        assert list((storage / "pixels").glob("64px/*.npy"))
        verified = call("ledger", "--verify")
        assert verified.exit_code == 0, verified.output
        before = int(read_table(call("ledger"))["champion_before"].iloc[-1])
        back = call("rollback", "--reason", "misses rings")
        assert back.exit_code == 0, back.output
        assert f"Champion: version {before}, before version {champion}" in back.output
        kedro_run("retention", retention={"mode": "apply"})
        plan = json.loads((storage / "runs/local/retention_plan.json").read_text())
        assert (plan["versions"], plan["mlflow_runs"]) == ([], [])
    forget_mlflow_state()


def grow_old(storage: Path, nights: int) -> None:
    """Let all that MLflow knows have happened so many nights earlier."""
    past = nights * 24 * 3600 * 1000
    with closing(sqlite3.connect(storage / STORE)) as store, store:
        store.execute("UPDATE runs SET end_time = end_time - ?", [past])
        store.execute("UPDATE model_versions SET creation_time = creation_time - ?", [past])
        for column in ("creation_timestamp_ms", "last_updated_timestamp_ms"):
            store.execute(f"UPDATE logged_models SET {column} = {column} - ?", [past])  # noqa: S608


def put_old(path: Path, nights: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"{}")
    then = time.time() - nights * 24 * 3600
    os.utime(path, (then, then))
