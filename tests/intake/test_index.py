"""The index: what counts of several files with the same content, and what a split depends on."""

from __future__ import annotations

import hashlib
import time

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_classification.intake import index
from image_classification.intake.index import (
    ACCEPTED,
    CONFLICT,
    HELD,
    PROPOSED,
    REJECTED,
    STATED,
)


def tabulate(*rows: tuple[str, str, str, str], seen: str = "2026-11-22") -> pd.DataFrame:
    """Return a log: path, content, label and status of each row, `first_seen` a day later each."""
    log = pd.DataFrame(rows, columns=["path", "image_id", "label", "status"])
    days = pd.date_range(seen, periods=len(log)).strftime("%Y-%m-%d")
    return log.assign(first_seen=days)


def settle(*rows: tuple[str, str, str, str]) -> list[tuple[str, str, str]]:
    """Return path, label and status of what is left of a log."""
    settled = index.settle_index(tabulate(*rows))
    assert settled.columns.tolist() == tabulate(*rows).columns.tolist()
    assert settled.index.tolist() == list(range(len(settled)))
    return list(zip(settled["path"], settled["label"], settled["status"], strict=True))


class TestSettling:
    def test_images_of_different_content_stay_as_they_are(self) -> None:
        assert settle(("a", "1", "P", ACCEPTED), ("b", "2", "U", HELD)) == [
            ("a", "P", ACCEPTED),
            ("b", "U", HELD),
        ]

    def test_the_last_row_of_a_file_holds(self) -> None:
        rows = [("a", "1", "P", HELD), ("b", "2", "U", ACCEPTED), ("a", "1", "P", REJECTED)]
        assert settle(*rows) == [("b", "U", ACCEPTED), ("a", "P", REJECTED)]

    @pytest.mark.parametrize(
        ("statuses", "counted"),
        [
            ([HELD, ACCEPTED], "1"),
            ([REJECTED, ACCEPTED], "1"),
            ([REJECTED, HELD], "1"),
            ([REJECTED, HELD, ACCEPTED], "2"),
            ([HELD, REJECTED], "0"),
        ],
    )
    def test_accepted_counts_before_held_and_held_before_rejected(
        self, statuses: list[str], counted: str
    ) -> None:
        rows = [(str(place), "1", "P", status) for place, status in enumerate(statuses)]
        other = ("x", "9", "P", HELD)
        assert settle(*rows, other) == [(counted, "P", statuses[int(counted)]), ("x", "P", HELD)]

    def test_of_two_accepted_files_the_first_seen_counts(self) -> None:
        log = tabulate(("a", "1", "P", ACCEPTED), ("b", "1", "P", ACCEPTED))
        later = log.assign(first_seen=["2026-11-23", "2026-11-22"])
        assert index.settle_index(log)["path"].tolist() == ["a"]
        assert index.settle_index(later)["path"].tolist() == ["b"]

    def test_of_two_files_seen_together_the_first_path_counts(self) -> None:
        log = tabulate(("b", "1", "P", ACCEPTED), ("a", "1", "P", ACCEPTED))
        assert index.settle_index(log.assign(first_seen="2026-11-22"))["path"].tolist() == ["a"]

    def test_a_content_accepted_under_two_labels_has_none(self) -> None:
        rows = [("a", "1", "P", ACCEPTED), ("b", "1", "U", ACCEPTED), ("c", "2", "U", ACCEPTED)]
        assert settle(*rows) == [("a", "", CONFLICT), ("c", "U", ACCEPTED)]

    @pytest.mark.parametrize("status", [HELD, REJECTED])
    def test_a_label_that_is_not_accepted_is_no_conflict(self, status: str) -> None:
        rows = [("a", "1", "P", ACCEPTED), ("b", "1", "U", status)]
        assert settle(*rows) == [("a", "P", ACCEPTED)]

    def test_a_conflict_ends_when_one_of_its_files_is_rejected(self) -> None:
        rows = [("a", "1", "P", ACCEPTED), ("b", "1", "U", ACCEPTED), ("b", "1", "U", REJECTED)]
        assert settle(*rows) == [("a", "P", ACCEPTED)]

    def test_only_accepted_images_are_selected(self) -> None:
        log = tabulate(
            ("a", "1", "P", HELD),
            ("b", "2", "P", ACCEPTED),
            ("c", "3", "P", ACCEPTED),
            ("d", "3", "U", ACCEPTED),
        )
        selected = index.select_accepted(log)
        assert selected["path"].tolist() == ["b"]
        assert selected.index.tolist() == [0]
        assert selected.columns.tolist() == log.columns.tolist()


