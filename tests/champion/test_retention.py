"""Packages of old versions go, recorded first; no champion is ever without one."""

from __future__ import annotations

import pytest
from judgement import make_entry
from ledger_store import MemoryStore
from mlflow import MlflowClient
from registry_store import MODEL
from registry_store import register as register_version

from image_classification import tracking
from image_classification.champion import registry, retention
from image_classification.champion.chain import DECIDED, INTENDED
from image_classification.errors import ChampionMovedError, LedgerError
from image_classification.gate import verdict

pytestmark = pytest.mark.usefixtures("store")
REASON = "older than 365 nights (retention.versions_nights)"


def decide(store: MemoryStore, version: str, event: str = verdict.KEPT) -> None:
    after = version if event == verdict.PROMOTED else "1"
    entry = make_entry(event, version, None if version == "1" else "1", after)
    store.journal.add(lambda _: {**entry, "model": MODEL, "step": DECIDED})


@pytest.fixture
def ledger() -> MemoryStore:
    """A ledger in which version 1 was promoted and version 2 was not; 3 is in no entry."""
    store = MemoryStore()
    for name in "abc":
        register_version(name)
    decide(store, "1", verdict.PROMOTED)
    decide(store, "2")
    return store


def read_model(version: str) -> str:
    model_id = registry.find_model_id(MODEL, version)
    assert model_id is not None
    return model_id


def test_what_goes_is_written_down_once_with_its_models_and_why(ledger: MemoryStore) -> None:
    due = {"2": "m-2", "3": "m-3"}
    for _ in range(2):
        retention.record_let_go(MODEL, ledger.journal, due, REASON)
    chain = ledger.read()
    (record,) = chain.let_go
    assert (record["versions"], record["reason"], record["model"]) == (due, REASON, MODEL)
    assert record["by"]
    assert chain.faults == []
    assert chain.find_let_go(MODEL, "2") == f"on {record['at'][:10]}, {REASON}"
    assert chain.find_let_go(MODEL, "1") == chain.find_let_go("leaves", "2") == ""
    retention.record_let_go(MODEL, ledger.journal, due | {"4": "m-4"}, REASON)
    assert ledger.read().let_go[-1]["versions"] == {"4": "m-4"}


def test_a_version_that_has_become_champion_meanwhile_stops_it(ledger: MemoryStore) -> None:
    with pytest.raises(LedgerError, match=r"^Version 1 of 'cells' has become champion"):
        retention.record_let_go(MODEL, ledger.journal, {"2": "m-2", "1": "m-1"}, REASON)
    MlflowClient().set_registered_model_alias(MODEL, registry.CHAMPION, "2")  # by hand
    with pytest.raises(LedgerError, match=r"^Version 2 "):
        retention.record_let_go(MODEL, ledger.journal, {"2": "m-2"}, REASON)
    assert ledger.read().let_go == []


def test_a_version_that_is_about_to_be_champion_stops_it(ledger: MemoryStore) -> None:
    moving = {**make_entry(verdict.ROLLED_BACK, "3", "1", "3"), "model": MODEL, "step": INTENDED}
    moving |= {"mover": {}, "lease_until": "2026-11-28T02:00:00+00:00"}
    ledger.journal.add(lambda _: moving)
    with pytest.raises(LedgerError, match=r"^Version 3 "):
        retention.record_let_go(MODEL, ledger.journal, {"3": "m-3"}, REASON)


def test_a_version_that_the_ledger_names_stays_and_says_so(ledger: MemoryStore) -> None:
    registry.describe_version(MODEL, "2", {}, "Not in use.\n\n**Kept**\n\n### What it is")
    model_id = read_model("2")
    for _ in range(2):
        retention.remove_package(MODEL, "2", model_id, f"on 2026-11-28, {REASON}", is_recorded=True)
    found = registry.get_version(MODEL, "2")
    assert found.tags[registry.PACKAGE_TAG] == f"let go on 2026-11-28, {REASON}"
    assert found.description == (
        "Not in use.\n\n**Kept**\n\n**Let go:** the packaged model was removed on 2026-11-28, "
        f"{REASON}. This version cannot be champion again.\n\n### What it is"
    )
    assert not tracking.is_model_ready(model_id)


def test_a_version_that_no_entry_is_about_is_deleted(ledger: MemoryStore) -> None:
    model_id = read_model("3")
    for _ in range(2):
        retention.remove_package(MODEL, "3", model_id, "on 2026-11-28", is_recorded=False)
    assert registry.read_all_tags(MODEL).keys() == {"1", "2"}
    assert not tracking.is_model_ready(model_id)


def test_what_was_let_go_cannot_become_champion(ledger: MemoryStore) -> None:
    retention.refuse_let_go(MODEL, "2", ledger.read())
    retention.record_let_go(MODEL, ledger.journal, {"2": "m-2"}, REASON)
    with pytest.raises(ChampionMovedError, match=r"of version 2 was let go on .*365 nights"):
        retention.refuse_let_go(MODEL, "2", ledger.read())
    retention.refuse_let_go(MODEL, "1", ledger.read())
