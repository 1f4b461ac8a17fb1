"""What the files of a ledger say: decisions, what is half done, and whatever was changed since."""

from __future__ import annotations

import json
from typing import Any

import pytest
from judgement import make_decision, make_entry
from ledger_store import MemoryStore

from image_classification.champion import chain as module
from image_classification.champion.audit import explain_fault
from image_classification.champion.chain import (
    ACCEPTED,
    DECIDED,
    DONE,
    INTENDED,
    TAKEN_OVER,
    UNDONE,
    digest_record,
    encode_record,
    list_rewritten,
    read_chain,
)
from image_classification.gate import verdict


def write(store: MemoryStore, *records: dict[str, Any]) -> None:
    for record in records:
        store.journal.add(lambda _, record=record: record)


def decided(version: str, event: str = verdict.KEPT) -> dict[str, Any]:
    return {**make_entry(event, version, decision=make_decision()), "step": DECIDED}


def intended(version: str, before: str | None = None) -> dict[str, Any]:
    entry = make_entry(verdict.PROMOTED, version, before, version)
    return {**entry, "step": INTENDED, "mover": {}, "lease_until": "2026-11-22T03:00:00+00:00"}


def ended(number: int, version: str | None, step: str = DONE, **more: str) -> dict[str, Any]:
    return {"step": step, "of": number, "model": "cells", "champion_after": version, **more}


@pytest.fixture
def store() -> MemoryStore:
    """Three records of two decisions: the first champion, and one that was kept."""
    made = MemoryStore()
    write(made, intended("1"), ended(1, "1"), decided("2"))
    return made


class TestRecords:
    def test_a_record_is_canonical_and_names_the_digest_of_the_one_before(
        self, store: MemoryStore
    ) -> None:
        first, second = (store.files[f"0000000{number}.json"] for number in (1, 2))
        assert (
            first == json.dumps(json.loads(first), sort_keys=True, separators=(",", ":")).encode()
        )
        assert json.loads(first)["previous"] == "0" * 64
        assert json.loads(second)["previous"] == digest_record(first)
        assert store.read().head == module.Head(3, digest_record(store.files["00000003.json"]))

    def test_a_move_is_one_entry_once_it_is_known_what_came_of_it(self, store: MemoryStore) -> None:
        assert [
            (entry["event"], entry["version"], entry["champion_after"], entry["number"])
            for entry in store.entries
        ] == [("promoted", "1", "1", 2), ("kept champion", "2", None, 3)]
        write(store, intended("3", "1"))
        assert [record["version"] for record in store.read().intentions] == ["3"]
        assert len(store.entries) == 2
        assert not store.read().is_settled(4)
        write(store, ended(4, "1", UNDONE, event=verdict.UNVERIFIED, reason="it differs"))
        last = store.last
        assert (last["event"], last["version"], last["reason"]) == (
            "failed verification",
            "3",
            "it differs",
        )
        assert store.read().intentions == []
        assert [entry["version"] for entry in store.read().undone] == ["3"]

    def test_whether_a_move_was_ended_is_not_known_where_a_later_record_is_damaged(
        self, store: MemoryStore
    ) -> None:
        write(store, intended("3", "1"), ended(4, "3"))
        store.files["00000005.json"] = b""
        assert store.read().intentions == []
        assert [entry["version"] for entry in store.entries] == ["1", "2"]

    def test_an_end_without_a_beginning_is_a_fault(self, store: MemoryStore) -> None:
        write(store, ended(3, "1"))
        assert store.read().faults == ["Entry 4 ends a move that was not intended"]


