"""The ledger beside what follows it: copies in MLflow, the alias, versions and runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from judgement import make_comparison, make_decision
from ledger_store import write_earlier
from mlflow import MlflowClient
from registered import register_version
from registry_store import MODEL, Store, open_run, register
from shipped import read_shipped

from image_classification.champion import registry, verification
from image_classification.champion.chain import encode_record
from image_classification.champion.release import Release
from image_classification.champion.statement import DecisionRun, Statement
from image_classification.datasets import LedgerDataset
from image_classification.errors import ChampionMovedError
from image_classification.gate import verdict

POLICY: Any = read_shipped("promotion", env="test")


@pytest.fixture(autouse=True)
def nights(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 2 has replaced version 1, and version 3 was kept out."""
    monkeypatch.setenv("IMAGE_CLASSIFICATION_COMMIT", "c0ffee")
    monkeypatch.setattr(verification, "consume_version", answer)
    if not store.has("three nights"):
        open_release(store, register("first")[0]).promote("1", decide(None))
        open_release(store, register("second")[0]).promote("2", decide("1"))
        open_release(store, register("third")[0]).keep("3", decide("2"))
        store.keep("three nights")
    store.put_back("three nights")


def answer(*_: Any) -> dict[str, Any]:
    champion = registry.find_champion(MODEL)
    assert champion is not None
    return {"model_id": registry.find_model_id(MODEL, champion), "golden_difference": 0.0}


def open_release(store: Store, run_id: str = "looker", **about: Any) -> Release:
    entries = LedgerDataset(filepath=str(store.ledger))
    return Release(MODEL, entries, POLICY, DecisionRun(run_id, **about))


def decide(champion: str | None) -> dict[str, Any]:
    decision = make_decision()
    decision["champion"] = {**decision["champion"], "version": champion} if champion else None
    return decision


def conclude(store: Store, champion: str | None) -> dict[str, Any]:
    """Judge version 3 as a night does."""
    comparison = make_comparison(theirs={} if champion else None)
    if champion:
        comparison["champion"]["version"] = champion
    return open_release(store).conclude("3", comparison, {"load_s": 1.0})


def list_ledger_faults(decision: dict[str, Any]) -> list[str]:
    return [
        check["sentence"]
        for check in decision["checks"]
        if check["name"] == "ledger" and not check["passed"]
    ]


def run_of(version: str) -> str:
    return str(registry.get_version(MODEL, version).run_id)


def edit(path: Path, **changes: Any) -> None:
    path.write_bytes(encode_record(json.loads(path.read_bytes()) | changes))


def test_nights_that_nobody_has_touched_agree(store: Store) -> None:
    found = open_release(store).audit(thorough=True)
    assert found.disagreements == found.strangers == found.notes == []
    assert list_ledger_faults(conclude(store, "2")) == []


class TestBrokenChain:
    # Each entry, and each kind of change; how an entry is named is tested in test_chain.py.
    @pytest.mark.parametrize(
        ("how", "number"),
        [
            ("edited", 1),
            ("removed", 2),
            ("emptied", 3),
            ("edited", 4),
            ("removed", 5),
            ("emptied", 5),
        ],
    )
    def test_an_entry_that_was_changed_is_named_and_nothing_is_promoted(
        self, store: Store, number: int, how: str
    ) -> None:
        path = store.ledger / f"0000000{number}.json"
        if how == "edited":
            edit(path, at="2020-01-01T00:00:00.000+00:00")
        elif how == "removed":
            path.unlink()
        else:
            path.write_bytes(b"")
        looking = open_release(store)
        looking.look()
        assert any(f"Entry {number} " in said for said in looking.audit().faults)
        (said,) = list_ledger_faults(conclude(store, "2"))
        assert "`image-classification ledger --verify` tells all" in said
        fourth_run, fourth = register("fourth")
        with pytest.raises(ChampionMovedError, match=f"Nothing was moved: Entry {number} "):
            open_release(store, fourth_run).promote(fourth, decide("2"))
        assert registry.find_champion(MODEL) == "2"

    def test_a_ledger_that_was_written_anew_disagrees_with_mlflow(self, store: Store) -> None:
        for path in store.ledger.glob("*.json"):
            path.unlink()
        said = Statement(reason="all was well")
        open_release(store, run_of("1")).keep("1", decide("2"), verdict.KEPT, said)
        faults = open_release(store).audit().faults
        assert any(fault.startswith("Entry 5 was removed: ") for fault in faults)
        assert list_ledger_faults(conclude(store, "2")) != []

    def test_a_person_may_roll_back_all_the_same(self, store: Store) -> None:
        edit(store.ledger / "00000001.json", at="2020-01-01T00:00:00.000+00:00")
        plan = {"from": "2", "to": "1", "reason": "misses rings", "by": "Ada"}
        said = open_release(store, register("back")[0], identity="root").roll_back(plan)
        assert said == "rolled back to v1 from v2, by root (typed: Ada): misses rings"

    def test_what_a_person_accepts_holds_nothing_up_any_more(self, store: Store) -> None:
        (store.ledger / "00000005.json").unlink()
        assert open_release(store, identity="ada").accept("a disk was lost") != []
        looking = open_release(store)
        found = looking.audit(thorough=True)
        assert found.disagreements == []
        assert all("accepted by ada on " in said for said in found.accepted)
        assert list_ledger_faults(conclude(store, "2")) == []

    def test_a_copy_of_an_entry_that_was_edited_is_named(self, store: Store) -> None:
        path = "promotion/ledger_entry.json"
        MlflowClient().log_dict(run_of("2"), {"version": "2", "by": "Eve"}, path)
        (said,) = open_release(store).audit(thorough=True).faults
        assert said == f"Entry 4 was edited, or its copy in MLflow run {run_of('2')} was"
        assert open_release(store, identity="ada").accept("somebody's trial") == [said]

    def test_an_earlier_release_s_entry_that_was_edited_disagrees_with_its_copy(
        self, store: Store
    ) -> None:
        for path in sorted(store.ledger.glob("*.json")):
            entry = json.loads(path.read_bytes())
            path.unlink()
        entry = {key: entry[key] for key in entry if key not in ("number", "previous", "step")}
        MlflowClient().log_dict(run_of("3"), entry, "promotion/ledger_entry.json")
        write_earlier(store.ledger, "r3-kept", {**entry, "by": "Eve"})
        faults = open_release(store).audit(thorough=True).faults
        assert any(said.startswith("The entry of ") for said in faults)


