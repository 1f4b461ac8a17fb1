"""Labels are corrected between two nights: the next one trains and measures with the new ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from arrivals import deliver_cells
from mlflow import MlflowClient
from sessions import kedro_run
from storage_root import put_in_force
from terminal import call, read_table

from image_classification.champion.lineage import read_facts

MODEL = "test-classifier"
OTHER = {"Parasitized": "Uninfected", "Uninfected": "Parasitized"}
# Two whole nights with a training each.
pytestmark = pytest.mark.slow


@dataclass
class Corrected:
    """What two nights have left, and what was corrected between them."""

    storage: Path
    first: pd.DataFrame
    trained: pd.Series
    judged: pd.Series
    asked: pd.DataFrame
    splits: pd.DataFrame

    def read(self, name: str) -> Any:
        return json.loads((self.storage / "runs" / "local" / name).read_text())

    @property
    def client(self) -> MlflowClient:
        mlflow.set_tracking_uri(f"sqlite:///{self.storage}/mlflow/mlflow.db")
        return MlflowClient()


@pytest.fixture(scope="module")
def corrected(tmp_path_factory: pytest.TempPathFactory, cells: Path) -> Iterator[Corrected]:
    storage = tmp_path_factory.mktemp("storage")
    table = storage / "runs" / "local" / "image_splits.parquet"
    with pytest.MonkeyPatch.context() as patch:
        put_in_force(patch, storage)
        deliver_cells(cells, storage)
        kedro_run("retraining")
        first = pd.read_parquet(table)
        trained = first[first["split"] == "train"].iloc[0]
        judged = first[first["split"] == "validation"].iloc[0]

        # One comes again under another label, and a person is asked; one is corrected by hand.
        again = storage / "incoming" / "again"
        (again / OTHER[judged["label"]]).mkdir(parents=True)
        content = (storage / "images" / judged["path"]).read_bytes()
        (again / OTHER[judged["label"]] / judged["image_name"]).write_bytes(content)
        (again / "_READY").touch()
        kedro_run("data_processing")
        asked = read_table(call("images")).set_index("image_id")
        assert "1 known images have another label here" in call("batches").output
        said = ["--accept", "--reason", "read again", "--by", "Ada"]
        answered = call("review", "again", "--labels", *said)
        assert answered.exit_code == 0, answered.output
        label = OTHER[trained["label"]]
        typed = call("relabel", trained["path"], "--to", label, "--reason", "typo", "--by", "Bob")
        assert typed.exit_code == 0, typed.output
        kedro_run("retraining")
        yield Corrected(storage, first, trained, judged, asked, pd.read_parquet(table))


def test_an_image_stays_as_it_was_until_a_person_has_answered(corrected: Corrected) -> None:
    assert len(corrected.asked) == len(corrected.first)
    row = corrected.asked.loc[corrected.judged["image_id"]]
    assert (row["label"], row["status"]) == (corrected.judged["label"], "accepted")


def test_the_next_night_knows_that_there_is_something_new_and_trains(corrected: Corrected) -> None:
    versions = {
        str(version.version): version
        for version in corrected.client.search_model_versions(f"name = '{MODEL}'")
    }
    assert set(versions) == {"1", "2"}
    one, two = (read_facts(corrected.client.get_model_version(MODEL, name)) for name in ("1", "2"))
    for digest in ("data_digest", "train_digest", "validation_digest"):
        assert one[digest] != two[digest]
    assert one["test_digest"] == two["test_digest"]


def test_the_images_of_that_night_differ_in_the_two_labels_alone(corrected: Corrected) -> None:
    before = corrected.first.set_index("image_id").sort_index()
    after = corrected.splits.set_index("image_id").sort_index()
    changed = before.index[before["label"] != after["label"]]
    assert set(changed) == {corrected.trained["image_id"], corrected.judged["image_id"]}
    columns = ["path", "patient", "split", "captured_on", "batch"]
    pd.testing.assert_frame_equal(before[columns], after[columns])
    assert set(after.loc[changed, "labelled_by"]) == {"Ada", "Bob"}


def test_both_models_are_compared_by_the_label_that_holds(corrected: Corrected) -> None:
    for name in ("challenger_predictions.csv", "champion_predictions.csv"):
        table = pd.read_csv(corrected.storage / "runs" / "local" / name).set_index("image_id")
        label = table.loc[corrected.judged["image_id"], "label"]
        assert label == OTHER[corrected.judged["label"]]


def test_the_reference_of_the_champion_is_measured_again(corrected: Corrected) -> None:
    (part,) = (corrected.storage / "references").glob("*.parquet")
    (row,) = pd.read_parquet(part).to_dict("records")
    judged = corrected.first[corrected.first["split"] == "validation"]
    assert (row["model_version"], row["corrected"], row["images"]) == ("1", 1, len(judged))
    tags = corrected.client.get_model_version(MODEL, "1").tags
    assert row["before"] == float(tags["validation_accuracy"]), "the evidence stays as it was"
    # One image is right that was wrong before, or the other way round.
    difference = abs(row["accuracy"] - row["before"])
    assert difference == pytest.approx(1 / len(judged), abs=1e-4)
    assert corrected.read("champion_watch.json")["reference"] == row["accuracy"]


def test_the_versions_that_learned_the_old_label_are_named(corrected: Corrected) -> None:
    trained = corrected.trained
    result = call("lineage", "--image", trained["path"])
    table = read_table(result)
    assert dict(zip(table["version"], table["label"], strict=True)) == {
        1: trained["label"],
        2: OTHER[trained["label"]],
    }
    assert f"{trained['label']} holds no longer; learned: v1" in result.stderr
    assert "Bob (relabel)" in result.stderr
    judged = call("lineage", "--image", corrected.judged["path"])
    assert "judged by, in validation: v1" in judged.stderr
    assert "Ada (review)" in judged.stderr


def test_a_third_night_finds_nothing_new(
    corrected: Corrected, caplog: pytest.LogCaptureFixture
) -> None:
    log = {path.name for path in (corrected.storage / "index").rglob("*.*") if path.is_file()}
    with caplog.at_level("INFO"):
        kedro_run("retraining")
    assert "No new images: version 2 was trained on these" in caplog.text
    assert log == {
        path.name for path in (corrected.storage / "index").rglob("*.*") if path.is_file()
    }
    assert len(list((corrected.storage / "references").glob("*.parquet"))) <= 2
