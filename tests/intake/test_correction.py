"""Corrected labels: who stated which, and what of it is still to be carried out."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from image_classification.intake.correction import (
    DELIVERY,
    RELABEL,
    REVIEW,
    WITHDRAWAL,
    answer_proposals,
    count_changed,
    deliver_labels,
    foresee,
    list_due,
    name_record,
    sort_corrections,
    tabulate_statements,
    withdraw_labels,
)
from image_classification.intake.index import ACCEPTED, STATED

PROPOSALS = pd.DataFrame(
    {
        "image_id": ["1", "2"],
        "path": ["b/x/1", "b/x/2"],
        "label": ["U", "V"],
        "before": ["P", ""],
        "batch": "b",
    }
)
REJECTION = {"reviewed_by": "Ada", "review_reason": "wrong slide", "reviewed_at": "friday"}


def record(at: str, *changes: tuple[str, str, str], how: str = RELABEL, batch: str = "") -> Any:
    """Return a record: image, label before and label after of each change."""
    labels = [
        {"image_id": image, "path": f"a/{image}", "before": before, "after": after}
        for image, before, after in changes
    ]
    return {"at": at, "by": "Ada", "reason": "typo", "how": how, "batch": batch, "labels": labels}


def log_of(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """Return a log: image, status and `reviewed_at` of each row."""
    log = pd.DataFrame(rows, columns=["image_id", "status", "reviewed_at"])
    return log.assign(path="a/" + log["image_id"], label="P", first_seen="")


def test_records_are_in_the_order_of_time_whatever_they_are_called() -> None:
    records = {"a": record("2"), "c": record("1", how=REVIEW), "b": record("1")}
    assert [each["at"] for each in sort_corrections(records)] == ["1", "1", "2"]
    assert [each["how"] for each in sort_corrections(records)] == [RELABEL, REVIEW, RELABEL]


def test_an_accepted_proposal_states_the_new_label_and_a_rejected_one_the_old() -> None:
    said = {"at": "monday", "by": "Ada", "reason": "looked", "batch": "b"}
    accepted = answer_proposals(PROPOSALS, "accept", **said)
    assert accepted == {
        **said,
        "how": REVIEW,
        "labels": [
            {"image_id": "1", "path": "b/x/1", "before": "P", "after": "U"},
            {"image_id": "2", "path": "b/x/2", "before": "", "after": "V"},
        ],
    }
    rejected = answer_proposals(PROPOSALS, "reject", **said)
    assert [change["after"] for change in rejected["labels"]] == ["P", ""]
    assert (count_changed([accepted]), count_changed([rejected])) == (2, 0)


def test_a_trusted_delivery_states_the_labels_that_it_brings_and_who_brought_them() -> None:
    made = deliver_labels(PROPOSALS, "osei (uid 1001)", "b", "monday")
    assert (made["by"], made["how"], made["batch"]) == ("osei (uid 1001)", DELIVERY, "b")
    assert made["reason"] == "delivered under another label in batch 'b'"
    assert [change["after"] for change in made["labels"]] == ["U", "V"]


def test_statements_tell_who_when_before_after_and_why() -> None:
    (row,) = tabulate_statements([record("2026-11-27T10:00", ("1", "P", "U"))]).to_dict("records")
    assert row == {
        "image_id": "1",
        "path": "a/1",
        "batch": "a",
        "before": "P",
        "label": "U",
        "status": STATED,
        "first_seen": "2026-11-27T10:00",
        "labelled_by": "Ada",
        "labelled_on": "2026-11-27",
        "reviewed_by": "Ada",
        "review_reason": "typo",
        "reviewed_at": "2026-11-27T10:00",
    }


def test_what_the_log_does_not_hold_is_due_in_the_order_of_time() -> None:
    records = {
        "y": record("2", ("1", "U", "V")),
        "x": record("1", ("1", "P", "U"), ("2", "P", "U")),
    }
    due = list_due(records, log_of(("1", ACCEPTED, "1")))
    assert due[["image_id", "label"]].to_numpy().tolist() == [["1", "U"], ["2", "U"], ["1", "V"]]
    due = list_due(records, log_of(("1", STATED, "1"), ("2", STATED, "1")))
    assert due[["image_id", "label"]].to_numpy().tolist() == [["1", "V"]]
    assert list_due({}, log_of()).empty


def test_the_log_is_foreseen_with_what_is_due() -> None:
    log = log_of(("1", ACCEPTED, ""))
    assert foresee(log, {}) is log
    foreseen = foresee(log, {"x": record("1", ("1", "P", "U"))})
    assert foreseen["label"].tolist() == ["P", "U"]
    assert foreseen["status"].tolist() == [ACCEPTED, STATED]
    assert set(foreseen.columns) == set(log.columns)


class TestWithdrawal:
    def withdraw(self, **records: Any) -> list[tuple[str, str, str]]:
        made = withdraw_labels("b", REJECTION, records, "now")
        assert (made["at"], made["by"], made["how"]) == ("now", "Ada", WITHDRAWAL)
        assert made["reason"] == "batch 'b' was rejected: wrong slide"
        return [(each["image_id"], each["before"], each["after"]) for each in made["labels"]]

    @pytest.mark.parametrize("how", [REVIEW, DELIVERY])
    def test_what_a_rejected_batch_has_brought_is_taken_back(self, how: str) -> None:
        brought = record("1", ("1", "P", "U"), ("2", "P", "P"), ("3", "", "U"), how=how, batch="b")
        assert self.withdraw(x=brought) == [("1", "U", "P"), ("3", "U", "")]

    def test_what_others_have_stated_stays(self) -> None:
        assert self.withdraw(x=record("1", ("1", "P", "U"))) == []
        assert self.withdraw(x=record("1", ("1", "P", "U"), how=REVIEW, batch="c")) == []
        brought = record("1", ("1", "P", "U"), how=DELIVERY, batch="b")
        assert self.withdraw(x=brought, y=record("2", ("1", "U", "U"))) == []

    def test_what_was_taken_back_is_not_taken_back_again(self) -> None:
        brought = record("1", ("1", "P", "U"), how=DELIVERY, batch="b")
        back = record("2", ("1", "U", "P"), how=WITHDRAWAL, batch="b")
        assert self.withdraw(x=brought, y=back) == []


def test_the_name_of_a_record_is_the_same_at_each_try_and_can_be_that_of_a_file() -> None:
    name = name_record("2026-11-27T10:00:01+00:00", DELIVERY, "north")
    assert name == "2026-11-27T100001Z-delivery-north"
