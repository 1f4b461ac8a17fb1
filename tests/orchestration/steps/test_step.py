"""Work that may share a task with other work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from operator_runs import make_context, make_operator, start_with

from image_classification.errors import DataError, SealedError
from image_classification.orchestration.steps.ending import FailedForGood, TaskFailed
from image_classification.orchestration.steps.step import (
    BranchingGroupOperator,
    GroupOperator,
    RestSkipped,
    StepOperator,
)

DONE: list[str] = []


class Step(StepOperator):
    """A step that does what the test says."""

    act: Callable[[], Any]

    def work(self, run: Any, context: Any) -> Any:
        DONE.append(self.task_id)
        return self.act()


def make_step(name: str, result: Any = None, *, closes: bool = False) -> Step:
    def act() -> Any:
        if isinstance(result, BaseException):
            raise result
        return result

    step: Step = make_operator(Step, name)
    step.act, step.closes = act, closes
    return step


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> None:
    DONE.clear()
    start_with(monkeypatch)


def perform(*steps: Step, operator: type[GroupOperator] = GroupOperator) -> Any:
    group = make_operator(operator, "group")
    group.steps = list(steps)
    return group.perform(make_context())


def test_steps_are_done_in_turn_and_the_last_result_is_the_tasks() -> None:
    assert perform(make_step("a", 1), make_step("b", 2)) == 2
    assert DONE == ["a", "b"]


def test_each_step_begins_with_nothing_that_an_earlier_one_has_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[str] = []
    monkeypatch.setattr(StepOperator, "start", lambda _, __: started.append("once"))
    monkeypatch.setattr(GroupOperator, "start", lambda _, __: started.append("once"))
    perform(make_step("a"), make_step("b"))
    assert len(started) == 2


def test_what_follows_a_step_that_skips_the_rest_is_not_done() -> None:
    assert perform(make_step("a", RestSkipped("nothing new")), make_step("b")) == "nothing new"
    assert DONE == ["a"]


def test_a_step_that_skips_the_rest_succeeds_alone_too() -> None:
    assert make_step("a", RestSkipped("nothing new")).execute(make_context()) == "nothing new"


@pytest.mark.parametrize(
    ("error", "ends"), [(DataError("cut"), TaskFailed), (SealedError("closed"), FailedForGood)]
)
def test_a_step_that_fails_ends_the_task(error: Exception, ends: type[BaseException]) -> None:
    with pytest.raises(ends):
        perform(make_step("a", error), make_step("b"))
    assert DONE == ["a"]


def test_what_an_earlier_try_has_closed_is_left_to_the_step_that_closes_it() -> None:
    sealed = SealedError("its model is logged")
    assert perform(make_step("a", sealed), make_step("log", "7", closes=True)) == "7"
    with pytest.raises(FailedForGood):
        perform(make_step("log", "7", closes=True), make_step("a", sealed))


def test_the_last_step_of_a_branch_says_which_task_follows() -> None:
    group: Any = make_operator(BranchingGroupOperator, "group")
    group.steps = [make_step("compare"), make_step("choose", "keep_champion")]
    assert group.choose_branch(make_context()) == "keep_champion"