class TestChanges:
    def test_a_ledger_that_nobody_has_changed_has_no_fault(self, store: MemoryStore) -> None:
        assert store.read().faults == store.read().notes == []

    @pytest.mark.parametrize("number", [1, 2])
    def test_an_entry_that_was_edited_is_named(self, store: MemoryStore, number: int) -> None:
        name = f"0000000{number}.json"
        record = json.loads(store.files[name]) | {"at": "2020-01-01T00:00:00+00:00"}
        store.files[name] = encode_record(record)
        (fault,) = store.read().faults
        assert fault.startswith(f"Entry {number} was edited, or entry {number + 1} was put in")
        assert len(store.entries) == 2

    @pytest.mark.parametrize("number", [1, 2])
    def test_an_entry_that_was_removed_is_named(self, store: MemoryStore, number: int) -> None:
        del store.files[f"0000000{number}.json"]
        faults = store.read().faults
        assert f"Entry {number} was removed: 0000000{number}.json is missing" in faults
        assert store.entries[-1]["version"] == "2"

    def test_one_that_was_edited_after_one_that_was_removed_is_named_too(
        self, store: MemoryStore
    ) -> None:
        write(store, decided("3"))
        del store.files["00000001.json"]
        record = json.loads(store.files["00000003.json"]) | {"at": "2020-01-01T00:00:00+00:00"}
        store.files["00000003.json"] = encode_record(record)
        faults = store.read().faults
        assert "Entry 1 was removed: 00000001.json is missing" in faults
        assert any(fault.startswith("Entry 3 was edited, or entry 4") for fault in faults)

    @pytest.mark.parametrize(
        ("content", "fault"),
        [
            (b"", "it is empty"),
            (b'{"at": "2026', "it is no whole JSON"),
            (b"[" * 100_000, "it is no whole JSON"),
            (b"[1]", "it is no entry"),
            (b"{}", "it is not the record of this number"),
            (OSError("Input/output error"), "it cannot be read (Input/output error)"),
        ],
    )
    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_an_entry_that_is_damaged_is_named_and_the_others_are_read(
        self, store: MemoryStore, number: int, content: Any, fault: str
    ) -> None:
        chain = read_chain({**store.files, f"0000000{number}.json": content})
        assert f"Entry {number} is damaged: {fault}" in chain.faults
        assert len(chain.entries) == (1 if number in (1, 2, 3) else 2)

    @pytest.mark.parametrize(
        ("change", "fault"),
        [
            ({"version": 3}, "it has a wrong version"),
            ({"decision": "promote"}, "it has a wrong decision"),
            ({"event": "crowned"}, "it has a wrong event"),
            ({"data": None}, "it has a wrong data"),
            ({"model": None, "data": []}, "it has a wrong model, data"),
        ],
    )
    def test_values_of_another_kind_are_damage(
        self, store: MemoryStore, change: dict[str, Any], fault: str
    ) -> None:
        record = json.loads(store.files["00000003.json"]) | change
        store.files["00000003.json"] = encode_record(record)
        assert store.read().faults == [f"Entry 3 is damaged: {fault}"]

    def test_a_key_that_is_missing_is_named(self, store: MemoryStore) -> None:
        record = json.loads(store.files["00000003.json"])
        del record["version"]
        store.files["00000003.json"] = encode_record(record)
        assert store.read().faults == ["Entry 3 is damaged: it lacks version"]

    def test_the_same_content_written_otherwise_is_an_edit(self, store: MemoryStore) -> None:
        store.files["00000003.json"] += b"\n"
        (fault,) = store.read().faults
        assert fault == "Entry 3 is damaged: it is not written as this project writes it"

    def test_a_file_that_no_entry_names_is_not_counted(self, store: MemoryStore) -> None:
        store.files["r9-promoted-0123abcd.json"] = encode_record(make_entry("promoted", "9"))
        store.files["00000003.json.0f.partial"] = b""
        (fault,) = store.read().faults
        assert fault == (
            "'r9-promoted-0123abcd.json' was added: no entry names it; it is not counted"
        )
        assert "9" not in [entry["version"] for entry in store.entries]

    def test_a_chain_that_was_written_anew_disagrees_with_the_copies(
        self, store: MemoryStore
    ) -> None:
        copies = {
            "version 1": f"2 sha256:{store.read().digests[2]}",
            "version 2": str(store.read().head),
        }
        assert list(list_rewritten(store.read(), copies)) == []
        anew = MemoryStore()
        write(anew, intended("7"), ended(1, "7"))
        faults = list(list_rewritten(anew.read(), copies))
        assert [fault.partition(", ")[0] for fault in faults] == [
            "Entry 2 was edited: version 1 keeps its digest",
            "Entry 3 was removed: version 2 keeps its digest",
        ]

    @pytest.mark.parametrize("copy", ["nonsense", "1", "1 sha256:", "one sha256:abc", ""])
    def test_a_copy_that_is_no_digest_is_told(self, store: MemoryStore, copy: str) -> None:
        assert list(list_rewritten(store.read(), {"version 1": copy})) == [
            f"version 1 keeps no digest of an entry: '{copy}'"
        ]

    def test_what_a_person_has_accepted_is_told_with_who_and_why(self, store: MemoryStore) -> None:
        del store.files["00000002.json"]
        said = {"by": "ada", "reason": "a disk was lost", "at": "2026-11-30T10:00:00+00:00"}
        write(store, {"step": ACCEPTED, "faults": store.read().faults, **said})
        told = [store.read().find_acceptance(fault) for fault in store.read().faults]
        assert told[0].endswith("(accepted by ada on 2026-11-30: a disk was lost)")
        assert store.read().find_acceptance("something else") == ""
        # An entry that was missing at the end is another one later.
        chain = module.Chain(acceptances={"Entry 9 was edited: version 1 keeps": "accepted"})
        assert chain.find_acceptance("Entry 9 was removed: version 1 keeps") != ""


