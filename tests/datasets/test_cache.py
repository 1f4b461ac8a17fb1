"""What a bucket has given is kept on the worker's disk, up to a bound."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fsspec
import pytest

from image_classification.datasets import cache
from image_classification.datasets.cache import (
    forget_entry,
    open_entry,
    read_by_digest,
    read_entry,
)
from image_classification.datasets.file import PARTIAL, list_entries, open_filesystem
from image_classification.errors import ConfigurationError

ROOT = "/bucket/pixels"


@pytest.fixture(autouse=True)
def kept(tmp_path: Path) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "_folder", f"{tmp_path}/cache")
        patch.setattr(cache, "_limit_bytes", 1024**3)
        fsspec.filesystem("memory").store.clear()
        yield tmp_path / "cache" / "files"


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were fetched from the store."""
    store, names = fsspec.filesystem("memory", use_listings_cache=False), []
    get_file = store.get_file

    def note(path: str, *more: Any) -> None:
        names.append(path.rpartition("/")[2])
        get_file(path, *more)

    monkeypatch.setattr(store, "get_file", note)
    return names


class TestContents:
    """Files whose sha256 is known."""

    store = fsspec.filesystem("memory", use_listings_cache=False)

    def read(self, *contents: bytes, store: Any = None) -> list[bytes]:
        """Read contents by their digests; note those that were asked for."""
        self.asked: list[bytes] = []

        def fetch(places: Sequence[int]) -> list[bytes]:
            self.asked += [contents[place] for place in places]
            return [contents[place] for place in places]

        digests = [hashlib.sha256(content).hexdigest() for content in contents]
        return read_by_digest(store or self.store, digests, fetch)

    def test_each_is_fetched_once(self) -> None:
        assert self.read(b"one", b"two") == [b"one", b"two"]
        assert self.asked == [b"one", b"two"]
        assert self.read(b"new", b"two", b"one") == [b"new", b"two", b"one"]
        assert self.asked == [b"new"]
        self.read(b"one")
        assert self.asked == []

    def test_one_that_was_damaged_here_is_fetched_again(self, kept: Path) -> None:
        self.read(b"one")
        (file,) = kept.iterdir()
        file.write_bytes(b"eno")
        assert self.read(b"one") == [b"one"]
        assert self.asked == [b"one"]

    def test_one_that_is_another_there_is_handed_on_and_not_kept(self, kept: Path) -> None:
        digest = hashlib.sha256(b"one").hexdigest()
        assert read_by_digest(self.store, [digest], lambda _: [b"changed"]) == [b"changed"]
        assert list(kept.iterdir()) == []

    def test_no_more_is_kept_than_allowed(
        self, kept: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cache, "_limit_bytes", 6)
        self.read(b"one", b"two", b"six")
        assert len([*kept.iterdir()]) == 2

    def test_of_a_folder_nothing_is_kept(self, kept: Path) -> None:
        self.read(b"one", store=fsspec.filesystem("file"))
        assert not kept.exists()


def put(name: str, content: bytes) -> dict[str, Any]:
    """Write a file to the store; return it as it is listed."""
    store = fsspec.filesystem("memory", use_listings_cache=False)
    store.pipe_file(f"{ROOT}/{name}", content)
    return next(e for e in list_entries(store, ROOT) if e["name"].endswith(name))


def read(entry: dict[str, Any]) -> bytes:
    return read_entry(open_filesystem("memory://")[0], entry)


def test_a_file_is_fetched_once(fetched: list[str]) -> None:
    entry = put("a", b"cells")
    assert [read(entry), read(entry)] == [b"cells", b"cells"]
    assert fetched == ["a"]


def test_another_content_under_the_same_name_is_fetched_anew(fetched: list[str]) -> None:
    assert read(put("a", b"cells")) == b"cells"
    assert read(put("a", b"cellz")) == b"cellz"
    assert fetched == ["a", "a"]


def test_what_is_damaged_here_is_forgotten_and_fetched_again(kept: Path) -> None:
    entry = put("a", b"cells")
    read(entry)
    (file,) = kept.iterdir()
    file.write_bytes(b"x")
    assert read(entry) == b"x"
    forget_entry(open_filesystem("memory://")[0], entry)
    assert read(entry) == b"cells"


