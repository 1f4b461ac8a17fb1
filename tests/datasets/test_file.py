"""Files: written whole, and read by as many threads as helps."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import fsspec
import numpy as np
import pytest

from image_classification.datasets import RecordsDataset
from image_classification.datasets import file as file_module
from image_classification.datasets.file import (
    MAXIMUM_FILE_BYTES,
    PARTIAL,
    PIECE_BYTES,
    TRIED_ALONE,
    NotRegularError,
    decode_name,
    encode_name,
    is_local,
    open_filesystem,
    read_file,
    read_in_parts,
    write_whole,
)


def test_a_file_is_written_whole_of_many_pieces(root: str) -> None:
    content = np.random.default_rng(0).integers(0, 256, 3 * PIECE_BYTES + 5, np.uint8)
    filesystem, path = open_filesystem(f"{root}/folder/file")

    write_whole(filesystem, path, b"head", content.data, b"")

    assert filesystem.cat_file(path) == b"head" + content.tobytes()
    assert len(filesystem.find(path.rpartition("/")[0])) == 1


@pytest.mark.parametrize(
    ("from_memory_s", "alone", "threaded"),
    [(1e9, True, False), (0.0, True, True), (1e9, False, True)],
)
def test_files_are_read_by_threads_unless_they_come_as_from_memory(
    from_memory_s: float, alone: bool, threaded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_module, "FROM_MEMORY_S", from_memory_s)
    parts: list[tuple[int, list[str]]] = []

    def read(some: Sequence[str]) -> list[str]:
        parts.append((threading.get_ident(), list(some)))
        return [f"content of {path}" for path in some]

    paths = [f"{number}.png" for number in range(60)]
    contents = read_in_parts(read, paths, 4, alone=alone)
    assert contents == [f"content of {path}" for path in paths]
    assert sorted(path for _, some in parts for path in some) == sorted(paths)
    by_threads = [some for thread, some in parts if thread != threading.get_ident()]
    assert bool(by_threads) == threaded
    assert len(by_threads) <= 4
    assert read_in_parts(read, [], 4, alone=alone) == []


class TestFilesystem:
    def test_a_path_or_an_address_gives_filesystem_and_path(self, tmp_path: Path) -> None:
        filesystem, path = open_filesystem(f"{tmp_path}/a/")
        assert (is_local(filesystem), path) == (True, f"{tmp_path}/a")
        filesystem, path = open_filesystem("memory://bucket/a/")
        assert (is_local(filesystem), path) == (False, "/a")

    def test_each_name_of_azure_keeps_the_container(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Kedro takes the container of ``az://`` for a host, and leaves it out."""
        monkeypatch.setattr(fsspec, "filesystem", lambda protocol, **_: protocol)
        for name in ("az", "abfs"):
            assert open_filesystem(f"{name}://container/cells") == ("abfs", "container/cells")

    def test_credentials_go_to_the_filesystem(self, monkeypatch: pytest.MonkeyPatch) -> None:
        given: dict[str, object] = {}
        monkeypatch.setattr(
            fsspec, "filesystem", lambda protocol, **more: given.update(more, protocol=protocol)
        )
        open_filesystem("memory://bucket", {"key": "k"})
        assert given == {"protocol": "memory", "key": "k", "use_listings_cache": False}
        given.clear()
        open_filesystem("memory://bucket")
        assert given == {"protocol": "memory", "use_listings_cache": False}
        given.clear()
        open_filesystem("/a")
        assert given == {"protocol": "file"}
        RecordsDataset(filepath="memory://bucket", credentials={"key": "k"})
        assert given == {"protocol": "memory", "key": "k", "use_listings_cache": False}

    def test_a_filesystem_of_one_name_or_several_is_told(self) -> None:
        class One:
            protocol = "file"

        class Several:
            protocol = ("file", "local")

        class Elsewhere:
            protocol = "profile"

        assert is_local(One())
        assert is_local(Several())
        assert not is_local(Elsewhere())

    def test_a_file_is_read_as_it_is(self, root: str) -> None:
        filesystem, path = open_filesystem(f"{root}/file")
        write_whole(filesystem, path, b"content")
        assert read_file(filesystem, path) == b"content"

    def test_a_dataset_says_where_it_lies(self, root: str) -> None:
        metadata = {"kind": "records"}
        dataset = RecordsDataset(filepath=f"{root}/records/", metadata=metadata)
        filesystem, path = open_filesystem(f"{root}/records")
        described = {"filepath": path, "filesystem": type(filesystem).__name__}
        assert dataset._describe() == described
        assert dataset.metadata is metadata
        assert not dataset.exists()
        dataset.save({"a": {}})
        assert dataset.exists()


def test_a_write_that_is_interrupted_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filesystem, path = open_filesystem(f"{tmp_path}/file")
    write_whole(filesystem, path, b"old")
    asides = []

    def fail(aside: Path, _: str) -> None:
        asides.append(aside)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        write_whole(filesystem, path, b"new")
    assert Path(path).read_bytes() == b"old"
    assert [aside.name.endswith(PARTIAL) for aside in asides] == [True]
    assert list(tmp_path.iterdir()) == [Path(path)]


