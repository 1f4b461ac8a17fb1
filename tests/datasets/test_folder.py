"""Image files below a folder: found, and read in order."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import fsspec
import pytest

from image_classification.datasets import folder
from image_classification.datasets.file import open_filesystem, write_whole
from image_classification.datasets.folder import (
    BROKEN_LINK,
    CLOSED_FOLDER,
    LINK_OUT,
    LINKED_FOLDER,
    find_files,
    list_images,
    read_files,
    try_read_files,
)
from image_classification.datasets.leftover import DEBRIS
from image_classification.errors import DataError


def test_files_on_a_disk_are_found_as_fsspec_finds_them(tmp_path: Path) -> None:
    for name in ("P/1.png", "P/.hidden/2.png", "top.png", "P/deep/er/3.png"):
        write_whole(fsspec.filesystem("file"), f"{tmp_path}/a/{name}", name.encode())
    (tmp_path / "a" / "link.png").symlink_to(tmp_path / "a" / "P" / "1.png")
    (tmp_path / "a" / "folder").symlink_to(tmp_path / "a" / "P")
    (tmp_path / "a" / "gone.png").symlink_to(tmp_path / "nowhere")
    filesystem, root = open_filesystem(f"{tmp_path}/a")

    found = find_files(filesystem, root)

    expected = filesystem.find(root, detail=True)
    assert [f"{root}/{path}" for path in found] == list(expected)
    for path, facts in found.items():
        told = expected[f"{root}/{path}"]
        assert (facts["size"], facts["mtime"]) == (told["size"], told["mtime"])
    kinds = {path: facts["kind"] for path, facts in found.items() if "kind" in facts}
    assert kinds == {"folder": LINKED_FOLDER, "gone.png": BROKEN_LINK}
    assert find_files(filesystem, f"{root}/absent") == {}


def put(root: str, *names: str) -> tuple[fsspec.AbstractFileSystem, str]:
    filesystem, path = open_filesystem(root)
    for name in names:
        write_whole(filesystem, f"{path}/{name}", name.encode())
    return filesystem, path


def test_files_are_found_by_their_path_below_the_folder(root: str) -> None:
    filesystem, path = put(f"{root}/cells", "b/2.png", "a/x/1.png", "top.png")
    found = find_files(filesystem, path)
    assert sorted(found) == ["a/x/1.png", "b/2.png", "top.png"]
    assert found["a/x/1.png"]["size"] == 9
    assert find_files(filesystem, f"{path}/absent") == {}


def test_a_file_that_comes_later_is_found(root: str) -> None:
    filesystem, path = put(f"{root}/cells", "1.png")
    find_files(filesystem, path)
    put(f"{root}/cells", "2.png")
    assert sorted(find_files(filesystem, path)) == ["1.png", "2.png"]


def test_images_are_listed_sorted_with_the_folder_they_lie_in(root: str) -> None:
    filesystem, path = put(f"{root}/cells", "w/U/2.PNG", "w/P/1.jpeg", "top.tif", "w/P/Thumbs.db")
    images, others = list_images(filesystem, path)
    assert images.to_dict("records") == [
        {"path": "top.tif", "image_name": "top.tif", "label": "", "size_bytes": 7},
        {"path": "w/P/1.jpeg", "image_name": "1.jpeg", "label": "P", "size_bytes": 10},
        {"path": "w/U/2.PNG", "image_name": "2.PNG", "label": "U", "size_bytes": 9},
    ]
    assert others == 1


@pytest.mark.parametrize(
    "name", [".hidden.png", ".trash/1.png", "P/.x/1.png", "__MACOSX/P/1.png", "P/__MACOSX/1.png"]
)
def test_hidden_files_are_no_images(root: str, name: str) -> None:
    images, others = list_images(*put(f"{root}/cells", name))
    assert (len(images), others) == (0, 1)
    assert images.columns.tolist() == ["path", "image_name", "label", "size_bytes"]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".TIFF"])
def test_each_kind_of_image_is_listed(root: str, suffix: str) -> None:
    images, _ = list_images(*put(f"{root}/cells", f"P/1{suffix}"))
    assert len(images) == 1


def test_a_file_of_no_size_is_one(tmp_path: Path) -> None:
    write_whole(*open_filesystem(f"{tmp_path}/P/1.png"), b"")
    images, _ = list_images(*open_filesystem(str(tmp_path)))
    assert images["size_bytes"].tolist() == [0]


def test_a_store_that_tells_no_size_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.filesystem("memory").store.clear()
    filesystem, path = put("memory://bucket/cells", "P/1.png")
    found = {f"{path}/P/1.png": {"size": None}}
    monkeypatch.setattr(type(filesystem), "find", lambda *_, **__: found)
    assert list_images(filesystem, path)[0]["size_bytes"].tolist() == [0]


def test_what_is_no_regular_file_is_found_with_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outside.png").write_bytes(b"1")
    folder = tmp_path / "a"
    folder.mkdir()
    os.mkfifo(folder / "pipe.png")
    monkeypatch.chdir(folder)
    socket.socket(socket.AF_UNIX).bind("socket.png")
    (folder / "own.png").write_bytes(b"12")
    (folder / "inside.png").symlink_to("own.png")
    (folder / "outside.png").symlink_to("../outside.png")
    (folder / "device.png").symlink_to("/dev/zero")
    (folder / "loop.png").symlink_to("loop.png")
    found = find_files(fsspec.filesystem("file"), str(folder))
    assert {path: facts.get("kind") for path, facts in found.items()} == {
        "device.png": "device",
        "inside.png": None,
        "loop.png": BROKEN_LINK,
        "outside.png": LINK_OUT,
        "own.png": None,
        "pipe.png": "pipe",
        "socket.png": "socket",
    }
    assert found["inside.png"]["size"] == 2


def test_a_folder_that_cannot_be_opened_is_found_and_no_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("P/1.png", "closed.png/2.png"):
        write_whole(fsspec.filesystem("file"), f"{tmp_path}/{name}", b"1")
    scan = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("closed.png"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    filesystem = fsspec.filesystem("file")
    found = find_files(filesystem, str(tmp_path))
    assert {path: facts.get("kind") for path, facts in found.items()} == {
        "P/1.png": None,
        "closed.png/": CLOSED_FOLDER,
    }
    assert list_images(filesystem, str(tmp_path))[0]["path"].tolist() == ["P/1.png"]


def test_folders_as_deep_as_a_disk_allows_are_walked(tmp_path: Path) -> None:
    place = str(tmp_path)
    for _ in range(1500):
        place += "/d"
        Path(place).mkdir()
    Path(f"{place}/1.png").write_bytes(b"1")
    assert len(find_files(fsspec.filesystem("file"), str(tmp_path))) == 1
    os.system(f"rm -rf '{tmp_path}/d'")  # noqa: S605 - pytest's own way to remove it recurses


class TestReading:
    def test_files_are_read_in_the_order_asked_for(self, root: str) -> None:
        place = put(f"{root}/cells", "P/1.png", "U/2.png")
        assert read_files(*place, ["U/2.png", "P/1.png"]) == [b"U/2.png", b"P/1.png"]

    def test_a_file_that_cannot_be_read_is_named_with_the_remedy(self, tmp_path: Path) -> None:
        place = put(str(tmp_path), "1.png")
        with pytest.raises(DataError) as raised:
            read_files(*place, ["1.png", "2.png"])
        assert str(raised.value).startswith(
            f"Image file '2.png' cannot be read from '{tmp_path}': "
        )
        assert str(raised.value).endswith(". Restore it, or give read access.")
        assert isinstance(raised.value.__cause__, FileNotFoundError)

    def test_why_a_file_cannot_be_read_is_told_in_its_place(self, root: str) -> None:
        place = put(f"{root}/cells", "1.png")
        missing, content = try_read_files(*place, ["2.png", "1.png"])
        assert isinstance(missing, FileNotFoundError)
        assert content == b"1.png"

    def test_a_disk_is_tried_without_threads_and_a_store_is_not(
        self, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = []

        def note(read: object, paths: object, readers: int, *, alone: bool) -> list[bytes]:
            asked.append((readers, alone))
            return []

        monkeypatch.setattr(folder, "read_in_parts", note)
        try_read_files(*put(f"{root}/cells", "1.png"), ["1.png"])
        assert asked == [(folder.READERS, not root.startswith("memory"))]


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("lost+found/", CLOSED_FOLDER, DEBRIS),
        ("P/", CLOSED_FOLDER, CLOSED_FOLDER),
        ("P/1.png", "", ""),
        ("P/._1.png", "", DEBRIS),
    ],
)
def test_a_closed_folder_of_the_disk_itself_is_debris(name: str, kind: str, told: str) -> None:
    assert folder._explain(name, {"kind": kind} if kind else {}) == told


@pytest.mark.parametrize(
    ("name", "leads_out"), [("P//1.png", True), ("P/../1.png", True), ("P/1.png", False)]
)
def test_a_name_of_a_store_that_is_no_path_leads_out(name: str, *, leads_out: bool) -> None:
    store = fsspec.filesystem("memory")
    below, facts = folder._name_below(store, "memory://a", f"/a/{name}", {"size": 1})
    assert below == name
    assert (facts.get("kind") == folder.LEADS_OUT) is leads_out
