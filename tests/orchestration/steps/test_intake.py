"""The operators around the intake."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException, DagRunTriggerException
from operator_runs import Told, listen, make_context, make_operator, start_with

from image_classification.orchestration.steps.intake import (
    AnnounceImagesOperator,
    FindBatchesOperator,
    ListHeldBatchesOperator,
    RequestReviewOperator,
    read_answer,
)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    return listen(monkeypatch)


def find_batches(patch: pytest.MonkeyPatch, batches: list[str]) -> tuple[list[str], list[str]]:
    """Return what the operator returns, and which tasks it skips."""
    skipped: list[str] = []
    start_with(patch, account_find_batches=batches)
    patch.setattr(FindBatchesOperator, "skip", lambda _, __, tasks: skipped.extend(tasks))
    task = SimpleNamespace(get_flat_relatives=lambda **_: ["open_run", "close_run"])
    operator = make_operator(FindBatchesOperator)
    return operator.execute(make_context(task=task)), skipped


def test_an_intake_goes_on_when_a_batch_has_arrived(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_batches(monkeypatch, ["first"]) == (["first"], [])
    assert told.notes == []


def test_an_intake_is_skipped_as_a_whole_when_nothing_has_arrived(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_batches(monkeypatch, []) == ([], ["open_run", "close_run"])
    assert told.notes == ["skipped: nothing has arrived"]


def test_held_batches_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    start_with(monkeypatch, account_list_held_batches=["blank"])
    asked = [{"batch": "blank", "about": "batch"}]
    assert make_operator(ListHeldBatchesOperator).execute(make_context()) == asked


def test_labels_that_wait_for_an_answer_are_listed_beside_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start_with(
        monkeypatch, account_list_held_batches=["blank"], account_list_label_questions=["north"]
    )
    assert make_operator(ListHeldBatchesOperator).execute(make_context()) == [
        {"batch": "blank", "about": "batch"},
        {"batch": "north", "about": "labels"},
    ]


def test_a_batch_that_waits_is_told_of(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    aside = ["Batch 'a' is waiting: too few.", "Batch 'b' is held: blank."]
    start_with(monkeypatch, account_list_set_aside=aside)
    assert make_operator(ListHeldBatchesOperator).execute(make_context()) == []
    (notice,) = told.notices
    assert (notice.event, notice.subject) == (
        "alert",
        "[image-classification] counting: a batch waits",
    )
    assert notice.reason.startswith("Batch 'a' is waiting: too few.\n\nIt is judged again by each")


def test_a_review_is_asked_for_once_for_each_batch() -> None:
    with pytest.raises(DagRunTriggerException) as request:
        RequestReviewOperator(task_id="request_reviews", batch="blank").execute(make_context())
    asked = request.value
    assert (asked.trigger_dag_id, asked.dag_run_id) == ("review", "review__blank")
    assert asked.conf == {"batch": "blank"}
    assert asked.skip_when_already_exists
    assert not asked.reset_dag_run
    assert not asked.wait_for_completion
    assert asked.note == "Batch 'blank' is held."


def test_a_review_of_labels_is_a_run_of_its_own() -> None:
    with pytest.raises(DagRunTriggerException) as request:
        RequestReviewOperator(task_id="request_reviews", batch="blank", about="labels").execute(
            make_context()
        )
    asked = request.value
    assert (asked.trigger_dag_id, asked.dag_run_id) == ("review", "labels__blank")
    assert asked.conf == {"batch": "blank", "about": "labels"}
    assert asked.note == "Batch 'blank' has another label for known images."


def test_new_images_are_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    start_with(monkeypatch, account_count_new_images=24)
    assert make_operator(AnnounceImagesOperator).execute(make_context()) == "24 images"


def test_nothing_is_announced_where_no_image_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    start_with(monkeypatch, account_count_new_images=0)
    with pytest.raises(AirflowSkipException, match="No image has joined"):
        make_operator(AnnounceImagesOperator).execute(make_context())


@pytest.mark.parametrize(
    ("user", "by"), [({"id": "1", "name": "Ada"}, "Ada"), ({"id": "1"}, "1"), (None, "unknown")]
)
def test_an_answer_is_read_with_who_gave_it(user: Any, by: str) -> None:
    response = {
        "chosen_options": ["Accept"],
        "params_input": {"reason": "sharp"},
        "responded_by_user": user,
    }
    context = make_context(results={("ask_reviewer", "return_value"): response})
    assert read_answer(context) == {"answer": "accept", "by": by, "reason": "sharp"}