def test_an_object_store_is_handed_a_file_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    handed = []

    class Store:
        protocol = "s3"

        def pipe_file(self, path: str, content: bytes) -> None:
            handed.append((path, content))

    write_whole(Store(), "bucket/file", b"one", b"two")
    assert handed == [("bucket/file", b"onetwo")]


@pytest.mark.parametrize(("count", "readers", "sizes"), [(10, 4, [3, 3, 3, 1]), (2, 4, [1, 1])])
def test_each_thread_gets_a_part_of_about_the_same_size(
    count: int, readers: int, sizes: list[int]
) -> None:
    parts: list[int] = []

    def read(some: Sequence[str]) -> list[str]:
        parts.append(len(some))
        return list(some)

    paths = [str(number) for number in range(count)]
    assert read_in_parts(read, paths, readers) == paths
    assert sorted(parts, reverse=True) == sizes


def test_files_are_tried_alone_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_module, "FROM_MEMORY_S", 1e9)
    parts: list[int] = []

    def read(some: Sequence[str]) -> list[str]:
        parts.append(len(some))
        return list(some)

    paths = [str(number) for number in range(2 * TRIED_ALONE + 3)]
    assert read_in_parts(read, paths, 4, alone=True) == paths
    assert parts == [TRIED_ALONE, TRIED_ALONE, 3]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"1.png", "1.png"),
        ("Zürich 日本.png".encode(), "Zürich 日本.png"),
        (b"caf\xe9.png", r"caf\xe9.png"),
        (rb"caf\xe9.png", r"caf\x5cxe9.png"),
        (rb"\x41\a\x5cxe9", r"\x41\a\x5cx5cxe9"),
        (b"\xff\xfe\\", "\\xff\\xfe\\"),
    ],
)
def test_a_name_that_is_not_utf8_is_text_that_leads_back_to_it(
    tmp_path: Path, name: bytes, text: str
) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    path.write_bytes(name)
    assert encode_name(path.name) == text
    assert text.encode().decode() == text
    assert decode_name(f"{tmp_path}/{text}") == str(path)
    assert read_file(fsspec.filesystem("file"), f"{tmp_path}/{text}") == name


def test_a_name_with_backslashes_from_an_older_index_is_read(tmp_path: Path) -> None:
    (tmp_path / r"caf\xe9.png").write_bytes(b"1")
    assert read_file(fsspec.filesystem("file"), rf"{tmp_path}/caf\xe9.png") == b"1"


class TestWithin:
    """A file of a batch: nothing but a regular file inside it is read, and nothing waits."""

    def read(self, batch: Path, name: str) -> bytes:
        return read_file(fsspec.filesystem("file"), str(batch / name), str(batch))

    @pytest.fixture
    def batch(self, tmp_path: Path) -> Path:
        (tmp_path / "b" / "P").mkdir(parents=True)
        (tmp_path / "b" / "P" / "1.png").write_bytes(b"1")
        (tmp_path / "beside").mkdir()
        (tmp_path / "beside" / "2.png").write_bytes(b"2")
        (tmp_path / "b-2.png").write_bytes(b"3")
        return tmp_path / "b"

    def test_a_link_is_followed_within_the_batch_and_not_out_of_it(self, batch: Path) -> None:
        for number, target in enumerate(["P/1.png", "../beside/2.png", "../b-2.png"]):
            (batch / f"{number}.png").symlink_to(target)
        (batch / "folder").symlink_to("../beside")
        (batch / "far.png").symlink_to("folder/2.png")
        assert self.read(batch, "0.png") == b"1"
        for name in ("1.png", "2.png", "far.png"):
            with pytest.raises(NotRegularError, match="it is a link that leads out of its batch"):
                self.read(batch, name)
            assert read_file(fsspec.filesystem("file"), str(batch / name)) in {b"2", b"3"}

    @pytest.mark.parametrize("within", [True, False])
    def test_what_is_no_file_is_refused_at_once(self, batch: Path, within: bool) -> None:
        os.mkfifo(batch / "pipe")
        (batch / "device").symlink_to("/dev/zero")
        (batch / "pipe link").symlink_to("pipe")
        folder = str(batch) if within else None
        for name in ("pipe", "pipe link", "device", "P"):
            with pytest.raises(NotRegularError):
                read_file(fsspec.filesystem("file"), str(batch / name), folder)

    def test_a_pipe_that_takes_the_place_of_a_file_is_refused_at_once(
        self, batch: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        os.mkfifo(batch / "pipe")
        sound, status = os.lstat, os.lstat(batch / "P" / "1.png")
        monkeypatch.setattr(os, "lstat", lambda path: status if "pipe" in path else sound(path))
        with pytest.raises(NotRegularError, match="it is a pipe, and no file"):
            self.read(batch, "pipe")

    def test_a_hole_of_any_size_is_not_read(self, batch: Path) -> None:
        with (batch / "hole.png").open("wb") as file:
            file.truncate(MAXIMUM_FILE_BYTES + 1)
        with pytest.raises(NotRegularError, match=f"at most {MAXIMUM_FILE_BYTES} are allowed"):
            self.read(batch, "hole.png")
