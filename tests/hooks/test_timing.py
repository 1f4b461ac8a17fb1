"""A node leaves where its seconds went, whether it succeeds or fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kedro.io import DatasetError
from samples import draw_cells, fill_folder
from storage_root import put_in_force, use_store

from image_classification import tracking
from image_classification.orchestration.kedro_run import KedroRun
from image_classification.tracking import timing

PROJECT = Path(__file__).resolve().parents[2]
TASK = {
    "task_id": "open_run",
    "state": "success",
    "queued_when": "2026-11-26T02:00:00Z",
    "start_date": "2026-11-26T02:00:01Z",
    "end_date": "2026-11-26T02:00:03Z",
}


@pytest.fixture
def storage(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A storage root in force, where two images have arrived."""
    put_in_force(monkeypatch, tmp_path)
    use_store(tmp_path, empty_store)
    arrived = fill_folder(
        tmp_path / "incoming" / "first", draw_cells(["Parasitized", "Uninfected"], 1)
    )
    (arrived / "_READY").touch()
    return tmp_path


@pytest.fixture
def run(storage: Path) -> KedroRun:
    opened = KedroRun(PROJECT, "data_processing", "data_processing", "manual__1", "http://a", {})
    opened.open_mlflow_run()
    return opened


def read_timings(storage: Path) -> list[dict[str, Any]]:
    folder = storage / "runs" / "data_processing" / "manual__1" / "timings"
    return [json.loads(path.read_text()) for path in sorted(folder.iterdir())]


def test_a_node_leaves_its_phases_beside_its_outputs_and_then_with_the_mlflow_run(
    storage: Path, run: KedroRun
) -> None:
    run.run_node("collect_batches")
    (record,) = read_timings(storage)
    assert (record["task"], record["state"]) == ("collect_batches", "success")
    assert set(record["seconds"]) == set(timing.PHASES)
    assert min(record["seconds"].values()) >= 0
    assert record["seconds"]["session"] > 0
    assert record["seconds"]["compute"] > 0

    run.log_profile([TASK])
    profile = tracking.read_profile(run.required_run_id)
    assert profile == {"tasks": [TASK], "timings": [record]}


def test_a_node_that_fails_leaves_its_phases_too_and_its_retry_others(
    storage: Path, run: KedroRun
) -> None:
    for _ in range(2):
        with pytest.raises(DatasetError, match="intake_report"):
            run.run_node("check_contract")
    assert [record["state"] for record in read_timings(storage)] == ["failed", "failed"]
