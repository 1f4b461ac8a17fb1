"""A storage is copied by a command, and brought back by another into an empty place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from storage_root import forget_mlflow_state
from terminal import call

from image_classification.champion import package

pytestmark = pytest.mark.usefixtures("in_laboratory")


def list_files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
def test_all_comes_back_and_the_champion_answers(
    laboratory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = call("backup", str(tmp_path / "backups"))
    assert told.exit_code == 0, told.output
    assert json.loads((laboratory / "backups.json").read_text()) == [str(tmp_path / "backups")]
    before = list_files(laboratory)
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(tmp_path / "there"))
    forget_mlflow_state()
    # As for a stack of `make up` that is not started yet.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    restored = call("restore", str(tmp_path / "backups"))
    assert restored.exit_code == 0, restored.output
    assert "each as it was copied" in restored.output
    after = list_files(tmp_path / "there")
    gone = {path for path in before if path not in after}
    assert {path.partition("/")[0] for path in gone} <= {
        "incoming",
        "backups.json",
        "keys",
        "index",
    }
    assert {path for path in before if before[path] != after.get(path)} - gone <= {
        "mlflow/mlflow.db"
    }
    assert (tmp_path / "there" / "keys" / "signing.pem").stat().st_mode & 0o077 == 0
    with package.open_parts("test-classifier", "champion") as parts:
        assert parts.network.exists()
    assert call("check").exit_code == 0

    again = call("restore", str(tmp_path / "backups"))
    assert again.exit_code == 1
    assert "is not empty: '" in again.output
    assert list_files(tmp_path / "there").keys() >= after.keys()
    # Whether the database can be made is known before anything is written.
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(tmp_path / "elsewhere"))
    place = ("--artifacts", str(tmp_path / "artifacts"))
    for database, said in (
        ("postgresql://host/db", "The copy is of SQLite"),
        (f"sqlite:///{tmp_path}/there/mlflow/mlflow.db", "There is a database already"),
    ):
        refused = call("restore", str(tmp_path / "backups"), "--database", database, *place)
        assert refused.exit_code == 1
        assert said in refused.output
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("backup", "{storage}/copies"), "lies in the storage: name a place outside"),
        (("restore", "{storage}"), "There is no whole backup at"),
        (("backup", "{storage}.copies", "--database", "mysql://host/db"), "--artifacts"),
    ],
)
def test_what_cannot_be_done_is_said(
    laboratory: Path, arguments: tuple[str, ...], said: str
) -> None:
    told = call(*(argument.format(storage=laboratory) for argument in arguments))
    assert told.exit_code == 1
    assert said in told.output


def test_nobody_is_copied_who_is_being_forgotten(laboratory: Path, tmp_path: Path) -> None:
    record = laboratory / "forgotten" / f"{'ab' * 32}.json"
    record.parent.mkdir()
    record.write_text("{}")
    told = call("backup", str(tmp_path / "backups"))
    record.unlink()
    assert told.exit_code == 1
    assert "Somebody is being forgotten" in told.output
    assert not (tmp_path / "backups").exists()
