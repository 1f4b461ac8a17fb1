"""A `kedro run` waits for new images as a night under Airflow does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner, ThreadRunner
from kedro_datasets.json import JSONDataset

from image_classification.configuration.tag import PROCESSING, PROMOTION, SELECTION, TRAINING
from image_classification.hooks import session

PROJECT = Path(__file__).resolve().parents[2]


def make_night(ran: list[str]) -> Pipeline:
    """Return a pipeline of three nodes that says which of them ran."""

    def note(name: str) -> Any:
        def run(value: str) -> str:
            ran.append(name)
            return value

        return run

    return Pipeline(
        [
            Node(note("take in"), inputs="start", outputs="taken", name="a", tags=PROCESSING),
            Node(note("watch"), inputs="taken", outputs="seen", name="b"),
            Node(note("train"), inputs="taken", outputs="network", name="c", tags=TRAINING),
            Node(note("score"), inputs="start", outputs="scores", name="d", tags=PROMOTION),
        ]
    )


def make_catalog(folder: Path) -> DataCatalog:
    entries: dict[str, Any] = {
        "start": "x",
        "params:registered_model_name": "cells",
        "params:training": {"min_new_images": 5, "force": False},
        "image_splits": "the images",
        "data_summary": {"images": 3},
    }
    made = ("taken", "seen", "network", "scores")
    return DataCatalog(
        {name: MemoryDataset(value) for name, value in entries.items()}
        | {name: JSONDataset(filepath=str(folder / name)) for name in made}
    )


@pytest.mark.parametrize("runner", [SequentialRunner, ThreadRunner])
@pytest.mark.parametrize("is_new", [True, False])
def test_training_and_what_follows_it_wait_and_nothing_else_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runner: Any, is_new: bool
) -> None:
    asked: list[Any] = []

    def check(*given: Any, judges: bool, always: bool) -> tuple[bool, str]:
        asked.append((*given, judges, always))
        return is_new, "2 new images: waiting for 5."

    monkeypatch.setattr(session, "check_new_images", check)
    ran: list[str] = []
    token = session._waiting.set("")
    outputs = session._Pausing(runner().run)(make_night(ran), make_catalog(tmp_path))
    waiting = session.read_waiting()
    session._waiting.reset(token)
    assert set(ran[:2]) == {"take in", "watch"}
    assert set(ran[2:]) == ({"train", "score"} if is_new else set())
    assert waiting == ("" if is_new else "2 new images: waiting for 5.")
    assert set(outputs) == ({"seen", "network", "scores"} if is_new else {"seen"})
    parameters = {"min_new_images": 5, "force": False}
    assert asked == [("cells", "the images", {"images": 3}, parameters, False, False)]


def test_a_pipeline_that_selects_and_trains_waits_only_where_there_is_too_little(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    waits = "Waiting for more: no image is accepted yet. 0 patients are known."
    ran: list[str] = []
    night = make_night(ran)
    select = Node(lambda value: value, inputs="start", outputs="taken", name="s", tags=SELECTION)
    catalog = make_catalog(tmp_path)
    for summary, trains in (({"images": 3, "patients": 2}, True), ({"waiting": waits}, False)):
        ran.clear()
        catalog["data_summary"] = MemoryDataset(summary)
        token = session._waiting.set("")
        alone = Pipeline([select, *night.only_nodes("c").nodes])
        session._Pausing(SequentialRunner().run)(alone, catalog)
        assert (ran == ["train"], session.read_waiting()) == (trains, "" if trains else waits)
        session._waiting.reset(token)


def test_a_pipeline_that_takes_nothing_in_asks_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def check(*_: Any, **__: Any) -> Any:
        raise AssertionError("nobody is to be asked")

    monkeypatch.setattr(session, "check_new_images", check)
    ran: list[str] = []
    alone = make_night(ran).only_nodes("c")
    catalog = make_catalog(tmp_path)
    catalog.save("taken", "x")
    session._Pausing(SequentialRunner().run)(alone, catalog)
    assert ran == ["train"]


def test_the_project_uses_this_session() -> None:
    from kedro.framework.project import configure_project, settings

    configure_project("image_classification")
    assert settings.SESSION_CLASS is session.NightSession
