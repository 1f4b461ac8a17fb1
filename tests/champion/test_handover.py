"""A version goes from staging to production, with its evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from judgement import make_decision, make_facts
from mlflow import MlflowClient
from registered import register_version
from registry_store import Store, open_run
from shipped import read_shipped

from image_classification import tracking
from image_classification.champion import move, package, registry, signature, verification
from image_classification.champion.consumer import digest_files
from image_classification.champion.handover import Party, hand_over
from image_classification.champion.release import Release
from image_classification.champion.statement import DecisionRun, Statement
from image_classification.datasets import LedgerDataset
from image_classification.errors import (
    LedgerError,
    RegistryError,
    SignatureError,
    VerificationError,
)
from image_classification.gate import verdict

POLICY: Any = read_shipped("promotion", env="test")
CLASSES = ["Parasitized", "Uninfected"]
ADA = Statement("Ada")
ASKED = Statement("Ada", reason="a hospital waits")


@pytest.fixture
def answers(store: Store, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the fresh process answers."""
    said: dict[str, Any] = {"golden_difference": 0.0}
    monkeypatch.setenv("IMAGE_CLASSIFICATION_COMMIT", "c0ffee")

    def consume(model_uri: str, timed_calls: int = 0) -> dict[str, Any]:
        name, alias = package.split_uri(model_uri)
        with package.fetch_files(name, alias):  # the signature is checked
            champion = str(registry.find_champion(name))
        return {"model_id": registry.find_model_id(name, champion), **said}

    monkeypatch.setattr(verification, "consume_version", consume)
    return said


@pytest.fixture
def giver(
    store: Store, answers: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Party:
    """Staging, with a first champion and a version that was never one.

    It is made once for all tests, and put back for each.
    """
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(store.folder / "staging"))
    if not store.has("a giver"):
        party = make_party("staging", store.folder)
        (tmp_path / "network.keras").write_bytes(b"a network")
        for name in ("first", "second"):
            tags = {registry.DIGEST_TAG: f"images of {name}", registry.IMAGES_TAG: "12"}
            register_version(party.model_name, open_run(name), tags, tmp_path / "network.keras")
        signature.use(party.signing)
        party.release.promote("1", make_decision(theirs=None))
        store.keep("a giver")
    store.put_back("a giver")
    return make_party("staging", store.folder)


@pytest.fixture
def taker(answers: dict[str, Any], tmp_path: Path) -> Party:
    """Production, with a key of its own."""
    party = make_party("production", tmp_path)
    signature.use(party.signing)
    with signature.make_key():
        pass
    return party


def make_party(
    name: str, folder: Path, classes: list[str] | None = CLASSES, run: str = "one"
) -> Party:
    ledger = LedgerDataset(filepath=str(folder / name / "ledger"))
    release = Release(f"{name}-cells", ledger, POLICY, DecisionRun(open_run(f"{name}-{run}")))
    key = str(folder / name / "keys" / "signing.pem")
    return Party(name, release, {"method": "key", "private_key": key}, classes)


def read_last(party: Party) -> dict[str, Any]:
    entry: dict[str, Any] = party.release.read_entries()[-1]
    return entry


def test_it_becomes_champion_with_its_tags_and_its_evidence_and_both_ledgers_tell(
    giver: Party, taker: Party
) -> None:
    said = hand_over(giver, taker, "1", ADA)
    assert said.startswith("brought in v1, by Ada: v1 of staging, champion of staging since 2")
    assert registry.find_champion("production-cells") == "1"
    copy = registry.get_version("production-cells", "1")
    assert copy.tags[registry.DIGEST_TAG] == "images of first"
    assert copy.tags[registry.DECISION_TAG] == verdict.BROUGHT_IN
    assert copy.run_id == registry.get_version("staging-cells", "1").run_id
    assert registry.find_model_id("production-cells", "1") == registry.find_model_id(
        "staging-cells", "1"
    )
    brought = read_last(taker)
    assert (brought["event"], brought["champion_after"]) == (verdict.BROUGHT_IN, "1")
    promoted, handed = giver.release.read_entries()
    assert f", entry {promoted['number']} there: {promoted['reason']}" in brought["reason"]
    assert brought["origin"]["entry"] == f"{promoted['number']} sha256:{promoted['digest']}"
    assert brought["origin"]["decision"] == promoted["decision"]
    assert len(brought["origin"]["files_digest"]) == 64
    assert (handed["event"], handed["champion_after"]) == (verdict.HANDED_ON, "1")
    assert handed["reason"] == "to production, as version 1 of 'production-cells'"
    assert (
        registry.get_version("staging-cells", "1").tags[registry.DECISION_TAG] == verdict.PROMOTED
    )
    for party in (giver, taker):
        signature.use(party.signing)
        assert party.release.audit(thorough=True).disagreements == []
        with package.fetch_files(party.model_name, "1"):
            pass  # each by its own key


