"""Tables that people write: what a cell is, and of which row it is."""

from __future__ import annotations

import pytest

from image_classification.intake.sheet import Row, read_sheet


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfA;B\r\n1;2\r\n",
        b" a \tB\n1\t2\n",
        b"a,b,\n1,2,\n,,\n\n ,\n",
        b"a,b\n1,2,,\n",
        b"a,b\r1,2\r",
        b'"a","b"\n"1","2"\n',
        "a\tb\r\n1\t2\r\n".encode("utf-16"),
    ],
    ids=["Excel", "tabs", "empty rows", "empty cells", "old Macs", "quoted", "Unicode of Windows"],
)
def test_tables_of_every_making_are_read(content: bytes) -> None:
    columns, rows = read_sheet(content)
    assert columns == ["a", "b"]
    assert list(rows) == [Row(2, {"a": "1", "b": "2"})]


def test_a_cell_may_hold_a_line_end_a_delimiter_and_any_byte() -> None:
    _, rows = read_sheet(b'a,b\n"1\n2","3,""4"\n\xe9\0,\'=5\n')
    assert list(rows) == [
        Row(3, {"a": "1\n2", "b": '3,"4'}),
        Row(4, {"a": "\\xe9\0", "b": "=5"}),
    ]


def test_a_row_that_cannot_be_read_keeps_its_line_and_the_next_is_read() -> None:
    _, rows = read_sheet(b"a,b\n1,2,3\n4\n" + b"5" * 200_000 + b',6\n7,8\n9,"')
    found = list(rows)
    assert [row.line for row in found] == [2, 3, 4, 5, 6]
    assert [row.cells for row in found] == [{}, {"a": "4", "b": ""}, {}, {"a": "7", "b": "8"}, {}]
    assert found[0].fault == "3 columns: the header has 2"
    assert all("the line cannot be read: " in found[number].fault for number in (2, 4))


@pytest.mark.parametrize("content", [b"a,b,A\n", b'"a'])
def test_what_is_no_table_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"two columns of one name|unexpected end of data"):
        read_sheet(content)


def test_an_empty_file_has_no_columns() -> None:
    columns, rows = read_sheet(b"")
    assert (columns, list(rows)) == ([], [])
