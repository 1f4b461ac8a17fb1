"""A batch is copied back as it was delivered."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import fsspec
import pytest
from samples import fill_folder

from image_classification.datasets import ImageBatches, file, guarded
from image_classification.datasets.withdrawal import copy_batch
from image_classification.errors import DataError

FILES = {"P/1.png": b"1", "notes.txt": b"2", "labels.csv": b"3"}


@pytest.fixture
def batches(tmp_path: Path) -> ImageBatches:
    root = tmp_path / "images"
    fill_folder(root / "b", FILES | {"_BATCH.json": b"{}", "_READY": b""})
    return ImageBatches(str(root), fsspec.filesystem("file"))


def read(folder: Path) -> dict[str, bytes]:
    return {
        os.fsencode(path.relative_to(folder)).decode("latin-1"): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_all_files_but_the_markers_of_the_system_are_copied(
    batches: ImageBatches, tmp_path: Path
) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path / "images" / "b" / "P") + b"/caf\xe9.png")
    Path(odd).write_bytes(b"4")
    assert copy_batch(batches, "b", tmp_path / "new" / "b") == (4, {})
    assert read(tmp_path / "new" / "b") == FILES | {"P/caf\xe9.png": b"4"}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["b"]


def test_folders_within_folders_are_copied(batches: ImageBatches, tmp_path: Path) -> None:
    deep = {"a/very/deep/P/2.png": b"5"}
    fill_folder(tmp_path / "images" / "b", deep)
    assert copy_batch(batches, "b", tmp_path / "new" / "b") == (4, {})
    assert read(tmp_path / "new" / "b") == FILES | deep


def test_a_zip_of_any_size_is_copied(
    batches: ImageBatches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (file, guarded):
        monkeypatch.setattr(module, "MAXIMUM_FILE_BYTES", 1)
    (tmp_path / "images" / "b" / "b.zip").write_bytes(b"44")
    assert copy_batch(batches, "b", tmp_path / "to") == (4, {})
    assert read(tmp_path / "to") == FILES | {"b.zip": b"44"}


def test_a_batch_of_a_store_is_copied(tmp_path: Path) -> None:
    store = fsspec.filesystem("memory")
    store.pipe({f"/kept/b/{path}": content for path, content in FILES.items()})
    store.pipe_file("/kept/b/_BATCH.json", b"{}")
    assert copy_batch(ImageBatches("/kept", store), "b", tmp_path / "to") == (3, {})
    assert read(tmp_path / "to") == FILES


def test_what_is_no_file_of_the_batch_is_named_and_not_read(
    batches: ImageBatches, tmp_path: Path
) -> None:
    folder = tmp_path / "images" / "b" / "P"
    (tmp_path / "secret").write_text("x")
    (folder / "out.png").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "pipe.png")
    count, odd = copy_batch(batches, "b", tmp_path / "to")
    assert count == len(FILES)
    assert odd == {"link out of the batch": ["P/out.png"], "pipe": ["P/pipe.png"]}
    assert read(tmp_path / "to") == FILES


@pytest.mark.parametrize(
    ("batch", "to", "said"), [("c", "to", "no batch 'c'"), ("b", "", "exists")]
)
def test_what_cannot_be_copied_is_said_and_leaves_nothing(
    batches: ImageBatches, tmp_path: Path, batch: str, to: str, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        copy_batch(batches, batch, tmp_path / to)
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_a_copy_that_breaks_off_leaves_nothing(
    batches: ImageBatches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", fail)
    with pytest.raises(DataError, match=r"nothing of it lies there: .*No space left"):
        copy_batch(batches, "b", tmp_path / "to")
    assert [path.name for path in tmp_path.iterdir()] == ["images"]