class TestStatedLabels:
    def test_the_label_that_was_stated_last_holds_for_the_content(self) -> None:
        rows = [
            ("a", "1", "P", ACCEPTED),
            ("b", "2", "P", ACCEPTED),
            ("a", "1", "U", STATED),
            ("a", "1", "V", STATED),
        ]
        assert settle(*rows) == [("a", "V", ACCEPTED), ("b", "P", ACCEPTED)]

    def test_it_holds_for_files_that_come_later_and_after_new_answers_about_a_batch(self) -> None:
        rows = [
            ("a", "1", "P", ACCEPTED),
            ("a", "1", "U", STATED),
            ("a", "1", "P", REJECTED),
            ("a", "1", "P", ACCEPTED),
            ("b", "1", "P", ACCEPTED),
        ]
        assert settle(*rows) == [("a", "U", ACCEPTED)]

    def test_a_conflict_ends_when_the_label_is_stated(self) -> None:
        conflict = [("a", "1", "P", ACCEPTED), ("b", "1", "U", ACCEPTED)]
        assert settle(*conflict, ("a", "1", "U", STATED)) == [("a", "U", ACCEPTED)]
        pair = [("a", "1", "P", CONFLICT), ("b", "1", "U", CONFLICT)]
        assert settle(*pair) == [("a", "", CONFLICT)]
        assert settle(*pair, ("a", "1", "U", STATED)) == [("a", "U", ACCEPTED)]

    def test_a_statement_without_a_label_takes_back_what_was_stated(self) -> None:
        rows = [("a", "1", "P", ACCEPTED), ("a", "1", "U", STATED), ("a", "1", "", STATED)]
        assert settle(*rows) == [("a", "P", ACCEPTED)]

    @pytest.mark.parametrize("status", [HELD, REJECTED])
    def test_a_statement_changes_no_status(self, status: str) -> None:
        rows = [("a", "1", "P", status), ("a", "1", "U", STATED)]
        assert settle(*rows) == [("a", "U", status)]

    def test_who_stated_it_is_who_labelled_the_image(self) -> None:
        log = tabulate(("a", "1", "P", ACCEPTED), ("a", "1", "U", STATED))
        log = log.assign(labelled_by=["Osei", "Ada"], labelled_on=["2026-11-20", "2026-11-27"])
        (row,) = index.settle_index(log).to_dict("records")
        assert (row["labelled_by"], row["labelled_on"]) == ("Ada", "2026-11-27")
        assert row["first_seen"] == "2026-11-22"


class TestProposedLabels:
    def test_a_proposal_changes_nothing_while_another_file_is_accepted(self) -> None:
        rows = [("a", "1", "P", ACCEPTED), ("b", "1", "U", PROPOSED)]
        assert settle(*rows) == [("a", "P", ACCEPTED)]
        assert settle(*rows[::-1]) == [("a", "P", ACCEPTED)]

    def test_a_proposal_holds_once_nothing_contradicts_it(self) -> None:
        rows = [("a", "1", "P", ACCEPTED), ("b", "1", "U", PROPOSED), ("a", "1", "P", REJECTED)]
        assert settle(*rows) == [("b", "U", ACCEPTED)]
        assert settle(*rows[1:2]) == [("b", "U", ACCEPTED)]

    def test_a_proposal_about_a_conflict_leaves_it_one(self) -> None:
        proposal = ("c", "1", "U", PROPOSED)
        for status in (ACCEPTED, CONFLICT):
            rows = [("a", "1", "P", status), ("b", "1", "U", status), proposal]
            assert settle(*rows) == [("a", "", CONFLICT)]

    def test_a_batch_that_contradicts_itself_takes_nothing_out(self) -> None:
        pair = [("b", "1", "P", CONFLICT), ("c", "1", "U", CONFLICT)]
        assert settle(("a", "1", "P", ACCEPTED), *pair) == [("a", "P", ACCEPTED)]


