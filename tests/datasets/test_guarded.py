"""Nothing outside a batch is opened or removed, whatever its owner puts in its place meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from samples import fill_folder

from image_classification.datasets import guarded as module
from image_classification.datasets.file import MAXIMUM_FILE_BYTES, NotRegularError
from image_classification.datasets.guarded import open_guarded, read_guarded, remove_guarded


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    fill_folder(tmp_path, {"in/b/P/1.png": b"1", "in/c/P/1.png": b"2", "out/P/1.png": b"3"})
    return tmp_path / "in"


def read(incoming: Path, path: str) -> bytes:
    return read_guarded(str(incoming / path), str(incoming / "b"))


def test_a_file_is_read_also_by_a_link_within_its_batch(incoming: Path) -> None:
    (incoming / "b" / "2.png").symlink_to("P/1.png")
    (incoming / "b" / "Q").symlink_to("P")
    (incoming.parent / "also").symlink_to(incoming)
    assert [read(incoming, f"b/{name}") for name in ("P/1.png", "2.png", "Q/1.png")] == [b"1"] * 3
    assert read(incoming.parent / "also", "b/P/1.png") == b"1"


def replace_file(incoming: Path) -> None:
    (incoming / "b" / "P" / "1.png").unlink()
    (incoming / "b" / "P" / "1.png").symlink_to("../../c/P/1.png")


def replace_folder(incoming: Path) -> None:
    (incoming / "b" / "P").rename(incoming.parent / "P")
    (incoming / "b" / "P").symlink_to(incoming.parent / "out" / "P")


def replace_batch(incoming: Path) -> None:
    (incoming / "b").rename(incoming.parent / "b")
    (incoming / "b").symlink_to(incoming.parent / "out")


REPLACED = pytest.mark.parametrize("replace", [replace_file, replace_folder, replace_batch])


@REPLACED
def test_what_was_replaced_by_a_link_out_of_the_batch_is_not_read(
    incoming: Path, replace: Callable[[Path], None]
) -> None:
    replace(incoming)
    with pytest.raises(NotRegularError, match="it is a link that leads out of its batch"):
        read(incoming, "b/P/1.png")


@REPLACED
def test_a_link_that_comes_once_the_way_was_looked_at_is_not_followed(
    incoming: Path, replace: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = os.path.realpath

    def resolve(path: str) -> str:
        resolved = sound(path)
        if path.endswith("1.png"):
            replace(incoming)
        return resolved

    monkeypatch.setattr(os.path, "realpath", resolve)
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        read(incoming, "b/P/1.png")


def test_a_zip_is_opened_as_it_is_and_a_pipe_in_its_place_at_once_refused(incoming: Path) -> None:
    (incoming / "b.zip").write_bytes(b"zip")
    place = str(incoming / "b.zip")
    with open_guarded(place, place) as file:
        assert file.read() == b"zip"
    (incoming / "b.zip").unlink()
    os.mkfifo(place)
    with pytest.raises(NotRegularError, match="it is a pipe"), open_guarded(place, place):
        pass
    (incoming / "b.zip").unlink()
    (incoming / "b.zip").symlink_to("c/P/1.png")
    with pytest.raises(NotRegularError, match="it is a link"), open_guarded(place, place):
        pass


def test_of_a_file_that_grows_no_more_is_read_than_shows_it(
    incoming: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = incoming / "b" / "P" / "1.png"
    sound = os.fstat

    def grow(handle: int) -> os.stat_result:
        status = sound(handle)
        place.write_bytes(b"1" * 99)
        return status

    monkeypatch.setattr(os, "fstat", grow)
    monkeypatch.setattr(module, "open_guarded", lambda *_: place.open("rb", buffering=0))
    assert len(read(incoming, "b/P/1.png")) <= 2


def test_a_hole_of_any_size_is_not_read(incoming: Path) -> None:
    with (incoming / "b" / "hole.png").open("wb") as file:
        file.truncate(MAXIMUM_FILE_BYTES + 1)
    with pytest.raises(NotRegularError, match=f"at most {MAXIMUM_FILE_BYTES} are allowed"):
        read(incoming, "b/hole.png")


@REPLACED
def test_nothing_is_removed_behind_a_link(incoming: Path, replace: Callable[[Path], None]) -> None:
    replace(incoming)
    remove_guarded(str(incoming / "b" / "P" / "1.png"), str(incoming))
    for kept in ("in/c/P/1.png", "out/P/1.png"):
        assert (incoming.parent / kept).exists()


def test_a_file_is_removed_and_nothing_else(incoming: Path) -> None:
    for path in ("b/P/1.png", "b/P/1.png", "b/P", "b/gone/1.png", "../out/P/1.png"):
        remove_guarded(str(incoming / path), str(incoming))
    assert list((incoming / "b").rglob("*")) == [incoming / "b" / "P"]
    assert (incoming.parent / "out" / "P" / "1.png").exists()
