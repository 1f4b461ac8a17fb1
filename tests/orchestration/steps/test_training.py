"""The operators around the training."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from operator_runs import listen, make_context, make_operator, start_with

from image_classification.champion import novelty
from image_classification.orchestration.steps.training import (
    CheckNewImagesOperator,
    LogModelOperator,
)

REASON = "No new images: version 7 has seen all."


def check(patch: pytest.MonkeyPatch, is_new: bool) -> tuple[Any, list[str], Any]:
    """Return what is told, which tasks are skipped, and the Kedro side of the run."""
    told, skipped = listen(patch), []
    run: Any = start_with(patch)
    run.model_name = "cells"
    run.catalog = SimpleNamespace(load=lambda name: name)
    run.context = SimpleNamespace(params={"training": {"min_new_images": 1}})
    patch.setattr(novelty, "check_new_images", lambda *_, **__: (is_new, REASON))
    patch.setattr(
        CheckNewImagesOperator,
        "skip",
        lambda _, __, tasks: skipped.extend(task.task_id for task in tasks),
    )
    after = [
        SimpleNamespace(task_id="train_network", is_teardown=False),
        SimpleNamespace(task_id="close_run", is_teardown=True),
    ]
    task = SimpleNamespace(get_flat_relatives=lambda **_: after)
    operator = make_operator(CheckNewImagesOperator, judges=True)
    assert operator.execute(make_context(task=task)) == REASON
    return told, skipped, run


def test_night_with_new_images_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    told, skipped, run = check(monkeypatch, is_new=True)
    assert (told.notes, told.notices, skipped, run.outcomes) == ([], [], [], [])


def test_night_without_new_images_skips_all_but_the_end_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told, skipped, run = check(monkeypatch, is_new=False)
    assert skipped == ["train_network"]
    assert run.outcomes == [f"skipped: {REASON}"]
    assert told.notes[0].startswith(f"skipped: {REASON}")
    (notice,) = told.notices
    assert notice.event == "skipped"
    assert notice.subject == "[image-classification] counting skipped: No new images"


def test_the_version_of_the_logged_model_is_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    start_with(monkeypatch, log_model="3")
    assert make_operator(LogModelOperator).execute(make_context()) == "3"