STATUSES = (ACCEPTED, HELD, REJECTED)
FILES = st.lists(
    st.tuples(st.sampled_from("123"), st.sampled_from("PU"), st.sampled_from(STATUSES)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(files=FILES, earlier=st.lists(st.sampled_from(STATUSES), max_size=8), data=st.data())
def test_what_counts_depends_on_the_last_row_of_each_file_and_on_no_order(
    files: list[tuple[str, str, str]], earlier: list[str], data: st.DataObject
) -> None:
    last = [(f"f{n}", content, label, status) for n, (content, label, status) in enumerate(files)]
    before = [(*row[:3], status) for row, status in zip(last, earlier, strict=False)]
    order = data.draw(st.permutations(last))

    settled = index.settle_index(tabulate(*before, *order)).set_index("image_id")

    assert settled.index.is_unique
    for content in {content for content, _, _ in files}:
        found = settled.loc[content]
        of_content = [(label, status) for other, label, status in files if other == content]
        labels = {label for label, status in of_content if status == ACCEPTED}
        if len(labels) > 1:
            assert (found["label"], found["status"]) == ("", CONFLICT)
        else:
            status = min((status for _, status in of_content), key=STATUSES.index)
            assert (found["label"], found["status"]) in of_content
            assert found["status"] == status


class TestSmallSteps:
    def test_usable_files_are_those_without_a_refusal_once_per_label(self) -> None:
        files = pd.DataFrame(
            {
                "path": ["a", "b", "c", "d", "e"],
                "image_id": ["1", "1", "1", "2", "3"],
                "label": ["P", "P", "U", "U", "U"],
                "refusal": ["", "", "", "empty", ""],
            }
        )
        assert index.select_usable(files)["path"].tolist() == ["a", "c", "e"]
        assert index.select_usable(files.drop(index=[1, 2]))["path"].tolist() == ["a", "e"]

    def test_rows_are_joined_only_where_there_is_something_to_join(self) -> None:
        one, two = pd.DataFrame({"n": [1]}, index=[7]), pd.DataFrame({"n": [2, 3]}, index=[7, 8])
        empty = one.head(0)
        assert index.join_rows([empty, one]) is one
        assert index.join_rows([empty, empty]) is empty
        joined = index.join_rows([one, empty, two])
        assert joined["n"].tolist() == [1, 2, 3]
        assert joined.index.tolist() == [0, 1, 2]

    def test_the_last_row_of_each_value_is_found_in_the_order_of_the_first(self) -> None:
        assert index.locate_last(pd.Series(list("baabc"))).tolist() == [3, 2, 4]
        assert index.locate_last(pd.Series([], dtype=str)).tolist() == []

    def test_classes_are_those_configured_or_those_found_sorted(self) -> None:
        images = pd.DataFrame({"label": ["ring", "healthy", "ring"]})
        assert index.name_classes(images, ["z", "a"]) == ["a", "z"]
        assert index.name_classes(images, None) == ["healthy", "ring"]
        assert index.name_classes(images, []) == ["healthy", "ring"]


def inspect(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["path", "label", "image_id", "refusal"])


class TestQuarantine:
    NOBODY = tabulate(("other/x", "9", "P", ACCEPTED))

    def test_refused_files_are_listed_with_the_reason(self) -> None:
        batch = inspect(("b/1", "P", "1", ""), ("b/2", "U", "2", "the file is empty"))
        for listed in (
            index.describe_quarantine(batch, self.NOBODY),
            index.describe_refusals(batch),
        ):
            assert listed.to_dict("records") == [
                {"path": "b/2", "label": "U", "image_id": "2", "reason": "the file is empty"}
            ]
            assert listed.index.tolist() == [0]

    def test_a_repeated_content_is_a_duplicate_of_the_file_that_counts(self) -> None:
        batch = inspect(
            ("b/0", "P", "0", "the file is empty"), ("b/1", "P", "1", ""), ("b/2", "P", "2", "")
        )
        others = tabulate(("a/1", "1", "P", ACCEPTED), ("a/3", "3", "P", ACCEPTED))
        listed = index.describe_quarantine(batch, others)
        assert listed[["path", "reason"]].to_numpy().tolist() == [
            ["b/0", "the file is empty"],
            ["b/1", "duplicate of a/1"],
        ]
        assert listed.index.tolist() == [0, 1]
        assert listed.columns.tolist() == index.QUARANTINE_COLUMNS

    @pytest.mark.parametrize("label", ["P", "U"])
    def test_to_deliver_everything_again_costs_little(self, label: str) -> None:
        ids = [str(number) for number in range(4000)]
        known = tabulate(*((f"a/{name}", name, "P", ACCEPTED) for name in ids))
        batch = inspect(*((f"b/{name}", label, name, "") for name in ids))
        began = time.process_time()
        assert len(index.describe_quarantine(batch, known)) == len(ids)
        assert time.process_time() - began < 5  # a tenth of a second, and not a minute

    def test_a_content_repeated_within_the_batch_is_a_duplicate_of_its_first_file(self) -> None:
        batch = inspect(("b/1", "P", "1", ""), ("b/2", "P", "1", ""), ("b/3", "P", "3", ""))
        listed = index.describe_quarantine(batch, self.NOBODY)
        assert listed[["path", "reason"]].to_numpy().tolist() == [["b/2", "duplicate of b/1"]]

    @pytest.mark.parametrize("status", [HELD, REJECTED])
    def test_a_file_that_does_not_count_has_no_duplicates(self, status: str) -> None:
        batch = inspect(("b/1", "P", "1", ""))
        assert index.describe_quarantine(batch, tabulate(("a/1", "1", "P", status))).empty

    def test_what_the_log_says_of_a_file_last_holds(self) -> None:
        batch = inspect(("b/1", "P", "1", ""))
        others = tabulate(("a/1", "1", "P", ACCEPTED), ("a/1", "1", "P", REJECTED))
        assert index.describe_quarantine(batch, others).empty
        listed = index.describe_quarantine(batch, others.iloc[::-1])
        assert listed["reason"].tolist() == ["duplicate of a/1"]

    def test_a_file_whose_content_has_another_label_names_the_one_that_has_it(self) -> None:
        batch = inspect(("b/1", "U", "1", ""), ("b/2", "U", "2", ""))
        listed = index.describe_quarantine(batch, tabulate(("a/1", "1", "P", ACCEPTED)))
        told = "the same image has more than one label: a/1 (P), b/1 (U). It keeps the label P"
        assert listed[["path", "label", "reason"]].to_numpy().tolist() == [["b/1", "U", told]]

    def test_a_content_that_has_lost_its_label_names_all_files(self) -> None:
        lost = tabulate(("a/1", "1", "P", ACCEPTED), ("c/1", "1", "U", ACCEPTED))
        listed = index.describe_quarantine(inspect(("b/1", "U", "1", "")), lost)
        told = "the same image has more than one label: a/1 (no label), b/1 (U)"
        assert listed["reason"].tolist() == [told, told]

    def test_a_conflict_within_the_batch_names_both_files(self) -> None:
        batch = inspect(("b/1", "P", "1", ""), ("b/2", "U", "1", ""))
        listed = index.describe_quarantine(batch, self.NOBODY)
        told = "the same image has more than one label: b/1 (P), b/2 (U)"
        assert listed[["path", "label", "reason"]].to_numpy().tolist() == [
            ["b/1", "P", told],
            ["b/2", "U", told],
        ]
        assert listed.index.tolist() == [0, 1]

    def test_a_file_with_the_label_that_was_stated_is_a_duplicate(self) -> None:
        known = tabulate(("a/1", "1", "P", ACCEPTED), ("a/1", "1", "U", STATED))
        listed = index.describe_quarantine(inspect(("b/1", "U", "1", "")), known)
        assert listed["reason"].tolist() == ["duplicate of a/1"]


def tabulate_images() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image_id": ["1", "2", "3", "4"],
            "label": ["P", "U", "P", "U"],
            "split": ["train", "train", "test", "validation"],
            "patient": ["C1", "C1", "C2", "C3"],
            "captured_on": ["2015-06-01", "2015-06-09", "", "2015-06-03"],
            "batch": ["b", "a", "b", "a"],
        }
    )