def test_it_is_undone_as_a_promotion_is(giver: Party, taker: Party, tmp_path: Path) -> None:
    hand_over(giver, taker, "2", ASKED)
    assert read_last(taker)["comment"] == "a hospital waits"
    taker = make_party("production", tmp_path, run="two")
    hand_over(giver, taker, "1", ADA)
    assert registry.find_champion("production-cells") == "2"
    plan = {"from": "2", "to": "1", "reason": "it reads stains", "by": "Ada"}
    taker.release.roll_back(plan)
    assert registry.find_champion("production-cells") == "1"
    with pytest.raises(RegistryError, match=r"v2 of 'production' already, and was rolled back"):
        hand_over(giver, taker, "1", ADA)


def test_a_call_that_was_killed_is_finished_by_another(
    giver: Party, taker: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Release, "hand_on", die)
        with pytest.raises(KeyboardInterrupt):
            hand_over(giver, taker, "1", ADA)
    assert "already" in hand_over(giver, taker, "1", ADA)
    assert "already" in hand_over(giver, taker, "1", ADA)
    assert [entry["event"] for entry in taker.release.read_entries()] == [verdict.BROUGHT_IN]
    events = [entry["event"] for entry in giver.release.read_entries()]
    assert events == [verdict.PROMOTED, verdict.HANDED_ON]
    assert len(registry.list_versions("production-cells")) == 1


def refuse(giver: Party, taker: Party, version: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        hand_over(giver, taker, version, ADA)
    assert registry.find_champion(taker.model_name) is None
    assert verdict.HANDED_ON not in {entry["event"] for entry in giver.release.read_entries()}


@pytest.mark.parametrize("is_same", [True, False])
def test_files_that_are_not_those_that_were_measured_are_refused(
    giver: Party, taker: Party, store: Store, *, is_same: bool
) -> None:
    signature.use(giver.signing)
    with package.fetch_files("staging-cells", "2") as files:
        digest = digest_files(files)
    measured = digest if is_same else "0" * 64
    facts = {**make_facts(), "package": {"load_s": 1.0, "files_digest": measured}}
    decision = {**make_decision(), "facts": facts}
    decision["champion"] = {**decision["champion"], "version": "1"}
    # With the measures it would be asked whether they are those of the champion's files.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(move, "verify_champion", lambda *_: None)
        make_party("staging", store.folder, run="two").release.promote("2", decision)
    if not is_same:
        told = (
            f"'staging' are not those .*: their digest is {digest[:12]}, measured was 000000000000"
        )
        refuse(giver, taker, "2", SignatureError, told)
        return
    assert hand_over(giver, taker, "2", ADA).startswith("brought in v1, by Ada: v2 of staging")
    origin = read_last(taker)["origin"]
    assert (origin["environment"], origin["model"]) == ("staging", "staging-cells")
    assert (origin["version"], origin["files_digest"]) == ("2", digest)


def test_what_nobody_vouches_for_or_is_about_something_else_is_refused(
    giver: Party, taker: Party, tmp_path: Path
) -> None:
    refuse(giver, taker, "7", RegistryError, "There is no version '7' of 'staging-cells'")
    refuse(giver, taker, "2", RegistryError, r"'staging' was never champion there.*--reason")
    other = make_party("production", tmp_path, ["healthy", "rust"])
    refuse(
        giver, other, "1", RegistryError, "tells Parasitized, Uninfected apart, .* healthy, rust"
    )
    with pytest.raises(RegistryError, match="share the registered model 'staging-cells'"):
        hand_over(giver, giver, "1", ADA)
    assert "never champion of staging" in hand_over(giver, taker, "2", ASKED)


def test_files_that_were_changed_or_are_not_signed_are_refused(
    giver: Party, taker: Party, tmp_path: Path
) -> None:
    model_id = str(registry.find_model_id("staging-cells", "1"))
    (tmp_path / "class_names.json").write_text('["Uninfected", "Parasitized"]')
    client = MlflowClient()
    client.log_model_artifact(model_id, str(tmp_path / "class_names.json"))
    refuse(giver, taker, "1", SignatureError, "is not what was packaged and signed")
    signature.use(taker.signing)
    client.log_model_artifact(model_id, str(tmp_path / "production" / "keys" / "signing.pub"))
    refuse(giver, taker, "1", SignatureError, "is not what was packaged and signed")


def test_a_ledger_that_was_edited_vouches_for_nothing(giver: Party, taker: Party) -> None:
    registry.tag_model("staging-cells", {registry.LEDGER_TAG: f"2 sha256:{'0' * 64}"})
    refuse(giver, taker, "1", LedgerError, "The ledger of 'staging' does not agree")


def test_a_version_that_does_not_answer_there_is_taken_back(
    giver: Party, taker: Party, answers: dict[str, Any]
) -> None:
    answers["golden_difference"] = 0.5
    refuse(giver, taker, "1", VerificationError, "does not answer its golden images")
    assert read_last(taker)["event"] == verdict.UNVERIFIED
    assert tracking.read_uri()
