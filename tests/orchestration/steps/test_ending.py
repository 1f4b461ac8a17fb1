"""How a task ends that cannot go on: what its log says last, and when it is tried again."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import RetryAction
from operator_runs import make_context

from image_classification.errors import (
    ConfigurationError,
    ContractError,
    DataError,
    RegistryError,
    TrackingError,
)
from image_classification.orchestration.steps.ending import (
    FAIL_FOR_GOOD,
    FailedForGood,
    LastWords,
    TaskFailed,
    fail_at_once,
)

MOVES = {"promote_challenger": None, "train_network": None}


def decide(error: Exception) -> RetryAction:
    """Return what Airflow does after a task that met an error."""
    with pytest.raises((SystemExit, type(error))) as ended, fail_at_once():
        raise error
    return FAIL_FOR_GOOD.evaluate(ended.value, 1, 3).action


@pytest.mark.parametrize("kind", [ConfigurationError, ContractError, RegistryError])
def test_what_another_try_would_meet_again_is_not_tried_again(kind: type[Exception]) -> None:
    assert decide(kind("wrong")) == RetryAction.FAIL


@pytest.mark.parametrize("error", [TrackingError("gone"), DataError("odd"), OSError("gone")])
def test_anything_else_is_tried_again(error: Exception) -> None:
    assert decide(error) == RetryAction.DEFAULT


def test_airflow_knows_the_policy_from_the_serialised_dag() -> None:
    (rule,) = FAIL_FOR_GOOD.serialize()["rules"]
    assert "FailedForGood" in str(rule)


def test_only_an_error_of_ours_ends_a_task_without_a_traceback() -> None:
    with pytest.raises(SystemExit, match="wrong") as ended, fail_at_once():
        raise TrackingError("wrong")
    assert ended.value.__cause__ is None
    assert ended.value.__suppress_context__
    with pytest.raises(OSError, match="gone"), fail_at_once():
        raise OSError("gone")


def read_last_words(caplog: pytest.LogCaptureFixture, error: Any, **more: Any) -> list[str]:
    context = make_context(more.pop("task", "train_network"), states=more.pop("states", {}))
    context["dag"] = SimpleNamespace(dag_id="retraining", task_dict=more.pop("tasks", MOVES))
    context["ti"].state = more.pop("state", "failed")
    context["exception"] = error
    with caplog.at_level(logging.INFO):
        LastWords()(context)
    group, *lines = caplog.messages
    assert group == "::endgroup::"
    return lines


def test_the_log_ends_with_what_happened_the_champion_and_what_to_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert read_last_words(caplog, FailedForGood(ContractError("too few images"))) == [
        "What happened: ContractError: too few images",
        "The champion: the champion was not changed by this failure.",
        "What to do: mend the data, clear the task.",
    ]


def test_of_another_error_too_and_of_a_try_that_is_not_the_last(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error, state = ConnectionError("refused"), "up_for_retry"
    happened, _, remains = read_last_words(caplog, error, state=state)
    assert happened == "What happened: ConnectionError: refused"
    assert remains == ("What to do: start the service, clear it; or wait: Airflow tries it again.")


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"tasks": {"train_network": None}}, "nothing was changed, since this DAG never moves it."),
        ({"task": "promote_challenger"}, "see `image-classification ledger`: "),
        (
            {"states": {"promote_challenger": "success"}},
            "the challenger was promoted before that: the champion is the new one.",
        ),
    ],
)
def test_nothing_is_claimed_of_the_champion_that_is_not_known(
    caplog: pytest.LogCaptureFixture, about: dict[str, Any], said: str
) -> None:
    _, champion, _ = read_last_words(caplog, TaskFailed(DataError("x")), **about)
    assert champion.startswith(f"The champion: {said}")


def test_a_task_that_was_ended_from_outside_says_so(caplog: pytest.LogCaptureFixture) -> None:
    happened, *_ = read_last_words(caplog, None)
    assert happened == "What happened: the task was ended from outside"
