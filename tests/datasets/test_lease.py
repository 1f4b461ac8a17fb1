"""One writer at a time on an object store: a lease that ends, and that cannot be had twice."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from image_classification.datasets import lease
from image_classification.datasets.file import open_filesystem
from image_classification.datasets.lease import Lease, LockFile, open_turn
from image_classification.errors import StorageError

SHORT_S = 0.4


@pytest.fixture
def folder() -> str:
    fsspec.filesystem("memory").store.clear()
    return "memory://bucket/index/.lock"


def make_lease(folder: str, lease_s: float = SHORT_S) -> Lease:
    return Lease(*open_filesystem(folder), lease_s)


def die(holder: Lease) -> None:
    """Let a holder be gone without a word."""
    assert holder._ended is not None
    holder._ended.set()


def read(folder: str, number: int) -> dict[str, object]:
    filesystem, path = open_filesystem(folder)
    found: dict[str, object] = json.loads(filesystem.cat_file(f"{path}/{number:08d}.json"))
    return found


def test_a_folder_has_a_lock_and_a_bucket_a_lease(tmp_path: Path, folder: str) -> None:
    assert isinstance(open_turn(f"{tmp_path}/index/.lock"), LockFile)
    assert isinstance(open_turn(folder), Lease)


def test_who_comes_next_waits_until_it_is_given_back(folder: str) -> None:
    first, second = make_lease(folder), make_lease(folder)
    first.take()
    thread = threading.Thread(target=second.take, daemon=True)
    thread.start()
    thread.join(2 * SHORT_S)  # it is renewed, and so does not end
    assert thread.is_alive()
    first.check()
    first.give_back()
    thread.join(10)
    assert not thread.is_alive()
    second.check()
    second.give_back()
    assert read(folder, 2)["free"] is True


def test_of_many_at_once_one_has_it(folder: str) -> None:
    inside, most = 0, 0
    lock = threading.Lock()

    def work(_: int) -> None:
        nonlocal inside, most
        turn = make_lease(folder, 5.0)
        turn.take()
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.01)
        turn.check()
        with lock:
            inside -= 1
        turn.give_back()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert most == 1


def test_a_holder_that_died_is_followed_after_the_time_of_a_lease(folder: str) -> None:
    first, second = make_lease(folder), make_lease(folder)
    first.take()
    die(first)
    began = time.monotonic()
    second.take()
    assert SHORT_S <= time.monotonic() - began < 10 * SHORT_S
    second.give_back()


def test_who_was_held_up_for_longer_writes_nothing(folder: str) -> None:
    first, second = make_lease(folder), make_lease(folder)
    first.take()
    die(first)
    second.take()
    with pytest.raises(StorageError, match=r"held up for more than 0\.4 s\. Nothing was written"):
        first.check()
    first.give_back()
    second.check()
    assert read(folder, 2)["free"] is False
    second.give_back()


def test_a_list_that_lags_behind_gives_it_to_nobody_twice(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make_lease(folder), make_lease(folder)
    first.take()
    monkeypatch.setattr(lease, "list_entries", lambda *_: [])
    thread = threading.Thread(target=second.take, daemon=True)
    thread.start()
    thread.join(SHORT_S / 2)
    assert thread.is_alive()
    first.give_back()
    thread.join(10)
    assert second._number == 2
    second.give_back()


def test_the_answer_to_our_own_try_may_get_lost(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = lease.create_file

    def lose(*what: object) -> None:
        create(*what)  # type: ignore[arg-type]
        raise FileExistsError

    turn = make_lease(folder)
    monkeypatch.setattr(lease, "create_file", lose)
    turn.take()
    turn.check()
    assert turn._number == 1
    turn.give_back()


def test_a_store_that_is_away_for_a_moment_does_not_end_it(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn, write = make_lease(folder), lease.write_whole
    turn.take()

    def fail(*_: object) -> None:
        raise OSError("slow down")

    monkeypatch.setattr(lease, "write_whole", fail)
    time.sleep(SHORT_S * 0.6)
    with pytest.raises(OSError, match="slow down"):
        turn.check()
    monkeypatch.setattr(lease, "write_whole", write)
    turn.check()
    turn.give_back()


def test_old_files_go_and_young_ones_stay(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "KEPT", 2)
    for _ in range(5):
        turn = make_lease(folder)
        turn.take()
        turn.give_back()
    filesystem, path = open_filesystem(folder)
    names = [place.rpartition("/")[2] for place in sorted(filesystem.ls(path, detail=False))]
    assert names == ["00000004.json", "00000005.json"]


def test_what_is_no_lease_is_no_hindrance(folder: str) -> None:
    filesystem, path = open_filesystem(folder)
    filesystem.pipe_file(f"{path}/notes.json", b"x")
    filesystem.pipe_file(f"{path}/00000003.json", b"damaged")
    turn = make_lease(folder)
    turn.take()
    assert turn._number == 4
    turn.give_back()
    turn.give_back()