def test_no_more_is_kept_than_allowed_and_what_was_used_last_stays(
    kept: Path, fetched: list[str]
) -> None:
    cache.use(str(kept.parent), 25 / 1024**3)
    entries = [put(name, name.encode() * 10) for name in "abc"]
    for place, entry in enumerate(entries[:2]):
        read(entry)
        newest = max(kept.iterdir(), key=lambda path: path.stat().st_ctime_ns)
        os.utime(newest, (place, place))
    read(entries[0])
    read(entries[2])
    assert sum(path.stat().st_size for path in kept.iterdir()) == 20
    read(entries[0])
    assert fetched == ["a", "b", "c"]
    read(entries[1])
    assert fetched == ["a", "b", "c", "b"]


def test_a_file_that_is_larger_than_the_bound_can_be_read(kept: Path) -> None:
    cache.use(str(kept.parent), 5 / 1024**3)
    assert read(put("a", b"many cells")) == b"many cells"
    assert list(kept.iterdir()) == []


def test_a_file_whose_room_was_needed_meanwhile_is_fetched_again(kept: Path) -> None:
    entry, tries = put("a", b"cells"), 0

    def read_late(path: Path) -> bytes:
        nonlocal tries
        tries += 1
        if tries == 1:
            path.unlink()
        return path.read_bytes()

    assert open_entry(open_filesystem("memory://")[0], entry, read_late) == b"cells"
    assert tries == 2


def test_a_download_that_breaks_off_leaves_nothing(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, entry = open_filesystem("memory://")[0], put("a", b"cells")

    def break_off(_: str, target: str) -> None:
        Path(target).write_bytes(b"ce")
        raise TimeoutError

    with monkeypatch.context() as patch:
        patch.setattr(store, "get_file", break_off)
        with pytest.raises(TimeoutError):
            read(entry)
    assert list(kept.iterdir()) == []
    assert read(entry) == b"cells"


def test_what_a_killed_process_left_goes_in_the_end(kept: Path) -> None:
    read(put("a", b"cells"))
    cache.use(str(kept.parent), 5 / 1024**3)
    young, old = kept / f"young{PARTIAL}", kept / f"old{PARTIAL}"
    for path in (young, old):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    read(put("b", b"cell"))
    assert young.exists()
    assert not old.exists()


def test_a_file_of_a_disk_is_read_where_it_lies(tmp_path: Path, kept: Path) -> None:
    (tmp_path / "a").write_bytes(b"cells")
    local = fsspec.filesystem("file")
    entry = {"name": f"{tmp_path}/a"}
    assert read_entry(local, entry) == b"cells"
    assert open_entry(local, entry, lambda path: path) == tmp_path / "a"
    forget_entry(local, entry)
    assert (tmp_path / "a").exists()
    assert not kept.exists()


def test_only_this_user_can_enter_it(kept: Path, tmp_path: Path) -> None:
    read(put("a", b"cells"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in (kept, kept.parent)} == {0o700}
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    cache.use(f"{tmp_path}/link", 1)
    with pytest.raises(ConfigurationError, match="IMAGE_CLASSIFICATION_CACHE"):
        read(put("a", b"cells"))


@pytest.mark.parametrize("limit", [0, -1, "10"])
def test_a_bound_is_a_number_above_zero(limit: Any) -> None:
    with pytest.raises(ConfigurationError, match="cache_gib"):
        cache.use("", limit)


def test_it_is_emptied_when_somebody_is_forgotten_and_again_at_the_end(
    kept: Path, fetched: list[str]
) -> None:
    store = fsspec.filesystem("memory", use_listings_cache=False)
    entry = put("a", b"cells of somebody")
    for wanted in (1, 1):
        cache.heed_forgotten("memory://")
        read(entry)
        assert len(fetched) == wanted
    store.pipe_file("/forgotten/ab.json", b"{}")
    store.pipe_file("/forgotten/ab.work.json", b"{}")
    cache.heed_forgotten("memory://")
    assert list(kept.glob("*")) == []
    read(entry)  # a task that runs meanwhile
    store.rm_file("/forgotten/ab.work.json")
    cache.heed_forgotten("memory://")
    assert list(kept.glob("*")) == []
    read(entry)
    cache.heed_forgotten("memory://")
    assert len(list(kept.glob("*"))) == 1


def test_of_a_folder_nothing_is_kept_and_so_nothing_is_emptied(kept: Path, tmp_path: Path) -> None:
    (tmp_path / "forgotten").mkdir()
    (tmp_path / "forgotten" / "ab.json").write_text("{}")
    cache.heed_forgotten(str(tmp_path))
    assert not kept.exists()
