"""Where the seconds of a task, and of a run, go."""

from __future__ import annotations

import time
from types import SimpleNamespace

import psutil
import pytest

from image_classification import figures
from image_classification.figures.profile import PHASE_COLOURS
from image_classification.tracking import timing
from image_classification.tracking.timing import Stopwatch

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


def test_a_task_that_is_not_known_to_airflow_has_a_row_of_its_own() -> None:
    other = {**TIMING, "task": "promotion", "began": "2026-11-26T02:00:30+00:00"}
    table = timing.tabulate_profile({"tasks": TASKS[:1], "timings": [TIMING, other]})
    assert list(table["task"]) == ["train_network", "promotion"]
    assert table.loc[1, "at"] == 22


def test_the_first_stopwatch_of_a_process_begins_with_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Stopwatch, "_process", None)
    began = psutil.Process().create_time()
    first, age = Stopwatch(), time.time() - began
    assert first.began == began
    assert first.seconds["start"] == pytest.approx(age, abs=1)
    # What it has done since then belongs to nobody's start.
    assert Stopwatch().seconds["start"] == pytest.approx(0, abs=0.1)


def test_each_second_is_booked_once_on_the_phase_that_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moments = iter([100.0, 100.0, 101.0, 103.0, 106.0])
    # Of this module alone: any other thread may ask for the time.
    monkeypatch.setattr(timing, "time", SimpleNamespace(time=lambda: next(moments)))
    monkeypatch.setattr(Stopwatch, "_process", timing.os.getpid())
    watch = Stopwatch()
    for phase in ("load", "compute", "load"):
        watch.book(phase)
    record = watch.describe("train_network", "success")
    expected = dict.fromkeys(timing.PHASES, 0.0) | {"load": 4.0, "compute": 2.0}
    assert record["seconds"] == expected
    assert record["began"] == "1970-01-01T00:01:40.000+00:00"
    assert record["ended"] == "1970-01-01T00:01:46.000+00:00"
