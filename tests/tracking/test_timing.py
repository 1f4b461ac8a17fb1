"""Where the seconds go is measured, kept, and shown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kedro.io import DatasetError

from image_classification import figures, tracking
from image_classification.figures.profile import PHASE_COLOURS
from image_classification.tracking import timing

PROJECT = Path(__file__).resolve().parents[2]
SECONDS = {"start": 0.5, "session": 0.25, "load": 1, "compute": 4, "save": 1.5, "tracking": 0.25}
TIMING = {
    "task": "train_network",
    "state": "success",
    "began": "2026-11-26T02:00:10.000+00:00",
    "ended": "2026-11-26T02:00:17.500+00:00",
    "seconds": SECONDS,
}
TASKS = [
    {
        "task_id": "train_network",
        "state": "success",
        "try_number": 2,
        "queued_when": "2026-11-26T02:00:08Z",
        "start_date": "2026-11-26T02:00:10Z",
        "end_date": "2026-11-26T02:00:18Z",
    },
    {
        "task_id": "open_run",
        "state": "success",
        "try_number": 1,
        "queued_when": "2026-11-26T02:00:00Z",
        "start_date": "2026-11-26T02:00:01Z",
        "end_date": "2026-11-26T02:00:03Z",
    },
    {
        "task_id": "promote_challenger",
        "state": "skipped",
        "try_number": 0,
        "queued_when": None,
        "start_date": None,
        "end_date": None,
    },
]


def make_run() -> Any:
    from image_classification.orchestration.kedro_run import KedroRun

    return KedroRun(PROJECT, "data_processing", "data_processing", "manual__1", "http://a", {})


def read_timings(storage: Path) -> list[dict[str, Any]]:
    folder = storage / "runs" / "data_processing" / "manual__1" / "timings"
    return [json.loads(path.read_text()) for path in sorted(folder.iterdir())]


def test_a_node_leaves_its_phases_beside_its_outputs(storage: Path) -> None:
    run = make_run()
    run.open_mlflow_run()
    run.run_node("collect_batches")
    (record,) = read_timings(storage)
    assert (record["task"], record["state"]) == ("collect_batches", "success")
    assert set(record["seconds"]) == set(timing.PHASES)
    assert min(record["seconds"].values()) >= 0
    assert record["seconds"]["session"] > 0
    assert record["seconds"]["compute"] > 0


def test_a_node_that_fails_leaves_its_phases_too_and_its_retry_others(storage: Path) -> None:
    run = make_run()
    run.open_mlflow_run()
    for _ in range(2):
        with pytest.raises(DatasetError, match="intake_report"):
            run.run_node("check_contract")
    assert [record["state"] for record in read_timings(storage)] == ["failed", "failed"]


def test_what_was_measured_is_kept_with_the_mlflow_run_and_listed(
    storage: Path, tmp_path: Path
) -> None:
    from image_classification.commands.group import commands

    run = make_run()
    run_id = run.open_mlflow_run()
    run.run_node("collect_batches")
    run.log_profile(TASKS[1:2])
    profile = tracking.read_profile(run_id)
    assert [task["task_id"] for task in profile["tasks"]] == ["open_run"]
    assert [record["task"] for record in profile["timings"]] == ["collect_batches"]
    figure = tmp_path / "night.png"
    for name in ("data_processing/manual__1", run_id):
        answer = CliRunner().invoke(commands, ["profile", name, "--to", str(figure)])
        assert answer.exit_code == 0, answer.output
        assert "open_run,success" in answer.output
        assert "collect_batches,success" in answer.output
    assert figure.stat().st_size > 1000
    unknown = CliRunner().invoke(commands, ["profile"])
    assert "There is no run of 'retraining'" in unknown.output
    assert "MLFLOW_TRACKING_URI" in unknown.output


def test_a_row_accounts_for_all_from_the_queue_to_the_end() -> None:
    table = timing.tabulate_profile({"tasks": TASKS, "timings": [TIMING]})
    assert list(table["task"]) == ["open_run", "train_network"]
    first, second = table.to_dict("records")
    assert (first["at"], first["queue"], first["other"], first["total"]) == (0, 1, 2, 3)
    assert (second["at"], second["queue"], second["compute"], second["other"]) == (8, 2, 4, 0.5)
    assert second["total"] == 10


def test_without_airflow_the_tasks_own_measures_are_shown() -> None:
    table = timing.tabulate_profile({"tasks": [], "timings": [TIMING]})
    assert table.loc[0, "task"] == "train_network"
    assert table.loc[0, "total"] == sum(SECONDS.values())


def test_an_earlier_try_is_not_taken_for_the_last() -> None:
    early = {**TIMING, "ended": "2026-11-26T01:59:00+00:00"}
    table = timing.tabulate_profile({"tasks": TASKS[:1], "timings": [early]})
    assert (table.loc[0, "compute"], table.loc[0, "other"]) == (0, 8)


def test_the_figure_has_a_bar_per_task_and_phase() -> None:
    table = timing.tabulate_profile({"tasks": TASKS, "timings": [TIMING]})
    (axes,) = figures.plot_profile(table, "retraining 2026-11-26 02:00").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["open_run", "train_network"]
    assert len(axes.patches) == 2 * len(PHASE_COLOURS)
    assert set(PHASE_COLOURS) == set(timing.COLUMNS)


def test_a_process_that_only_begins_with_kedro_books_its_imports_as_start() -> None:
    code = (
        "import time; time.sleep(0.3)\n"
        "from image_classification.hooks import TimingHook\n"
        "hook = TimingHook(); hook.after_context_created()\n"
        "print(hook._watch.seconds['start'])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert float(answer.stdout.splitlines()[-1]) >= 0.3
