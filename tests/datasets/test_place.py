"""Which places may be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from image_classification.datasets.place import find_allowed, find_local_path

WEB = "https://images.example.org/cells"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder `in` that may be read, and beside it one that may not."""
    for name in ("in/sub/1.png", "in-side/1.png", "out/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    (tmp_path / "in/link.png").symlink_to("../out/1.png")
    (tmp_path / "in/folder").symlink_to("../out")
    (tmp_path / "in/home.png").symlink_to("sub/1.png")
    (tmp_path / "linked").symlink_to("in")
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        *("in", "in/", "in/sub/1.png", "in/home.png", "in/sub/../sub/1.png"),
        *("out/../in/sub/1.png", "linked/sub/1.png", "in/gone.png"),
    ],
)
@pytest.mark.parametrize("protocol", ["", "file://", "FILE://", "local://"])
def test_a_path_within_a_folder_is_allowed(root: Path, name: str, protocol: str) -> None:
    for folder in ("in", "in/", "linked"):
        found = find_allowed(f"{protocol}{root}/{name}", ["/nowhere", f"{root}/{folder}"])
        assert found == f"{os.path.realpath(root)}/in"


@pytest.mark.parametrize(
    "name",
    [
        *(".", "in-side/1.png", "out/1.png", "in/link.png", "in/folder/1.png", "in/../out/1.png"),
        *("in/sub/../../out/1.png", "in/sub/1.png\0", "in/\0/../../out"),
    ],
)
@pytest.mark.parametrize("protocol", ["", "file://"])
def test_a_path_that_leads_out_of_it_is_not(root: Path, name: str, protocol: str) -> None:
    assert find_allowed(f"{protocol}{root}/{name}", [f"{root}/in", WEB]) is None


def test_whoever_allows_the_root_allows_every_file(root: Path) -> None:
    assert find_allowed(f"{root}/in/link.png", ["/"]) == "/"
    assert find_allowed("s3://bucket/1.png", ["/"]) is None


@pytest.mark.parametrize(
    "url",
    [
        *(WEB, f"{WEB}/", f"{WEB}/1.png", f"{WEB}/sub//1.png?size=2", f"{WEB}/a%20b.png"),
        *("HTTPS://Images.Example.org/cells/1.png", f"{WEB}/1..2.png"),
    ],
)
def test_a_url_that_begins_with_an_allowed_one_is_allowed(url: str) -> None:
    for allowed in (WEB, f"{WEB}/"):
        assert find_allowed(url, ["/in", allowed]) == WEB


@pytest.mark.parametrize(
    "url",
    [
        "https://images.example.org/other/1.png",
        "https://images.example.org/cells-2/1.png",
        "https://images.example.org/Cells/1.png",
        "https://images.example.org@evil.org/cells/1.png",
        "https://images.example.org.evil.org/cells/1.png",
        "http://images.example.org/cells/1.png",
        "s3://images.example.org/cells/1.png",
        f"{WEB}/../other/1.png",
        f"{WEB}/%2e%2e/other/1.png",
        f"{WEB}/%252e%252e/other/1.png",
        f"{WEB}/..\\other/1.png",
        f"{WEB}/\t1.png",
        f"{WEB}\n/1.png",
        f"zip://1.png::{WEB}/cells.zip",
        f"{WEB}/1.png::file:///etc/passwd",
        "file://x::/in/1.png",
        "/in::x/1.png",
        f"{WEB}/%{'25' * 500_000}",
        "https://",
        "://in",
    ],
)
def test_a_url_that_only_looks_like_it_is_not(url: str) -> None:
    assert find_allowed(url, ["/in", WEB]) is None


def test_a_bucket_is_allowed_up_to_a_slash() -> None:
    assert find_allowed("s3://bucket/cells/1.png", ["s3://bucket"]) == "s3://bucket"
    assert find_allowed("s3://bucket-2/cells/1.png", ["s3://bucket"]) is None
    assert find_allowed("s3://bucket/cells/1.png", ["s3://bucket/cells/1"]) is None


@pytest.mark.parametrize(
    ("place", "path"),
    [
        ("/1.png", "/1.png"),
        ("cells/1.png", "cells/1.png"),
        ("file:///1.png", "/1.png"),
        ("File:///1.png", "/1.png"),
        ("file:///1.zip::zip://2.png", None),
        ("s3://bucket/1.png", None),
        ("://etc/passwd", "://etc/passwd"),
    ],
)
def test_a_path_of_this_machine_is_told_from_others(place: str, path: str | None) -> None:
    assert find_local_path(place) == path
