"""Single images: the index of all, and which version saw which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient
from terminal import call, read_table

from image_classification import tracking
from image_classification.commands.console import run_pipeline
from image_classification.commands.image import match_image, tell_history, tell_learned
from image_classification.local.synthetic import make_cells

pytestmark = pytest.mark.usefixtures("in_laboratory")


def test_a_version_is_traced_to_the_images_it_was_made_from(splits: pd.DataFrame) -> None:
    table = read_table(call("lineage", "--version", "1"))
    assert len(table) == 64
    train = read_table(call("lineage", "--version", "1", "--split", "train"))
    assert set(train["image_id"]) == set(splits["image_id"][splits["split"] == "train"])
    assert set(train["batch"]) <= {"first", "few"}


@pytest.fixture(scope="module")
def splits(laboratory: Path) -> pd.DataFrame:
    """The images that version 1 was made from."""
    return pd.read_parquet(laboratory / "runs" / "local" / "image_splits.parquet")


@pytest.fixture(scope="module")
def seen(splits: pd.DataFrame) -> dict[str, str]:
    """An image that version 1 was trained on."""
    row: dict[str, str] = splits.query("split == 'train' and batch == 'first'").iloc[0].to_dict()
    return row


def test_an_image_is_traced_to_the_versions_that_saw_it(seen: dict[str, str]) -> None:
    table = read_table(call("lineage", "--image", seen["path"]))
    assert table[["version", "split"]].to_numpy().tolist() == [[1, "train"]]
    assert table["aliases"].iloc[0] == "challenger,champion"
    assert (table["label"] == table["label_now"]).all()


def test_the_history_of_a_label_and_the_versions_that_learned_the_old_one_are_told(
    seen: dict[str, str], laboratory: Path
) -> None:
    other = {"Parasitized": "Uninfected", "Uninfected": "Parasitized"}[seen["label"]]
    said = ["--reason", "seen anew", "--by", "Ada"]
    assert call("relabel", seen["path"], "--to", other, *said).exit_code == 0
    result = call("lineage", "--image", seen["path"])
    assert f"Ada (relabel): {seen['label']} → {other}: seen anew" in result.stderr
    assert "holds no longer" not in result.stderr, "the next intake carries it out"
    run_pipeline("data_processing")

    result = call("lineage", "--image", seen["path"])
    (row,) = read_table(result).to_dict("records")
    assert (row["label"], row["label_now"]) == (seen["label"], other)
    assert f"{seen['label']} holds no longer; learned: v1" in result.stderr
    table = read_table(call("lineage", "--version", "1"))
    assert table[table["label"] != table["label_now"]]["path"].tolist() == [seen["path"]]
    listed = read_table(call("images")).set_index("path")
    assert listed.loc[seen["path"], "label"] == other


@pytest.mark.parametrize("image", ["x" * 300, "a\0b", "x/" * 3000, ""])
def test_what_no_file_can_be_called_names_no_image(splits: pd.DataFrame, image: str) -> None:
    assert not match_image(splits, image).any()


@pytest.mark.parametrize("how", ["file", "sha256", "start of the sha256", "name", "path"])
def test_an_image_may_be_named_in_several_ways(
    splits: pd.DataFrame, seen: dict[str, str], delivered: Path, how: str
) -> None:
    image = {
        "file": str(delivered / seen["path"].removeprefix("first/")),
        "sha256": seen["image_id"],
        "start of the sha256": seen["image_id"][:8],
        "name": Path(seen["path"]).name,
        "path": seen["path"],
    }[how]
    found = splits[match_image(splits, image)]
    assert found["image_id"].tolist() == [seen["image_id"]]


def test_too_few_digits_of_a_sha256_name_no_image(
    splits: pd.DataFrame, seen: dict[str, str]
) -> None:
    assert not match_image(splits, seen["image_id"][:7]).any()


def test_an_image_that_no_version_saw_is_said_to_be_so(tmp_path: Path) -> None:
    make_cells(tmp_path, range(900, 901), 1)
    (image,) = tmp_path.rglob("*.png")
    result = call("lineage", "--image", str(image))
    assert result.exit_code == 0
    assert "No version of 'test-classifier' saw" in result.output


def test_a_version_whose_images_are_not_known_is_left_out_and_named(
    laboratory: Path, seen: dict[str, str]
) -> None:
    tracking.connect(f"sqlite:///{laboratory}/mlflow/mlflow.db")
    client = MlflowClient()
    run = client.create_run("1")
    client.create_model_version("test-classifier", "nowhere", run.info.run_id)
    result = call("lineage", "--image", seen["path"])
    client.delete_model_version("test-classifier", "2")
    assert read_table(result)["version"].tolist() == [1]
    assert "Left out: Version 2 of 'test-classifier' keeps no table of its images" in result.stderr


def test_the_index_is_listed_and_written_to_a_file(tmp_path: Path) -> None:
    table = read_table(call("images"))
    assert len(table) == table["image_id"].nunique() == 64
    assert set(table["status"]) == {"accepted"}
    assert len(read_table(call("images", "--status", "conflict"))) == 0
    result = call("images", "--to", str(tmp_path / "index.parquet"))
    assert "64 rows" in result.output
    assert set(pd.read_parquet(tmp_path / "index.parquet")["labelled_by"]) == {
        "Ada",
        "Dr. Osei",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lineage"], "Give either --version or --image"),
        (["lineage", "--version", "1", "--image", "a.png"], "Give either --version or --image"),
        (["lineage", "--version", "99"], "There is no version '99'"),
        (["images", "--to", "index.xlsx"], "'index.xlsx' ends in '.xlsx': .csv and .parquet"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(arguments: list[str], message: str) -> None:
    result = call(*arguments)
    assert result.exit_code != 0
    assert message in result.output
    assert "Traceback" not in result.output


def test_what_was_judged_by_a_label_is_told_apart_from_what_has_learned_it() -> None:
    rows = pd.DataFrame(
        {
            "version": [1, 2, 3, 4],
            "label": ["P", "P", "P", "U"],
            "label_now": "U",
            "split": ["train", "train", "validation", "train"],
        }
    )
    assert tell_learned(rows) == [
        "P holds no longer; learned: v1, v2",
        "P holds no longer; judged by, in validation: v3",
    ]
    assert tell_learned(rows.tail(1)) == []


def test_the_history_tells_of_the_images_asked_for_alone() -> None:
    labels = [
        {"image_id": "1", "path": "a/1", "before": "", "after": "P"},
        {"image_id": "2", "path": "a/2", "before": "U", "after": ""},
    ]
    at = "2026-11-27T10:00:00.000001+00:00"
    record: Any = {"at": at, "by": "Ada", "reason": "typo", "how": "relabel", "labels": labels}
    assert tell_history({"1"}, [record]) == [
        "2026-11-27 10:00:00 UTC, Ada (relabel): no label → P: typo"
    ]
    assert tell_history({"2", "3"}, [record]) == [
        "2026-11-27 10:00:00 UTC, Ada (relabel): U → no label: typo"
    ]
