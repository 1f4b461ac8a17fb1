"""What storage and MLflow hold is listed with its age, and a plan of it is removed."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from judgement import make_entry
from mlflow import MlflowClient
from registry_store import MODEL, open_run
from registry_store import register as register_version

from image_classification import tracking
from image_classification.champion import registry
from image_classification.champion.chain import DECIDED
from image_classification.champion.journal import Journal
from image_classification.datasets import HoldingsDataset, LedgerDataset
from image_classification.datasets.holdings import Holdings
from image_classification.errors import DataError
from image_classification.gate import verdict
from image_classification.vendor import kedro

OLD = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def put(place: Path, content: bytes = b"12345", at: datetime = OLD) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    os.utime(place, (at.timestamp(), at.timestamp()))
    return place


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kedro, "list_pipelines", lambda: ["retraining", "review"])


def open_holdings(root: Path, task_logs: Path | str = "", dag_prefix: str = "") -> Holdings:
    dataset = HoldingsDataset(
        filepath=str(root), model_name=MODEL, task_logs=str(task_logs), dag_prefix=dag_prefix
    )
    return dataset.load()


def test_each_folder_of_a_run_is_as_old_as_its_newest_file(tmp_path: Path) -> None:
    put(tmp_path / "runs/retraining/night/a.json")
    put(tmp_path / "runs/retraining/night/deep/b.json", at=OLD.replace(month=2))
    put(tmp_path / "runs/review/one/c.json")
    put(tmp_path / "runs/local/decision.json")
    put(tmp_path / "runs/local/deep/decision.json")
    assert open_holdings(tmp_path).list_run_folders() == [
        {"name": "retraining/night", "at": "2026-02-02T03:04:05+00:00", "bytes": 10},
        {"name": "review/one", "at": "2026-01-02T03:04:05+00:00", "bytes": 5},
    ]


def test_logs_are_listed_of_runs_and_of_tasks_and_nothing_else(tmp_path: Path) -> None:
    root, tasks = tmp_path / "storage", tmp_path / "airflow" / "logs"
    own = put(root / "logs" / "2026.log")
    put(root / "logs" / "note.txt")
    task = put(tasks / "dag_id=retraining" / "run_id=1" / "task_id=a" / "attempt=1.log")
    (tasks / "linked.log").symlink_to(put(tmp_path / "other.log"))
    listed = [part["name"] for part in open_holdings(root, tasks).list_logs()]
    assert listed == [str(own), str(task)]
    assert open_holdings(root).log_folders == [str(root / "logs")]


def test_logs_of_other_projects_and_of_other_peoples_dags_are_not_ours(tmp_path: Path) -> None:
    """One Airflow has one folder for the logs of all its DAGs."""
    tasks = tmp_path / "airflow" / "logs"
    dags = ("retraining", "leaves-retraining", "leaves-test-retraining", "billing")
    made = {
        dag: str(put(tasks / f"dag_id={dag}" / "run_id=1" / "task_id=a" / "attempt=1.log"))
        for dag in dags
    }
    put(tasks / "scheduler" / "latest.log")
    for prefix in ("", "leaves-", "leaves-test-"):
        held = open_holdings(tmp_path / "storage", tasks, prefix)
        assert [part["name"] for part in held.list_logs()] == [made[f"{prefix}retraining"]]


def test_on_an_object_store_there_are_no_logs_of_runs(tmp_path: Path) -> None:
    held = Holdings("memory://cells", [str(tmp_path)], MODEL)
    assert held.log_folders == [str(tmp_path)]
    assert held.list_run_folders() == []


def test_pixels_are_listed_by_their_size(tmp_path: Path) -> None:
    for name in ("32px/a.npy", "32px/a.parquet", "64px/b.npy"):
        put(tmp_path / "pixels" / name)
    assert [(part["name"], part["bytes"]) for part in open_holdings(tmp_path).list_pixels()] == [
        ("32px", 10),
        ("64px", 5),
    ]


def test_whoever_is_stopped_leaves_no_list_of_pixels_that_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.npy", "a.parquet", "b.npy", "b.parquet"):
        put(tmp_path / "pixels/32px" / name)
    held = open_holdings(tmp_path)
    gone: list[str] = []
    remove = type(held._filesystem).rm_file

    def note(filesystem: Any, path: str) -> None:
        gone.append(Path(path).name)
        remove(filesystem, path)

    monkeypatch.setattr(type(held._filesystem), "rm_file", note)
    held.let_go({"pixels": ["32px"]})
    assert gone == ["a.parquet", "b.parquet", "a.npy", "b.npy"]


def test_what_a_plan_lists_goes_and_the_rest_stays(tmp_path: Path) -> None:
    root, tasks = tmp_path / "storage", tmp_path / "airflow" / "logs"
    gone = [
        put(root / "runs/retraining/old/a.json"),
        put(root / "pixels/32px/a.npy"),
        put(root / "pixels/32px/a.parquet"),
        put(root / "logs/old.log"),
        put(tasks / "dag_id=review/run_id=1/task_id=a/attempt=1.log"),
    ]
    kept = [
        put(root / "runs/retraining/new/a.json"),
        put(root / "pixels/64px/a.npy"),
        put(root / "logs/new.log"),
        put(tasks / "dag_id=review/run_id=2/task_id=a/attempt=1.log"),
    ]
    plan = {
        "run_folders": ["retraining/old"],
        "pixels": ["32px"],
        "logs": [str(gone[3]), str(gone[4])],
    }
    dataset = HoldingsDataset(filepath=str(root), model_name=MODEL, task_logs=str(tasks))
    for _ in range(2):
        dataset.save(plan)
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in kept)
    # Folders that are empty now go with their logs; the folder of all logs stays.
    assert [path.name for path in (tasks / "dag_id=review").iterdir()] == ["run_id=2"]
    dataset.save({})
    assert all(path.exists() for path in kept)


@pytest.mark.parametrize("name", ["other.log", "storage/runs/notes.log", "storage/logs/note.txt"])
def test_no_file_goes_that_is_no_log_in_a_folder_of_logs(tmp_path: Path, name: str) -> None:
    path = put(tmp_path / name)
    open_holdings(tmp_path / "storage").let_go({"logs": [str(path)]})
    assert path.exists()


def test_what_cannot_be_removed_is_named_and_all_else_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = put(tmp_path / "logs/old.log")
    put(tmp_path / "runs/retraining/old/a.json")

    def refuse(self: Any, below: str) -> None:
        raise PermissionError(13, "Permission denied", below)

    monkeypatch.setattr(Holdings, "_remove_folder", refuse)
    plan = {"run_folders": ["retraining/old"], "logs": [str(log)]}
    with pytest.raises(
        DataError, match=r"^1 of 2 could not be removed \(first: runs/retraining/old: .*denied"
    ):
        open_holdings(tmp_path).let_go(plan)
    assert not log.exists()


@pytest.mark.usefixtures("store")
class TestMlflow:
    def test_versions_models_and_runs_are_listed_as_mlflow_has_them(self, tmp_path: Path) -> None:
        run_id, version = register_version("a")
        MlflowClient().set_registered_model_alias(MODEL, registry.CHAMPION, version)
        held = open_holdings(tmp_path)
        (found,) = held.list_versions()
        model_id = registry.find_model_id(MODEL, version)
        assert (found["version"], found["run_id"], found["model_id"]) == ("1", run_id, model_id)
        assert found["tags"] == dict(registry.get_version(MODEL, version).tags)
        assert set(found["aliases"]) == {registry.CHAMPION, registry.CHALLENGER}
        assert abs(datetime.fromisoformat(found["created_at"]).timestamp() - time.time()) < 600
        assert held.list_uses() == [
            {"model": MODEL, "version": "1", "model_id": model_id, "run_id": run_id}
        ]
        assert held.list_runs() == held.list_models() == []  # outside a run
        with tracking.resume_run(open_run("upkeep")):
            assert {run["run_id"] for run in held.list_runs()} > {run_id}
            assert [model["model_id"] for model in held.list_models()] == [model_id]

    def test_versions_and_runs_go_after_the_ledger_says_so(self, tmp_path: Path) -> None:
        for name in "abc":
            register_version(name)
        loose, _ = register_version("d")
        journal = Journal(LedgerDataset(filepath=str(tmp_path / "ledger")))
        entry = make_entry(verdict.KEPT, "2", "1", "1")
        journal.add(lambda _: {**entry, "model": MODEL, "step": DECIDED})
        ids = {version: registry.find_model_id(MODEL, version) for version in ("2", "3")}
        run_id = open_run("intake")
        plan = {
            "versions": [
                {"version": "2", "model_id": ids["2"], "is_recorded": True},
                {"version": "3", "model_id": ids["3"], "is_recorded": False},
            ],
            "versions_nights": 365,
            "mlflow_runs": [run_id],
        }
        for _ in range(2):
            open_holdings(tmp_path).let_go(plan)
        (record,) = journal.read().let_go
        assert record["versions"] == ids
        assert record["reason"] == "older than 365 nights (retention.versions_nights)"
        assert registry.read_all_tags(MODEL).keys() == {"1", "2", "4"}
        assert not any(tracking.is_model_ready(str(model_id)) for model_id in ids.values())
        assert not tracking.is_active_run(run_id)
        assert tracking.is_active_run(loose)

    def test_where_a_version_has_become_champion_nothing_of_mlflow_goes(
        self, tmp_path: Path
    ) -> None:
        _, version = register_version("a")
        MlflowClient().set_registered_model_alias(MODEL, registry.CHAMPION, version)
        run_id = open_run("intake")
        model_id = registry.find_model_id(MODEL, version)
        plan = {
            "versions": [{"version": version, "model_id": model_id, "is_recorded": False}],
            "versions_nights": 365,
            "mlflow_runs": [run_id],
        }
        with pytest.raises(Exception, match="has become champion since"):
            open_holdings(tmp_path).let_go(plan)
        assert tracking.is_model_ready(str(model_id))
        assert tracking.is_active_run(run_id)
        assert json.dumps(sorted(path.name for path in tmp_path.iterdir())) == "[]"