class TestEarlierRelease:
    EARLIER = (
        make_entry(verdict.PROMOTED, "1", None, "1", at="2026-11-20T02:00:00+00:00"),
        make_entry(verdict.PROMOTED, "2", "1", "2", at="2026-11-21T02:00:00+00:00"),
    )

    def test_its_entries_are_read_in_the_order_of_time(self) -> None:
        store = MemoryStore(*reversed(self.EARLIER))
        assert [entry["version"] for entry in store.entries] == ["1", "2"]
        assert store.entries[0]["typed"] == ""
        assert "number" not in store.entries[0]

    def test_they_are_taken_over_in_one_record(self) -> None:
        store = MemoryStore(*self.EARLIER)
        write(store, decided("3"))
        first = json.loads(store.files["00000001.json"])
        assert first["step"] == TAKEN_OVER
        assert first["files"] == {
            name: digest_record(content)
            for name, content in store.files.items()
            if name.startswith("r")
        }
        assert [entry["version"] for entry in store.entries] == ["1", "2", "3"]
        assert store.read().faults == []

    def test_what_is_changed_after_that_is_named(self) -> None:
        store = MemoryStore(*self.EARLIER)
        write(store, decided("3"))
        store.files["r0-event.json"] = encode_record({**self.EARLIER[0], "by": "Eve"})
        del store.files["r1-event.json"]
        assert store.read().faults == [
            "'r0-event.json', of an earlier release, was edited",
            "'r1-event.json', of an earlier release, was removed",
        ]

    def test_one_that_was_damaged_before_is_known_to_be(self) -> None:
        store = MemoryStore(*self.EARLIER)
        store.files["r2-event.json"] = b""
        write(store, decided("3"))
        assert store.read().faults == []
        assert store.read().notes == [
            "'r2-event.json', of an earlier release, is damaged: it is empty"
        ]
        assert len(store.entries) == 3


def test_a_patient_who_was_forgotten_is_a_link_of_the_chain() -> None:
    record = {
        "step": "forgotten",
        "at": "2026-11-27T10:00:00.000+00:00",
        "model": "cells",
        "number": 1,
        "previous": module.NOTHING,
        "patient": "p-1",
        "by": "Ada",
        "reason": "asked",
        "token": "t",
        "versions": {"1": ["train"]},
        "packages": {},
    }
    name = module.name_record(1)
    chain = module.read_chain({name: module.encode_record(record)})
    assert (chain.faults, chain.forgotten, chain.entries) == ([], [record], [])
    edited = module.read_chain({name: module.encode_record({**record, "versions": []})})
    assert edited.faults == ["Entry 1 is damaged: it has a wrong versions"]
    assert edited.forgotten == []


def test_packages_that_were_let_go_are_a_link_of_the_chain() -> None:
    record = {
        "step": "let go",
        "at": "2026-11-27T10:00:00.000+00:00",
        "model": "cells",
        "number": 1,
        "previous": module.NOTHING,
        "by": "Ada",
        "reason": "old",
        "token": "t",
        "versions": {"2": "m-2"},
    }
    name = module.name_record(1)
    chain = module.read_chain({name: module.encode_record(record)})
    assert (chain.faults, chain.let_go, chain.entries) == ([], [record], [])
    assert chain.find_let_go("cells", "2") == "on 2026-11-27, old"
    assert chain.find_let_go("cells", "1") == chain.find_let_go("leaves", "2") == ""
    del record["by"]
    lacking = module.read_chain({name: module.encode_record(record)})
    assert lacking.faults == ["Entry 1 is damaged: it lacks by"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [((1,), "put in"), ((1, 2), ", and 1 more. `"), ((1, 2, 3), ", and 2 more. `")],
)
def test_the_first_fault_is_told_and_how_many_more_there_are(
    changed: tuple[int, ...], told: str
) -> None:
    made = MemoryStore()
    write(made, *(decided(str(number)) for number in range(1, 5)))
    for number in changed:
        name = f"0000000{number}.json"
        made.files[name] = encode_record(json.loads(made.files[name]) | {"comment": "another"})
    said = explain_fault(made.read(), "cells", None, {})
    assert said.startswith("Entry 1 was edited")
    assert told in said
    assert (" more" in said) is (len(changed) > 1)
