"""The table of labels of a batch: where it lies, and what stands in it."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest
from samples import fill_folder

from image_classification.datasets import label as module
from image_classification.datasets.label import find_labels, parse_labels, read_labels
from image_classification.errors import DataError

LOCAL = fsspec.filesystem("file")


@pytest.mark.parametrize("name", ["labels.csv", "Labels.CSV", "wrapped/LABELS.csv"])
def test_it_is_found_in_capitals_and_in_the_folder_of_an_archive(tmp_path: Path, name: str) -> None:
    fill_folder(tmp_path, {name: b"", "wrapped/P/labels.csv": b"", "wrapped/x.png": b""})
    assert find_labels(LOCAL, str(tmp_path)) == name


def test_it_is_found_in_an_object_store() -> None:
    store = fsspec.filesystem("memory")
    store.pipe_file("/drop/b/P/Labels.csv", b"")
    assert find_labels(store, "/drop/b") == "P/Labels.csv"
    assert find_labels(store, "/drop/c") is None


def test_of_several_spellings_the_usual_one_is_it() -> None:
    store = fsspec.filesystem("memory")  # some disks take them for one
    for name in ("LABELS.csv", "labels.CSV", "labels.csv"):
        store.pipe_file(f"/several/{name}", b"")
    assert find_labels(store, "/several") == "labels.csv"
    store.rm_file("/several/labels.csv")
    assert find_labels(store, "/several") == "LABELS.csv"


def test_no_link_is_followed_to_find_it(tmp_path: Path) -> None:
    fill_folder(tmp_path, {"out/labels.csv": b"", "b/P/x.png": b""})
    (tmp_path / "b" / "more").symlink_to(tmp_path / "out")
    assert find_labels(LOCAL, str(tmp_path / "b")) is None


def test_names_are_as_the_files_have_them_in_whatever_form_and_bytes() -> None:
    rows = ["a\u0308.png,Zoe\u0308,1".encode(), b"caf\xe9.png,Jos\xe9,2", b"'=x.png,'@me,3"]
    content = b"\xef\xbb\xbfImage_Name,labelled_by , LABELLED_ON\n" + b"\n".join(rows)
    labels = parse_labels(content)
    assert labels.columns.tolist() == ["image_name", "labelled_by", "labelled_on"]
    assert labels["image_name"].tolist() == ["\u00e4.png", r"caf\xe9.png", "=x.png"]
    assert labels["labelled_by"].tolist() == ["Zo\u00eb", r"Jos\xe9", "@me"]


def test_a_column_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="two columns of one name"):
        parse_labels(b"image_name,Image_name,labelled_by,labelled_on\na,b,c,d\n")


HEADER = b"image_name,labelled_by,labelled_on"


@pytest.mark.parametrize(
    "content",
    [
        HEADER + b",\nx.png,Ada,2026,\ny.png,Ada,2026,\n",
        HEADER + b"\nx.png,Ada,2026,\ny.png,Ada,2026,,\n",
        HEADER + b"\nx.png,Ada,2026\n,,\n\ny.png,Ada,2026\n,,\n",
        HEADER.replace(b",", b";") + b"\r\nx.png;Ada;2026\r\ny.png;Ada;2026\r\n",
    ],
)
def test_cells_and_rows_that_a_spreadsheet_leaves_empty_move_nothing(content: bytes) -> None:
    labels = read_labels(lambda: content, "b")
    assert labels.to_numpy().tolist() == [["x.png", "Ada", "2026"], ["y.png", "Ada", "2026"]]


def test_a_row_that_is_short_lacks_its_last_cells() -> None:
    assert parse_labels(HEADER + b"\nx.png,Ada\n").to_numpy().tolist() == [["x.png", "Ada", ""]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (HEADER + b"\na,b,c\nx,1.png,Ada,2026\n", "line 3: 4 columns: the header has 3"),
        (HEADER + b'\n"x.png,Ada,2026\n', "line 2: the line cannot be read: unexpected end"),
        (HEADER + b"\n" + b"x" * 2**18, "line 2: the line cannot be read: field larger than"),
        (b"", "its first line names no column"),
        (HEADER + bytes(100), "it is 134 bytes: at most 99 are allowed"),
    ],
)
def test_what_is_no_table_says_where_and_why(
    monkeypatch: pytest.MonkeyPatch, content: bytes, reason: str
) -> None:
    if content.endswith(b"\0\0"):
        monkeypatch.setattr(module, "MAXIMUM_BYTES", 99)
    with pytest.raises(DataError, match=rf"^labels\.csv of batch 'b' .*{reason}"):
        read_labels(lambda: content, "b")


def test_of_a_wrong_first_line_a_part_is_told() -> None:
    with pytest.raises(DataError) as raised:
        read_labels(lambda: b",".join(b"%d" % number for number in range(10_000)), "b")
    assert len(str(raised.value)) < 500
