"""The list of members of a zip lies where Python reads it."""

from __future__ import annotations

import io
import zipfile

import pytest

from image_classification.vendor.zipfile import locate_members


@pytest.mark.parametrize("before", [b"", b"MZ a program that unpacks itself"])
@pytest.mark.parametrize("comment", [b"", b"of the zip"])
@pytest.mark.parametrize("large", [False, True])
def test_it_is_found_whatever_stands_around_it(
    monkeypatch: pytest.MonkeyPatch, before: bytes, comment: bytes, large: bool
) -> None:
    if large:
        monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("P/1.png", b"1")
        archive.writestr("P/2.png", b"2")
        archive.comment = comment
    file = io.BytesIO(before + file.getvalue())
    assert (b"PK\6\6" in file.getvalue()) == large
    start, size = locate_members(file)
    with zipfile.ZipFile(file) as archive:
        assert start == archive.start_dir
    assert file.getvalue()[start : start + 4] == b"PK\1\2"
    assert size == 2 * 53


def test_what_is_no_zip_has_no_list() -> None:
    assert locate_members(io.BytesIO(b"PK")) == (0, 0)
