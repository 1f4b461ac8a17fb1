"""The command `image-classification`, as a person types it."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from mlflow import MlflowClient

from image_classification.commands.group import commands
from image_classification.local.synthetic import make_cells

PROJECT = Path(__file__).resolve().parents[2]


def call(*arguments: str) -> Result:
    return CliRunner().invoke(commands, list(arguments))


def run(pipeline: str) -> None:
    bootstrap_project(PROJECT)
    with KedroSession.create(project_path=PROJECT) as session:
        session.run(pipeline_names=[pipeline])


def read_table(result: Result) -> pd.DataFrame:
    assert result.exit_code == 0, result.output
    return pd.read_csv(io.StringIO(result.stdout))


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory, cells: Path) -> Path:
    """A storage root with a trained version, made from a batch that was delivered."""
    storage = tmp_path_factory.mktemp("storage")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(storage))
        patch.setenv("KEDRO_ENV", "test")
        delivered = call("deliver", str(cells), "--name", "first", "--labelled-by", "Dr. Osei")
        assert delivered.exit_code == 0, delivered.output
        assert "Delivered 240 images as batch 'first'" in delivered.output
        run("retraining")
    return storage


@pytest.fixture(autouse=True)
def _in_force(laboratory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(laboratory))
    monkeypatch.setenv("KEDRO_ENV", "test")


def test_a_version_is_traced_to_the_images_it_was_made_from(laboratory: Path) -> None:
    table = read_table(call("lineage", "--version", "1"))
    assert len(table) == 240
    train = read_table(call("lineage", "--version", "1", "--split", "train"))
    splits = pd.read_parquet(laboratory / "runs" / "local" / "image_splits.parquet")
    assert set(train["image_id"]) == set(splits["image_id"][splits["split"] == "train"])
    assert set(train["batch"]) == {"first"}


@pytest.mark.parametrize("how", ["file", "sha256", "start of the sha256", "name", "path"])
def test_an_image_is_traced_to_the_versions_that_saw_it(cells: Path, how: str) -> None:
    row = read_table(call("lineage", "--version", "1", "--split", "train")).iloc[0]
    image = {
        "file": str(cells / str(row["path"]).removeprefix("first/")),
        "sha256": row["image_id"],
        "start of the sha256": row["image_id"][:10],
        "name": Path(row["path"]).name,
        "path": row["path"],
    }[how]
    table = read_table(call("lineage", "--image", image))
    assert table[["version", "split"]].to_numpy().tolist() == [[1, "train"]]
    assert table["aliases"].iloc[0] == "challenger,champion"


def test_an_image_that_no_version_saw_is_said_to_be_so(tmp_path: Path) -> None:
    make_cells(tmp_path, range(900, 901), 1)
    (image,) = tmp_path.rglob("*.png")
    result = call("lineage", "--image", str(image))
    assert result.exit_code == 0
    assert "No version of 'test-classifier' saw" in result.output


def test_the_index_is_listed_and_written_to_a_file(tmp_path: Path) -> None:
    table = read_table(call("images"))
    assert len(table) == table["image_id"].nunique() == 240
    assert set(table["status"]) == {"accepted"}
    assert len(read_table(call("images", "--status", "conflict"))) == 0
    result = call("images", "--to", str(tmp_path / "index.parquet"))
    assert "240 rows" in result.output
    assert set(pd.read_parquet(tmp_path / "index.parquet")["labelled_by"]) == {"Dr. Osei"}


def test_the_trend_is_listed_and_written_to_a_file(laboratory: Path, tmp_path: Path) -> None:
    assert len(read_table(call("trend"))) == 0
    run("monitoring")
    table = read_table(call("trend"))
    assert table["model_version"].tolist() == [1]
    assert table["alert"].dtype == bool
    assert (table["low"] <= table["accuracy"]).all()
    result = call("trend", "--to", str(tmp_path / "trend.csv"))
    assert "1 rows" in result.output
    sentence = pd.read_csv(tmp_path / "trend.csv")["sentence"].iloc[0]
    assert "champion v1 " in sentence
    client = MlflowClient(f"sqlite:///{laboratory}/mlflow/mlflow.db")
    watched = client.search_runs(["1"], filter_string="tags.champion_watch != ''")
    assert [run.data.tags["champion_watch"] for run in watched] == [sentence]


def test_batches_are_listed_with_what_became_of_them(tmp_path: Path) -> None:
    result = call("batches")
    assert result.exit_code == 0
    assert "first: accepted (240 images)" in result.output


def test_a_review_is_shown_and_then_answered(laboratory: Path) -> None:
    shown = call("review", "first")
    assert shown.exit_code == 0, shown.output
    assert "**first** is accepted: 240 images of 30 patients" in shown.output
    assert "Contact sheet: " in shown.output
    refused = call("review", "first", "--reject", "--by", "Ada")
    assert refused.exit_code != 0
    assert "A review needs review.reason" in str(refused.output) + str(refused.exception)
    answered = call("review", "first", "--reject", "--by", "Ada", "--reason", "stale slides")
    assert answered.exit_code == 0, answered.output
    assert "Recorded: reject 'first', by Ada" in answered.output


def test_a_folder_is_scored_with_the_champion_and_written_to_a_file(
    cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(cells)
    result = call("score", "Uninfected", "--to", str(tmp_path / "scores.csv"))
    assert result.exit_code == 0, result.output
    count = len(list((cells / "Uninfected").glob("*.png")))
    assert f"scored {count} images with v1: " in result.output
    assert f"{count} rows: {tmp_path / 'scores.csv'}" in result.output
    table = pd.read_csv(tmp_path / "scores.csv")
    assert set(table["model_version"]) == {1}
    assert table["image_name"].tolist() == sorted(p.name for p in (cells / "Uninfected").iterdir())


def test_without_a_file_the_place_of_the_table_is_told(cells: Path, tmp_path: Path) -> None:
    image = next(cells.rglob("*.png"))
    (tmp_path / "cells.csv").write_text(f"path\n{image}\ngone.png\n")
    result = call("score", str(tmp_path / "cells.csv"))
    assert result.exit_code == 0, result.output
    assert "; 1 could not be read" in result.output
    place = result.output.partition("Table: ")[2].strip()
    assert pd.read_csv(place)["path"].tolist() == [str(image), str(tmp_path / "gone.png")]


def test_scoring_without_a_champion_is_said_in_one_line(
    cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(tmp_path))
    result = call("score", str(cells))
    assert result.exit_code == 1
    assert "Error: Registered model 'test-classifier' has no version with the" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["deliver", "/nowhere"], "is neither a folder nor a .zip file"),
        (["lineage"], "Give either --version or --image"),
        (["lineage", "--version", "99"], "There is no version '99'"),
        (["review", "frist"], "Did you mean 'first'?"),
        (["images", "--to", "index.xlsx"], "'index.xlsx' ends in '.xlsx': .csv and .parquet"),
        (["score", "/nowhere", "--to", "a.xlsx"], "'a.xlsx' ends in '.xlsx': .csv and .parquet"),
        (["score", "/nowhere"], "'/nowhere' does not exist. Name a folder of images, or a list"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(arguments: list[str], message: str) -> None:
    result = call(*arguments)
    assert result.exit_code != 0
    assert message in result.output
    assert "Traceback" not in result.output


def test_kedro_knows_the_same_verbs() -> None:
    from image_classification.cli import cli

    assert set(commands.commands) <= set(cli.commands)
