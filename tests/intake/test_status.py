"""The status of each batch: the last answer's, or else the screening's."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from image_classification.intake.status import (
    find_statuses,
    list_accepted,
    make_rows,
    read_statuses,
)

NOBODY = {"reviewed_by": "", "review_reason": "", "reviewed_at": ""}


def answer(batch: str, answer: str, by: str = "Ada") -> dict[str, Any]:
    return {"batch": batch, "answer": answer, "by": by, "reason": "looked", "at": "2026-11-22"}


@pytest.mark.parametrize(
    ("verdict", "status"),
    [("accepted", "accepted"), ("held", "held"), ("quarantined", "held"), ("waiting", "held")],
)
def test_without_an_answer_the_screening_decides(verdict: str, status: str) -> None:
    assert find_statuses({"b": {"verdict": verdict}}, {}) == {"b": {"status": status, **NOBODY}}


@pytest.mark.parametrize(("given", "status"), [("accept", "accepted"), ("reject", "rejected")])
@pytest.mark.parametrize("verdict", ["accepted", "held"])
def test_an_answer_overrules_the_screening(given: str, status: str, verdict: str) -> None:
    statuses = find_statuses({"b": {"verdict": verdict}}, {"1": answer("b", given)})
    assert statuses == {
        "b": {
            "status": status,
            "reviewed_by": "Ada",
            "review_reason": "looked",
            "reviewed_at": "2026-11-22",
        }
    }


def test_the_last_answer_holds_whatever_the_order_they_are_read_in() -> None:
    reviews = {"2": answer("b", "reject", "Grace"), "1": answer("b", "accept")}
    found = find_statuses({"b": {"verdict": "held"}}, reviews)["b"]
    assert (found["status"], found["reviewed_by"]) == ("rejected", "Grace")


def test_batches_are_in_the_order_of_their_names() -> None:
    screenings = {name: {"verdict": "held"} for name in ("c", "a", "b")}
    assert list(find_statuses(screenings, {})) == ["a", "b", "c"]


def test_the_log_tells_the_last_status_of_each_batch() -> None:
    log = pd.DataFrame(
        {
            "batch": ["a", "b", "b", "a"],
            "status": ["held", "held", "held", "accepted"],
            "reviewed_by": ["", "", "", "Ada"],
            "review_reason": ["", "", "", "looked"],
            "reviewed_at": ["", "", "", "2026-11-22"],
        }
    )
    assert read_statuses(log) == {
        "a": {
            "status": "accepted",
            "reviewed_by": "Ada",
            "review_reason": "looked",
            "reviewed_at": "2026-11-22",
        },
        "b": {"status": "held", **NOBODY},
    }
    assert read_statuses(log.head(0)) == {}


def test_files_that_contradict_others_and_statements_say_nothing_else_of_their_batch() -> None:
    reviewed = {"reviewed_by": "Ada", "review_reason": "looked", "reviewed_at": "monday"}
    log = pd.DataFrame(
        {
            "batch": ["a", "b", "a", "b"],
            "status": ["accepted", "proposed", "stated", "conflict"],
            "reviewed_by": ["", "Ada", "Bob", "Ada"],
            "review_reason": ["", "looked", "typo", "looked"],
            "reviewed_at": ["", "monday", "friday", "monday"],
        }
    )
    assert read_statuses(log) == {
        "a": {"status": "accepted", **NOBODY},
        "b": {"status": "accepted", **reviewed},
    }
    assert read_statuses(log.head(3))["b"] == {"status": "accepted", **reviewed}


def test_a_batch_adds_its_usable_files_by_path_each_content_once_per_label() -> None:
    inspections = pd.DataFrame(
        {
            "path": ["d", "c", "b", "a"],
            "image_id": ["1", "1", "2", "3"],
            "label": ["P", "P", "P", "U"],
            "refusal": ["", "", "empty", ""],
            "patient": ["C1", "C1", "C2", "C3"],
        },
        index=[5, 6, 7, 8],
    )
    rows = make_rows(inspections, {"C1": "test", "C2": "validation", "C3": "train"})
    assert rows.columns.tolist() == ["path", "image_id", "label", "patient", "split"]
    assert rows["path"].tolist() == ["a", "c"]
    assert rows.index.tolist() == [0, 1]
    assert rows["split"].tolist() == ["train", "test"]
    assert make_rows(inspections.head(0), {}).empty


def test_the_accepted_batches_are_those_trained_on() -> None:
    statuses = {name: {"status": name, **NOBODY} for name in ("accepted", "held", "rejected")}
    assert list_accepted(statuses) == {"accepted"}
