"""What a hook lets follow the nodes of a `kedro run`, and what it leaves."""

from __future__ import annotations

from typing import Any

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline

from image_classification import tracking
from image_classification.hooks import challenger
from image_classification.hooks.challenger import SLICES, ChallengerHook
from image_classification.pipeline_registry import register_pipelines
from image_classification.pipelines import monitoring, promotion, rollback

WATCH = {"version": "3", "sentence": "champion v3 holds its level", "alert": False}

MODEL = {"version": "1", "metrics": {}}
DECISION = {"verdict": "promote", "challenger": MODEL, "champion": None}


class Aftermath:
    """Stands for what follows: remembers what it was asked, or fails."""

    asked: list[tuple[str, bool, bool, bool]] = []
    fault: Exception | None = None

    def __init__(self, catalog: DataCatalog, run: Any) -> None:
        self.run = run

    def follow(self, pipeline: Any, *, decides: bool, rolls_back: bool) -> str:
        if self.fault:
            raise self.fault
        self.asked.append((self.run.mlflow_run_id, pipeline is not None, decides, rolls_back))
        return "promoted v4"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was written into the MLflow run that is active."""
    lines: list[Any] = []
    monkeypatch.setattr(Aftermath, "asked", [])
    monkeypatch.setattr(Aftermath, "fault", None)
    monkeypatch.setattr(challenger, "Aftermath", Aftermath)
    monkeypatch.setattr(tracking, "active_run_id", lambda: "run")
    monkeypatch.setattr(tracking, "active_experiment_id", lambda: "1")
    monkeypatch.setattr(tracking, "tag_run", lambda _run, tags: lines.append(tags))
    monkeypatch.setattr(tracking, "record_outcome", lambda _run, said: lines.append(said))
    monkeypatch.setattr(tracking, "fail_run", lambda _run, said: lines.append(said))
    monkeypatch.setattr(tracking, "leave_run", lambda: lines.append("left"))
    return lines


@pytest.fixture(autouse=True)
def pages(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, set[str]]]:
    """The pages that are written: what was recorded of the run, and what it has made."""
    found: list[tuple[str, set[str]]] = []

    def write(_catalog: Any, run: Any, outcome: str, made: Any) -> None:
        assert run.mlflow_run_id == "run"
        found.append((outcome, set(made)))

    monkeypatch.setattr(challenger, "write_night", write)
    monkeypatch.setattr(challenger, "write_history", lambda _: found.append(("history", set())))
    return found


def end(pipeline: Pipeline, **run_params: Any) -> None:
    """Let a run of a pipeline end."""
    catalog = DataCatalog(
        {
            "champion_watch": MemoryDataset(WATCH),
            "decision": MemoryDataset(DECISION),
        }
    )
    hook = ChallengerHook().after_pipeline_run(run_params, pipeline, catalog)
    next(hook)
    with pytest.raises(StopIteration):
        hook.send(None)


def look_at(value: Any) -> Any:
    return value


@pytest.mark.parametrize(
    ("pipeline", "dataset", "asks"),
    [
        (promotion.create_pipeline(), "comparison", ("run", False, True, False)),
        (rollback.create_pipeline(), "rollback_plan", ("run", False, False, True)),
        (monitoring.create_pipeline(), "champion_watch", ("run", False, False, False)),
    ],
)
def test_what_a_node_asks_for_follows_whoever_reads_what_it_makes(
    written: list[Any], pipeline: Pipeline, dataset: str, asks: tuple[Any, ...]
) -> None:
    reader = Pipeline([Node(look_at, inputs=dataset, outputs="seen", name="look_at")])
    for whole in (pipeline, pipeline + reader):
        end(whole)
    assert Aftermath.asked == [asks, asks]


def test_a_night_is_trained_judged_and_watched(written: list[Any]) -> None:
    end(register_pipelines()["retraining"])
    assert Aftermath.asked == [("run", True, True, False)]
    assert written == [{tracking.WATCH_TAG: WATCH["sentence"]}]


def test_a_night_that_waits_says_so_and_is_watched_all_the_same(
    written: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(challenger, "read_waiting", lambda: "2 new images: waiting for 5.")
    end(register_pipelines()["retraining"])
    assert Aftermath.asked == []
    assert written == [
        "skipped: 2 new images: waiting for 5.",
        {tracking.WATCH_TAG: WATCH["sentence"]},
    ]


def test_a_night_has_a_page_of_what_it_has_made(
    written: list[Any], pages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    retraining = register_pipelines()["retraining"]
    end(retraining)
    monkeypatch.setattr(challenger, "read_waiting", lambda: "too few images.")
    end(retraining)
    (outcome, made), (waited, before) = pages
    assert (outcome, waited) == ("promoted v4", "skipped: too few images.")
    assert {"intake_report", "comparison", "training_history"} <= made
    assert {"intake_report", "data_summary", "champion_watch"} <= before
    assert before.isdisjoint({"comparison", "training_history"})


def test_a_rollback_writes_the_history_and_a_watch_nothing(written: list[Any], pages: Any) -> None:
    end(rollback.create_pipeline())
    assert pages == [("history", set())]
    end(monitoring.create_pipeline())
    assert len(pages) == 1


def test_a_night_that_fails_has_a_page_that_says_so(
    written: list[Any], pages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook, fault = ChallengerHook(), RuntimeError("no room on the disk")
    hook.on_pipeline_error(fault, {}, register_pipelines()["retraining"], DataCatalog({}))
    monkeypatch.setattr(Aftermath, "fault", fault)
    with pytest.raises(RuntimeError):
        end(promotion.create_pipeline())
    assert pages == [("failed: no room on the disk", set())] * 2
    hook.on_pipeline_error(fault, {}, monitoring.create_pipeline(), DataCatalog({}))
    hook.on_pipeline_error(fault, {"tags": ["x"]}, promotion.create_pipeline(), DataCatalog({}))
    assert len(pages) == 2


@pytest.mark.parametrize("option", SLICES)
def test_nothing_follows_a_part_of_a_pipeline(written: list[Any], option: str) -> None:
    end(promotion.create_pipeline(), **{option: ["something"]})
    assert (Aftermath.asked, written) == ([], [])


def test_nothing_follows_where_no_run_is_open(
    written: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "active_run_id", lambda: None)
    end(promotion.create_pipeline())
    assert (Aftermath.asked, written) == ([], [])


def test_a_failure_fails_the_run_and_leaves_it(
    written: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Aftermath, "fault", RuntimeError("no room on the disk"))
    with pytest.raises(RuntimeError, match="no room"):
        end(promotion.create_pipeline())
    assert written == ["failed: no room on the disk", "left"]
