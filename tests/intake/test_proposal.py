"""Labels that are proposed: what keeps its label, who is asked, and whom the system trusts."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from image_classification.intake.index import (
    ACCEPTED,
    CONFLICT,
    HELD,
    PROPOSED,
    REJECTED,
    STATED,
    settle_index,
)
from image_classification.intake.proposal import (
    find_contradictions,
    find_open,
    is_trusted,
    judge_files,
)

KNOWN, NEW = ("a/1", "1", "P", ACCEPTED), ("b/1", "1", "U", PROPOSED)


def tabulate(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    """Return a log: path, content, label and status of each row, `first_seen` a day later each."""
    log = pd.DataFrame(rows, columns=["path", "image_id", "label", "status"])
    days = pd.date_range("2026-11-22", periods=len(log)).strftime("%Y-%m-%d")
    return log.assign(first_seen=days, batch=log["path"].str[0])


def judge(*rows: tuple[str, str], known: pd.DataFrame) -> list[str]:
    """Return the statuses of files of a batch: content and label of each."""
    return judge_files(pd.DataFrame(rows, columns=["image_id", "label"]), known).tolist()


def list_open(*rows: tuple[str, str, str, str]) -> list[tuple[str, str, str]]:
    """Return path, label before and label proposed of each open proposal of a log."""
    found = find_open(tabulate(*rows))
    return list(zip(found["path"], found["before"], found["label"], strict=True))


class TestFilesOfABatch:
    def test_a_new_content_and_a_known_one_with_its_label_are_accepted(self) -> None:
        assert judge(("1", "P"), ("2", "U"), known=tabulate(KNOWN)) == [ACCEPTED, ACCEPTED]

    def test_a_known_content_under_another_label_is_a_proposal(self) -> None:
        assert judge(("1", "U"), ("2", "U"), known=tabulate(KNOWN)) == [PROPOSED, ACCEPTED]

    @pytest.mark.parametrize("status", [HELD, REJECTED])
    def test_a_label_that_is_not_accepted_is_not_contradicted(self, status: str) -> None:
        assert judge(("1", "U"), known=tabulate(("a/1", "1", "P", status))) == [ACCEPTED]

    def test_a_label_that_was_stated_is_the_one_that_is_known(self) -> None:
        known = tabulate(KNOWN, ("a/1", "1", "U", STATED))
        assert judge(("1", "U"), known=known) == [ACCEPTED]
        assert judge(("1", "P"), known=known) == [PROPOSED]

    @pytest.mark.parametrize("status", [ACCEPTED, CONFLICT])
    def test_a_content_in_conflict_gets_no_label_by_a_delivery(self, status: str) -> None:
        known = tabulate(("a/1", "1", "P", status), ("c/1", "1", "U", status))
        assert judge(("1", "P"), known=known) == [PROPOSED]

    def test_a_batch_that_contradicts_itself_proposes_nothing(self) -> None:
        rows = [("1", "P"), ("1", "U"), ("2", "P")]
        assert judge(*rows, known=tabulate(KNOWN)) == [CONFLICT, CONFLICT, ACCEPTED]
        assert judge(*rows, known=tabulate()) == [CONFLICT, CONFLICT, ACCEPTED]

    def test_the_rows_need_not_be_numbered_from_zero(self) -> None:
        rows = pd.DataFrame({"image_id": ["1", "2"], "label": "U"}, index=[7, 9])
        assert judge_files(rows, tabulate(KNOWN)).to_dict() == {7: PROPOSED, 9: ACCEPTED}


class TestOpenProposals:
    def test_a_proposal_is_open_with_both_labels(self) -> None:
        assert list_open(KNOWN, NEW) == [("b/1", "P", "U")]
        assert list_open(KNOWN) == []

    @pytest.mark.parametrize("label", ["U", "P", "V"])
    @pytest.mark.parametrize("path", ["a/1", "b/1"])
    def test_whatever_is_stated_of_the_image_answers_it(self, path: str, label: str) -> None:
        assert list_open(KNOWN, NEW, (path, "1", label, STATED)) == []

    def test_what_was_stated_before_it_came_does_not(self) -> None:
        assert list_open(KNOWN, ("a/1", "1", "V", STATED), NEW) == [("b/1", "V", "U")]

    def test_an_answer_about_another_batch_does_not(self) -> None:
        third = ("c/1", "1", "V", PROPOSED)
        assert list_open(KNOWN, NEW, third, ("b/1", "1", "P", STATED)) == [("c/1", "P", "V")]
        assert list_open(KNOWN, NEW, third, ("b/1", "1", "U", STATED)) == [("c/1", "U", "V")]
        assert list_open(KNOWN, NEW, third, ("a/1", "1", "U", STATED)) == []

    def test_an_answer_holds_though_the_batch_is_rejected_and_accepted_again(self) -> None:
        answered = [KNOWN, NEW, ("b/1", "1", "P", STATED), ("b/1", "1", "U", REJECTED), NEW]
        assert list_open(*answered) == []
        # A file that was accepted before the label was stated is nothing new either.
        copy = [KNOWN, ("b/1", "1", "P", ACCEPTED), ("a/1", "1", "U", STATED)]
        assert list_open(*copy, ("b/1", "1", "P", PROPOSED)) == []

    def test_a_file_that_was_held_when_the_label_was_stated_is_asked_about_later(self) -> None:
        rows = [KNOWN, ("b/1", "1", "U", HELD), ("a/1", "1", "P", STATED), NEW]
        assert list_open(*rows) == [("b/1", "P", "U")]

    def test_a_proposal_of_a_rejected_batch_is_not_open(self) -> None:
        assert list_open(KNOWN, NEW, ("b/1", "1", "U", REJECTED)) == []

    def test_a_proposal_that_nothing_contradicts_any_more_is_not_open(self) -> None:
        assert list_open(KNOWN, NEW, ("a/1", "1", "P", REJECTED)) == []

    def test_a_proposal_about_a_conflict_has_no_label_before(self) -> None:
        conflict = [KNOWN, ("c/1", "1", "U", ACCEPTED)]
        assert list_open(*conflict, NEW) == [("b/1", "", "U")]


def test_a_batch_that_contradicts_itself_is_listed_until_the_label_is_stated() -> None:
    pair = [("b/1", "1", "P", CONFLICT), ("b/2", "1", "U", CONFLICT)]
    assert find_contradictions(tabulate(*pair))["path"].tolist() == ["b/1", "b/2"]
    assert find_contradictions(tabulate(*pair, ("b/1", "1", "U", STATED))).empty
    assert find_contradictions(tabulate(KNOWN, *pair)).empty
    assert find_contradictions(tabulate(KNOWN)).empty


@pytest.mark.parametrize(
    ("policy", "uids", "depositor", "trusted"),
    [
        ("trust", [1001], 1001, True),
        ("trust", [1001], 1002, False),
        ("trust", [1001], None, False),
        ("trust", [], 1001, False),
        ("trust", [0], 0, True),
        ("ask", [1001], 1001, False),
    ],
)
def test_a_depositor_is_trusted_where_policy_and_list_say_so(
    policy: Any, uids: list[int], depositor: int | None, trusted: bool
) -> None:
    assert is_trusted(depositor, {"policy": policy, "trusted_uids": uids}) is trusted


def test_what_is_open_depends_on_the_log_alone_and_settles_to_one_label_each() -> None:
    log = tabulate(KNOWN, NEW, ("c/2", "2", "U", ACCEPTED), ("b/2", "2", "P", PROPOSED))
    before = log.copy()
    assert find_open(log)["path"].tolist() == ["b/1", "b/2"]
    pd.testing.assert_frame_equal(log, before)
    assert settle_index(log)["image_id"].is_unique