class TestStrangers:
    def test_an_alias_that_was_moved_by_hand_is_named_with_both_ways_out(
        self, store: Store
    ) -> None:
        MlflowClient().set_registered_model_alias(MODEL, registry.CHAMPION, "3")
        (said,) = open_release(store).audit().moved
        assert said == (
            "The alias 'champion' of 'cells' points to version 3, the ledger says version 2: it "
            "was moved by hand. `image-classification rollback 3 --reason …` writes it into the "
            "ledger; `image-classification rollback 2 --reason …` puts it back"
        )
        # The night compares with the one that is in use, and may replace it.
        assert list_ledger_faults(conclude(store, "3")) == []
        plan = {"from": "3", "to": "3", "reason": "looked at", "by": ""}
        open_release(store, register("back")[0], identity="ada").roll_back(plan)
        assert open_release(store).audit().moved == []

    @pytest.mark.parametrize("how", ["alias", "version", "model", "renamed"])
    def test_a_champion_that_was_only_deleted_is_followed_by_no_first_champion(
        self, store: Store, how: str
    ) -> None:
        client = MlflowClient()
        fourth_run, fourth = register("fourth")
        if how == "alias":
            client.delete_registered_model_alias(MODEL, registry.CHAMPION)
        elif how == "version":
            client.delete_registered_model_alias(MODEL, registry.CHAMPION)
            client.delete_model_version(MODEL, "2")
        else:
            if how == "model":
                client.delete_registered_model(MODEL)
            else:
                client.rename_registered_model(MODEL, "platelets")
            fourth = register_version(MODEL, open_run("after"), {})
        looking = open_release(store)
        looking.look()
        (said, *_) = looking.audit().moved
        assert "points to none, the ledger says version 2: it was removed by hand, or" in said
        assert ("renamed. That one is not" in said) is (how in ("version", "model", "renamed"))
        assert ("renamed. `image-classification rollback 2 " in said) is (how == "alias")
        comparison = make_comparison(theirs=None)
        decision = open_release(store).conclude(fourth, comparison, None)
        (said,) = list_ledger_faults(decision)
        assert "no first champion: the ledger knows version 2 as champion" in said
        with pytest.raises(ChampionMovedError, match="no first champion"):
            open_release(store, fourth_run).promote(fourth, decide(None))
        assert registry.find_champion(MODEL) is None
        # A person says what shall be champion.
        plan = {"from": "", "to": fourth, "reason": "version 2 is gone", "by": ""}
        open_release(store, open_run("back"), identity="ada").roll_back(plan)
        assert registry.find_champion(MODEL) == fourth
        assert open_release(store).audit().moved == []

    def test_versions_of_another_origin_and_versions_that_went_are_named(
        self, store: Store
    ) -> None:
        _, stranger = register("by hand")
        MlflowClient().delete_model_version(MODEL, "3")
        looking = open_release(store)
        looking.look()
        found = looking.audit()
        assert found.strangers == [
            f"Version {stranger} was not registered by this project: it is left alone"
        ]
        assert found.missing == ["Version 3, which the ledger names, is not registered any more"]
        assert found.faults == found.moved == []

    def test_runs_that_were_deleted_and_copies_that_were_removed_are_named(
        self, store: Store
    ) -> None:
        MlflowClient().delete_run(run_of("3"))
        MlflowClient().delete_model_version_tag(MODEL, "2", registry.LEDGER_TAG)
        looking = open_release(store)
        looking.look()
        assert sorted(looking.audit(thorough=True).missing) == [
            f"MLflow run {run_of('3')}, of entry 5, was deleted",
            "Version 2 keeps no copy of entry 4: it was removed",
        ]

    def test_a_champion_is_replaced_although_its_run_and_version_are_gone(
        self, store: Store
    ) -> None:
        fourth_run, fourth = register("fourth")
        MlflowClient().delete_run(run_of("2"))
        assert open_release(store, fourth_run).promote(fourth, decide("2"))
        assert registry.find_champion(MODEL) == fourth
