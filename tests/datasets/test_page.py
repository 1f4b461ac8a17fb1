"""The pages of the nights, on a disk and in a store."""

from __future__ import annotations

from pathlib import Path

from image_classification.datasets.page import Pages


def test_a_page_is_read_as_it_was_written(root: str) -> None:
    pages = Pages(f"{root}/pages")
    assert pages.read("index.html") is None
    pages.write("index.html", "all nights: ä")
    pages.write("one.html", "one")
    pages.write("index.html", "all nights: é")
    assert pages.read("index.html") == "all nights: é"
    assert pages.read("one.html") == "one"


def test_a_page_is_located_as_a_path_or_an_address(tmp_path: Path) -> None:
    assert Pages(str(tmp_path)).locate("x.html") == f"{tmp_path}/x.html"
    assert Pages("memory:///pages").locate("x.html") == "memory:///pages/x.html"
