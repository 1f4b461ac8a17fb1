"""Writing the ledger: each number once, on a store that keeps what is written."""

from __future__ import annotations

import errno
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from judgement import make_entry
from ledger_store import MemoryStore

from image_classification.champion import journal as module
from image_classification.champion.chain import DECIDED
from image_classification.champion.journal import NumberTakenError
from image_classification.errors import LedgerError
from image_classification.gate import verdict


def decided(version: str) -> dict[str, Any]:
    return {**make_entry(verdict.KEPT, version), "step": DECIDED}


class Forgetful(MemoryStore):
    """A store that ignores the condition of a write, and says nothing."""

    address = "forgetful"
    is_local = False

    def create(self, name: str, content: bytes) -> None:
        self.files[name] = content


class Remote(MemoryStore):
    address = "remote"
    is_local = False


@pytest.fixture(autouse=True)
def nothing_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_tried", set())


def test_of_two_that_have_read_the_same_one_gets_the_number() -> None:
    store = MemoryStore()
    chain = store.read()
    store.journal.append(decided("1"), chain)
    with pytest.raises(NumberTakenError):
        store.journal.append(decided("2"), chain)
    assert [entry["version"] for entry in store.entries] == ["1"]


def test_whoever_was_second_looks_again_and_may_write_nothing() -> None:
    store, seen = MemoryStore(), []

    def make(chain: Any) -> dict[str, Any] | None:
        seen.append(chain.head.number)
        if len(seen) == 1:
            store.journal.append(decided("first"), chain)
        return decided("second") if len(seen) < 3 else None

    record = store.journal.add(make)
    assert record is not None
    assert (seen, record["number"]) == ([0, 1], 2)
    assert store.journal.add(make) is None


def test_many_that_write_at_once_lose_nothing() -> None:
    store = MemoryStore()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.journal.add(lambda _: decided(str(n))), range(40)))
    assert sorted(int(entry["version"]) for entry in store.entries) == list(range(40))
    assert store.read().faults == []


def test_a_request_that_was_sent_twice_has_not_lost_to_itself() -> None:
    store = MemoryStore()
    create = store.create

    def twice(name: str, content: bytes) -> None:
        create(name, content)
        create(name, content)

    store.create = twice  # type: ignore[method-assign]
    assert store.journal.append(decided("1"), store.read())["number"] == 1


def test_a_disk_without_room_is_an_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fill(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = MemoryStore()
    monkeypatch.setattr(store, "create", fill)
    with pytest.raises(LedgerError, match=r"Entry 1 .*memory of a test: .*No space.* Make room"):
        store.journal.append(decided("1"), store.read())


def test_a_store_that_ignores_conditions_is_refused_before_anything_is_written() -> None:
    store = Forgetful()
    with pytest.raises(LedgerError, match="cannot lie at forgetful: 9 writers created the same"):
        store.journal.add(lambda _: decided("1"))
    assert store.files == {}


def test_a_store_is_tried_once_in_a_process() -> None:
    store, created = Remote(), []
    create = store.create

    def note(name: str, content: bytes) -> None:
        created.append(name)
        create(name, content)

    store.create = note  # type: ignore[method-assign]
    for version in ("1", "2"):
        store.journal.add(lambda _, version=version: decided(version))
    assert len(created) == 9 + 2
    assert sorted(store.files) == ["00000001.json", "00000002.json"]


def test_a_store_that_loses_its_answers_is_no_store_that_ignores_conditions() -> None:
    store = Remote()
    create = store.create

    def twice(name: str, content: bytes) -> None:
        """Send a request again whose answer got lost: it meets what it has created itself."""
        create(name, content)
        create(name, content)

    store.create = twice  # type: ignore[method-assign]
    store.journal.add(lambda _: decided("1"))
    assert sorted(store.files) == ["00000001.json"]
