"""The operators that judge the challenger and carry the decision out."""

from __future__ import annotations

from typing import Any

import pytest
from operator_runs import Told, listen, make_context, make_operator, start_with

from image_classification.errors import ChampionMovedError, VerificationError
from image_classification.gate.verdict import ACTIONS
from image_classification.orchestration.steps.ending import FailedForGood
from image_classification.orchestration.steps.promotion import (
    ChooseChampionOperator,
    KeepChampionOperator,
    MeasurePackageOperator,
    PromoteChallengerOperator,
    RefuseChallengerOperator,
    RestoreChampionOperator,
    read_approval,
)

ANSWERED = ("ask_approver", "answer")
CARRIED_OUT = {
    PromoteChallengerOperator: "aftermath_promote",
    KeepChampionOperator: "aftermath_keep",
    RefuseChallengerOperator: "aftermath_keep",
    RestoreChampionOperator: "aftermath_roll_back",
}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    return listen(monkeypatch)


@pytest.mark.parametrize("action", ACTIONS.values(), ids=lambda action: action.name)
def test_the_branch_follows_the_action(action: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    start_with(monkeypatch, aftermath_decide=(action, "because"))
    operator = make_operator(ChooseChampionOperator)
    assert operator.choose_branch(make_context()) == action.task


def test_the_package_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []
    start_with(monkeypatch, aftermath_measure=lambda: measured.append("package"))
    make_operator(MeasurePackageOperator).execute(make_context())
    assert measured == ["package"]


@pytest.mark.parametrize(
    ("operator", "event"),
    [
        (PromoteChallengerOperator, "promotion"),
        (KeepChampionOperator, None),
        (RefuseChallengerOperator, "needs_you"),
        (RestoreChampionOperator, "promotion"),
    ],
)
def test_what_is_carried_out_is_written_into_the_note_and_told(
    operator: Any, event: str | None, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = {"The night on one page": "http://airflow/nights/1.html"}
    answers = {CARRIED_OUT[operator]: "moved v2: better", "account_locate_night": night}
    run: Any = start_with(monkeypatch, **answers)
    assert make_operator(operator).execute(make_context()) == "moved v2: better"
    (note,) = told.notes
    assert note.split("\n\n") == [
        "moved v2: better",
        "The night on one page: http://airflow/nights/1.html",
        "MLflow run: http://mlflow/run",
    ]
    assert run.pages == ["moved v2: better"]
    assert [notice.event for notice in told.notices] == ([event] if event else [])
    for notice in told.notices:
        assert notice.subject == "[image-classification] counting: moved v2"
        assert notice.reason.startswith("better.")
        assert notice.links["Model version 2"] == "http://mlflow/2"


def test_a_backfill_that_is_refused_needs_nobody(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start_with(monkeypatch, aftermath_keep="refused v2: a backfill")
    run.backfill = True
    make_operator(RefuseChallengerOperator).execute(make_context())
    assert told.notices == []


@pytest.mark.parametrize("error", [ChampionMovedError, VerificationError])
@pytest.mark.parametrize("operator", [PromoteChallengerOperator, RestoreChampionOperator])
def test_a_move_that_another_try_cannot_make_is_not_tried_again(
    operator: Any,
    error: type[Exception],
    told: Told,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start_with(monkeypatch, **{CARRIED_OUT[operator]: error("somebody was faster")})
    with pytest.raises(FailedForGood, match="somebody was faster"):
        make_operator(operator).execute(make_context())
    assert told.notes == []
    assert told.notices == []


@pytest.mark.parametrize("operator", [PromoteChallengerOperator, KeepChampionOperator])
def test_it_is_done_in_the_name_of_who_answered(
    operator: Any, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def carry_out(statement: Any) -> str:
        given.append(statement)
        return "done: as asked"

    start_with(monkeypatch, **{CARRIED_OUT[operator]: carry_out})
    answer = {"responded_by_user": {"id": "1", "name": "Ada"}, "params_input": {"reason": "seen"}}
    make_operator(operator).execute(make_context(results={ANSWERED: answer}))
    (statement,) = given
    assert (statement.by, statement.comment) == ("Ada", "seen")


@pytest.mark.parametrize(
    ("answer", "by", "comment"),
    [
        (None, "the policy", ""),
        ({"responded_by_user": None, "params_input": {}}, "nobody", "no answer in time"),
        ({"responded_by_user": {"id": "7"}, "params_input": None}, "7", ""),
    ],
    ids=["nobody was asked", "no answer in time", "without a name or a reason"],
)
def test_an_approval_says_who_decided(answer: Any, by: str, comment: str) -> None:
    statement = read_approval(make_context(results={ANSWERED: answer}))
    assert (statement.by, statement.comment) == (by, comment)


@pytest.mark.parametrize(
    ("action", "chosen"),
    [
        ("approve", None),
        ("approve", ["Reject"]),
        ("approve", []),
        ("approve", ["Approve", "Reject"]),
        ("keep", None),
        ("keep", ["Approve"]),
        ("dry_run", None),
        ("refuse", None),
    ],
)
def test_a_task_that_is_cleared_or_follows_one_marked_as_done_promotes_nothing(
    action: str, chosen: list[str] | None, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted: list[Any] = []
    start_with(
        monkeypatch,
        aftermath_read_action=lambda: ACTIONS[action],
        aftermath_promote=promoted.append,
    )
    user = {"responded_by_user": {"name": "Ada"}, "params_input": {}}
    answer = None if chosen is None else {**user, "chosen_options": chosen}
    context = make_context(results={ANSWERED: answer})
    with pytest.raises(FailedForGood, match=f"decided '{action}', and nobody approved"):
        make_operator(PromoteChallengerOperator).execute(context)
    assert promoted == []
    assert told.notes == []


def test_what_a_person_approved_is_promoted(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    start_with(
        monkeypatch,
        aftermath_read_action=lambda: ACTIONS["approve"],
        aftermath_promote="promoted v2: better",
    )
    user = {"responded_by_user": {"name": "Ada"}, "params_input": {}}
    answer = {**user, "chosen_options": ["Approve"]}
    operator = make_operator(PromoteChallengerOperator)
    assert operator.execute(make_context(results={ANSWERED: answer})) == "promoted v2: better"
