"""What is asked for when labels are wrong: read line by line, judged one by one."""

from __future__ import annotations

import pandas as pd
import pytest

from image_classification.errors import DataError
from image_classification.intake.index import ACCEPTED, CONFLICT, PROPOSED, STATED
from image_classification.intake.request import Relabelling, Request, group_changes, read_requests

FIRST, SECOND = "1" * 64, "2" * 64


def tabulate(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    """Return a log: path, content, label and status of each row."""
    log = pd.DataFrame(rows, columns=["path", "image_id", "label", "status"])
    return log.assign(first_seen="", image_name=log["path"].str.rpartition("/")[2], batch="a")


LOG = tabulate(("a/P/1.png", FIRST, "P", ACCEPTED), ("a/U/2.png", SECOND, "U", ACCEPTED))


def judge(image: str, label: str = "U", reason: str = "typo", log: pd.DataFrame = LOG) -> object:
    return Relabelling(log, ["P", "U"]).judge(Request(image, label, reason))


class TestList:
    def test_rows_are_read_with_their_lines_and_the_common_reason(self) -> None:
        content = b"image,label,reason\na.png,P,\nb.png,U,a ring\n"
        assert read_requests(content, "slide 7") == [
            Request("a.png", "P", "slide 7", 2),
            Request("b.png", "U", "a ring", 3),
        ]

    @pytest.mark.parametrize(
        "content",
        [
            b"\xef\xbb\xbfImage;Label\r\na.png;P\r\n",
            b"label\timage\nP\ta.png\n",
            b"note, image , label\nx, a.png , P\n\n",
        ],
        ids=["Excel", "tabs", "more columns and spaces"],
    )
    def test_tables_of_every_making_are_read(self, content: bytes) -> None:
        assert read_requests(content, "r") == [Request("a.png", "P", "r", 2)]

    def test_a_line_that_cannot_be_read_keeps_its_reason(self) -> None:
        content = b"image,label\na.png,P,x\nb.png\n" + b"c" * 200_000 + b",P\nd.png,U\n"
        requests = read_requests(content, "r")
        assert [request.line for request in requests] == [2, 3, 4, 5]
        assert requests[0].fault == "3 columns: the header has 2"
        assert (requests[1].image, requests[1].label) == ("b.png", "")
        assert requests[2].fault.startswith("the line cannot be read")
        assert requests[3] == Request("d.png", "U", "r", 5)

    def test_a_cell_that_was_kept_from_a_spreadsheet_is_restored(self) -> None:
        (request,) = read_requests(b"image,label\n'=1.png,P\n", "r")
        assert request.image == "=1.png"

    def test_bytes_that_are_not_utf8_are_written_as_in_the_index(self) -> None:
        (request,) = read_requests(b"image,label\nh\xe9.png,P\n", "r")
        assert request.image == r"h\xe9.png"

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "no column image, label: .* received nothing"),
            (b"image,class\n", "no column label: .* received image, class"),
            (b"image,label\n", "no row below its header"),
        ],
    )
    def test_a_list_without_columns_or_rows_is_refused(self, content: bytes, message: str) -> None:
        with pytest.raises(DataError, match=message):
            read_requests(content, "r")


class TestJudgement:
    @pytest.mark.parametrize("image", [FIRST, FIRST[:8], "a/P/1.png", "1.png"])
    def test_an_image_is_named_by_digest_path_or_name(self, image: str) -> None:
        assert judge(image) == {
            "image_id": FIRST,
            "path": "a/P/1.png",
            "before": "P",
            "after": "U",
        }

    @pytest.mark.parametrize(
        ("image", "label", "reason", "fault"),
        [
            ("3.png", "U", "typo", "there is no image '3.png'"),
            (FIRST[:7], "U", "typo", "there is no image"),
            ("", "U", "typo", "there is no image ''"),
            ("1.png", "u", "typo", "'u' is not a class: allowed are P, U."),
            ("1.png", "", "typo", "'' is not a class"),
            ("1.png", "U", " ", "it has no reason"),
            ("1.png", "P", "typo", "'1.png' is P already"),
        ],
    )
    def test_what_cannot_be_done_is_said(
        self, image: str, label: str, reason: str, fault: str
    ) -> None:
        assert str(judge(image, label, reason)).startswith(fault)

    def test_a_name_of_several_images_is_refused_with_their_paths(self) -> None:
        log = tabulate(("a/P/1.png", FIRST, "P", ACCEPTED), ("b/P/1.png", SECOND, "P", ACCEPTED))
        assert judge("1.png", log=log) == (
            "'1.png' names 2 images (a/P/1.png, b/P/1.png …): name one by its path"
        )

    def test_several_files_of_one_image_are_one(self) -> None:
        log = tabulate(("a/P/1.png", FIRST, "P", ACCEPTED), ("b/P/1.png", FIRST, "P", ACCEPTED))
        assert isinstance(judge("1.png", log=log), dict)

    def test_the_line_of_a_list_that_cannot_be_read_says_so(self) -> None:
        assert Relabelling(LOG, ["P"]).judge(Request("", "", "", 3, "torn")) == "torn"

    def test_an_image_is_given_one_label_by_one_list(self) -> None:
        relabelling = Relabelling(LOG, ["P", "U", "V"])
        assert isinstance(relabelling.judge(Request("1.png", "U", "typo", 2)), dict)
        again = relabelling.judge(Request(FIRST, "V", "typo", 3))
        assert again == "line 2 gives the same image a label"

    @pytest.mark.parametrize("status", [ACCEPTED, CONFLICT])
    def test_an_image_in_conflict_may_get_either_label(self, status: str) -> None:
        log = tabulate(("a/P/1.png", FIRST, "P", status), ("a/U/1.png", FIRST, "U", status))
        for label in ("P", "U"):
            found = judge("1.png", label, log=log)
            assert isinstance(found, dict)
            assert (found["before"], found["after"]) == ("", label)

    def test_a_label_that_is_contradicted_may_be_confirmed(self) -> None:
        log = tabulate(("a/P/1.png", FIRST, "P", ACCEPTED), ("b/U/x.png", FIRST, "U", PROPOSED))
        found = judge("x.png", "P", log=log)
        assert isinstance(found, dict)
        assert (found["before"], found["after"]) == ("P", "P")

    def test_what_was_stated_before_is_what_it_has(self) -> None:
        log = pd.concat([LOG, tabulate(("a/P/1.png", FIRST, "U", STATED))])
        assert judge("1.png", "U", log=log) == "'1.png' is U already"

    def test_classes_compare_in_one_unicode_form(self) -> None:
        relabelling = Relabelling(LOG, ["ge\u0301ant"])
        found = relabelling.judge(Request("1.png", "g\u00e9ant", "typo"))
        assert isinstance(found, dict)
        assert found["after"] == "ge\u0301ant"


def test_changes_are_grouped_by_their_reason() -> None:
    relabelling = Relabelling(LOG, ["P", "U"])
    requests = [Request("1.png", "U", "typo"), Request("2.png", "P", "ring")]
    changes = [(request, relabelling.judge(request)) for request in requests]
    records = group_changes(changes, "Ada", "monday")  # type: ignore[arg-type]
    assert list(records) == ["typo", "ring"]
    assert {record["by"] for record in records.values()} == {"Ada"}
    assert [record["labels"][0]["image_id"] for record in records.values()] == [FIRST, SECOND]