class TestDigest:
    def test_the_order_of_the_rows_does_not_matter(self) -> None:
        images = tabulate_images()
        digest = index.digest_images(images)
        assert digest == index.digest_images(images.iloc[[2, 0, 3, 1]])
        assert len(digest) == 32
        assert set(digest) <= set("0123456789abcdef")

    @pytest.mark.parametrize("column", ["image_id", "label", "split"])
    def test_any_change_of_image_label_or_split_changes_it(self, column: str) -> None:
        changed = tabulate_images()
        changed.loc[1, column] = "other"
        assert index.digest_images(changed) != index.digest_images(tabulate_images())

    def test_it_stays_what_it_was_for_models_that_were_registered_with_it(self) -> None:
        text = "1 P train\n2 U train\n3 P test\n4 U validation"
        assert (
            index.digest_images(tabulate_images()) == hashlib.sha256(text.encode()).hexdigest()[:32]
        )


class TestSummary:
    def test_images_and_patients_are_counted_by_split_and_class(self) -> None:
        images = tabulate_images()
        summary = index.summarise_images(images, ["P", "U"])
        assert summary == {
            "data_digest": index.digest_images(images),
            "images": 4,
            "patients": 3,
            "captured_until": "2015-06-09",
            "batches": ["a", "b"],
            "splits": {
                "train": {
                    "digest": index.digest_images(images.iloc[:2]),
                    "images": 2,
                    "patients": 1,
                    "classes": {"P": 1, "U": 1},
                },
                "validation": {
                    "digest": index.digest_images(images.iloc[3:]),
                    "images": 1,
                    "patients": 1,
                    "classes": {"P": 0, "U": 1},
                },
                "test": {
                    "digest": index.digest_images(images.iloc[2:3]),
                    "images": 1,
                    "patients": 1,
                    "classes": {"P": 1, "U": 0},
                },
            },
        }

    def test_no_images_were_captured_until_no_day(self) -> None:
        assert index.summarise_images(tabulate_images().head(0), ["P"])["captured_until"] == ""
