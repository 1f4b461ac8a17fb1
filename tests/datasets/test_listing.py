"""Folders and lists of images to score, on a disk and on an object store."""

from __future__ import annotations

import io
import logging

import pandas as pd
import pytest

from image_classification.datasets.file import open_filesystem, write_whole
from image_classification.datasets.listing import LIST_COLUMNS, find_folder, list_folder, read_list
from image_classification.errors import DataError


def put(root: str, name: str, content: bytes) -> str:
    """Write a file below a root; return its path as its filesystem names it."""
    filesystem, path = open_filesystem(root)
    write_whole(filesystem, f"{path}/{name}", content)
    return f"{path}/{name}"


def read(root: str, name: str, content: bytes) -> pd.DataFrame:
    return read_list(open_filesystem(root)[0], put(root, name, content))


@pytest.mark.parametrize(
    ("place", "folder"),
    [("a/cells.CSV", "a"), ("cells.txt", "."), ("a/cells", "a/cells"), ("a.csv/", "a.csv/")],
)
def test_the_folder_of_a_list_is_where_it_lies(place: str, folder: str) -> None:
    assert find_folder(place) == folder


def test_a_folder_lists_its_images_and_says_what_it_leaves_out(
    root: str, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("b/2.PNG", "a/1.jpg", "notes.txt"):
        put(root, name, b"x")
    filesystem, path = open_filesystem(root)
    with caplog.at_level(logging.WARNING):
        listed = list_folder(filesystem, path)
    assert listed["image_name"].tolist() == ["a/1.jpg", "b/2.PNG"]
    assert [place.endswith(("/a/1.jpg", "/b/2.PNG")) for place in listed["path"]] == [True, True]
    assert ".txt" in caplog.text


def test_a_folder_without_images_is_refused_with_what_was_found(root: str) -> None:
    put(root, "notes.txt", b"x")
    filesystem, path = open_filesystem(root)
    with pytest.raises(
        DataError, match=r"holds no image: .*found 1 other files.*inference\.images"
    ):
        list_folder(filesystem, path)


TABLE = pd.DataFrame({"path": ["1.png", "s3://bucket/2.png"], "image_name": ["one", ""]})


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".CSV"])
def test_a_table_names_images_beside_it_and_elsewhere(root: str, suffix: str) -> None:
    buffer = io.BytesIO()
    if suffix == ".parquet":
        TABLE.to_parquet(buffer)
    else:
        TABLE.to_csv(buffer, index=False)
    listed = read(root, f"cells{suffix}", buffer.getvalue())
    assert list(listed) == LIST_COLUMNS
    # An image without a name is named by its path.
    assert listed["image_name"].tolist() == ["one", "s3://bucket/2.png"]
    assert listed["path"][0].endswith("/1.png")
    assert listed["path"][1] == "s3://bucket/2.png"


def test_cells_that_a_spreadsheet_leaves_empty_move_no_path(root: str) -> None:
    listed = read(root, "cells.csv", b"path,image_name\n1.png,a,\n2.png,b,\n")
    assert listed["image_name"].tolist() == ["a", "b"]
    assert [path.rpartition("/")[2] for path in listed["path"]] == ["1.png", "2.png"]


def test_lines_of_a_text_file_are_paths_and_empty_ones_are_none(root: str) -> None:
    listed = read(root, "cells.txt", "\ufeff1.png\n\n  2.png \n".encode())
    assert listed["image_name"].tolist() == ["1.png", "2.png"]


def test_a_line_of_a_text_file_ends_where_lines_end(root: str) -> None:
    names = ["a\u2028b.png", "c\x0bd.png", "e\x1cf.png", "g\x85h.png"]
    for end in ("\n", "\r\n", "\r"):
        for encoding in ("utf-8", "utf-16"):
            listed = read(root, "cells.txt", end.join(names).encode(encoding))
            assert listed["image_name"].tolist() == names


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cells.json", b"[]", r"ends in '\.json', and no folder"),
        ("cells.parquet", b"no parquet", r"cannot be read as \.parquet"),
        ("cells.txt", b"\xff\xfe", "is empty"),
        ("cells.csv", b"image\n1.png\n", r"no column 'path'. Received columns: image"),
        ("cells.csv", b"path\n", "is empty"),
        ("cells.csv", b"path,image_name\na,1.png,x\n", "line 2: 3 columns: the header has 2"),
        ("cells.csv", b"path,image_name\n1.png,a\n,b\n", "1 rows without a path, first row 2"),
    ],
)
def test_a_list_that_says_nothing_certain_is_refused_with_the_reason(
    root: str, name: str, content: bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(root, name, content)
