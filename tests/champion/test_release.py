"""Decisions carried out: moves, verifications and records, against a real MLflow store."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from judgement import make_facts
from mlflow import MlflowClient
from registry_store import EXPERIMENT, MODEL, Store, register
from shipped import read_shipped

from image_classification import tracking
from image_classification.champion import ledger, move, registry, verification
from image_classification.champion.move import Mover
from image_classification.champion.release import Release
from image_classification.champion.statement import DecisionRun, Statement
from image_classification.datasets import LedgerDataset
from image_classification.errors import (
    ChampionMovedError,
    RegistryError,
    VerificationError,
)
from image_classification.gate import comparison, judgement, verdict

POLICY: Any = read_shipped("promotion", env="test")
CLASSES, POSITIVE = ["Parasitized", "Uninfected"], "Parasitized"


@pytest.fixture(autouse=True)
def connect(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    # Git is asked by the tests of `record`.
    monkeypatch.setenv("IMAGE_CLASSIFICATION_COMMIT", "c0ffee")


@pytest.fixture
def entries(store: Store) -> LedgerDataset:
    return LedgerDataset(filepath=str(store.ledger))


class Consumer:
    """Stands for the fresh process: answers as the champion's model, as well as it is told to."""

    def __init__(self) -> None:
        self.difference: float | None = 0.0
        self.model_id: str | None = None
        self.fault: Exception | None = None
        self.asked: list[str] = []

    def __call__(self, model_uri: str, timed_calls: int = 0) -> dict[str, Any]:
        self.asked.append(model_uri)
        if self.fault:
            raise self.fault
        champion = registry.find_champion(MODEL)
        own = registry.find_model_id(MODEL, champion) if champion else None
        return {"model_id": self.model_id or own, "golden_difference": self.difference}


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> Consumer:
    fake = Consumer()
    monkeypatch.setattr(verification, "consume_version", fake)
    return fake


@pytest.fixture
def open_release(entries: LedgerDataset) -> Callable[..., Release]:
    def open_one(run_id: str, **about: Any) -> Release:
        policy = {**POLICY, **about.pop("policy", {})}
        return Release(MODEL, entries, policy, DecisionRun(run_id, **about))

    return open_one


def score(right: int, version: str = "", images: int = 24) -> pd.DataFrame:
    """Return predictions of images of six patients, of which so many are right."""
    label = np.array(CLASSES * (images // 2))
    other = np.where(label == CLASSES[0], CLASSES[1], CLASSES[0])
    category = np.where(np.arange(images) < right, label, other)
    positive = np.where(category == POSITIVE, 0.9, 0.1)
    return pd.DataFrame(
        {
            "image_id": [f"id-{row}" for row in range(images)],
            "patient": [f"C{row % 6}" for row in range(images)],
            "label": label,
            "probability_Parasitized": positive,
            "probability_Uninfected": 1 - positive,
            "category": category,
            "model_version": version,
        }
    )


def compare(challenger: int = 24, champion: str | None = None, right: int = 12) -> dict[str, Any]:
    return copy.deepcopy(compare_once(challenger, champion, right))


@cache
def compare_once(challenger: int, champion: str | None, right: int) -> dict[str, Any]:
    theirs = score(right, champion) if champion else score(0).iloc[:0]
    return comparison.compare_predictions(score(challenger), theirs, CLASSES, POSITIVE, POLICY)


def decide(champion: str | None = None, **how: Any) -> dict[str, Any]:
    """Return the decision to promote; `challenger=12` for one to keep."""
    return judgement.judge(compare(champion=champion, **how), None, POLICY)


def plan_move(old: str, new: str, reason: str = "odd") -> dict[str, str]:
    """Return the plan of a rollback from one version to another, which Ada has asked for."""
    return {"from": old, "to": new, "reason": reason, "by": "Ada"}


def champion() -> str | None:
    return registry.find_champion(MODEL)


def run_of(version: str) -> str:
    return str(MlflowClient().get_model_version(MODEL, version).run_id)


def tags_of(version: str) -> dict[str, str]:
    return dict(MlflowClient().get_model_version(MODEL, version).tags)


def card_of(version: str) -> str:
    return str(MlflowClient().get_model_version(MODEL, version).description)


def events(entries: LedgerDataset) -> list[tuple[str, str, str | None, str | None]]:
    found = ledger.sort_entries(entries.load().values())
    return [
        (entry["event"], entry["version"], entry["champion_before"], entry["champion_after"])
        for entry in found
    ]


@pytest.fixture
def first(
    shared_store: Store,
    store: Store,
    consumer: Consumer,
    open_release: Callable[..., Release],
) -> str:
    """A champion, promoted once for all tests and put back for each."""
    if not shared_store.has("a champion"):
        run_id, version = register("first")
        assert version == "1"
        open_release(run_id).promote(version, decide())
        shared_store.keep("a champion")
    store.put_back("a champion")
    consumer.asked.clear()
    return "1"


@pytest.fixture
def second(
    first: str, shared_store: Store, store: Store, open_release: Callable[..., Release]
) -> str:
    """A better version that has replaced the first one."""
    if not shared_store.has("another champion"):
        run_id, version = register("second")
        assert version == "2"
        open_release(run_id).promote(version, decide(first))
        shared_store.keep("another champion")
    store.put_back("another champion")
    return "2"


class TestPromotion:
    def test_the_first_champion_is_verified_and_recorded_everywhere(
        self, open_release: Callable[..., Release], consumer: Consumer, entries: LedgerDataset
    ) -> None:
        run_id, first = register("first")
        outcome = open_release(run_id).promote(first, decide())
        assert outcome.startswith(f"promoted v{first}: ")
        assert "replaces" not in outcome
        assert champion() == first
        assert consumer.asked == [f"models:/{MODEL}@champion"]
        assert events(entries) == [("promoted", first, None, first)]
        tags = tags_of(first)
        assert tags["decision"] == "promoted"
        assert tags["in_use"].startswith("since ")
        assert tags["validation_accuracy"] == "1.0000"
        assert card_of(first).startswith("Champion since ")
        run_id = MlflowClient().get_model_version(MODEL, first).run_id
        kept = tracking.read_artifact(run_id, "promotion/ledger_entry.json")
        assert json.loads(kept or b"{}")["event"] == "promoted"

    def test_a_better_challenger_replaces_the_champion_which_says_by_whom(
        self, first: str, open_release: Callable[..., Release], entries: LedgerDataset
    ) -> None:
        run_id, second = register("second")
        outcome = open_release(run_id).promote(
            second, decide(first), Statement("Ada", comment="looked at")
        )
        assert outcome.startswith(f"promoted v{second}, approved by Ada: challenger +50.0 points")
        assert champion() == second
        assert events(entries)[-1] == ("promoted", second, first, second)
        assert tags_of(first)["in_use"].endswith(f", then version {second}")
        assert tags_of(first)["decision"] == "promoted"
        assert card_of(first).startswith("Was champion until ")
        assert "**Promoted**" in card_of(first)
        assert "“looked at”" in card_of(second)

    @pytest.mark.usefixtures("consumer")
    def test_a_version_of_another_environment_says_whom_it_replaces(
        self, open_release: Callable[..., Release], entries: LedgerDataset
    ) -> None:
        told = Statement("Ada", reason="from staging")
        for name, ending in (("first", ""), ("second", "; it replaces v1")):
            run_id, version = register(name)
            outcome = open_release(run_id).bring_in(version, told)
            assert outcome == f"brought in v{version}, by Ada: from staging{ending}"
            assert champion() == version
        assert [entry[0] for entry in events(entries)] == [verdict.BROUGHT_IN] * 2

    def test_promoting_twice_is_promoting_once(
        self, first: str, open_release: Callable[..., Release], entries: LedgerDataset
    ) -> None:
        before = (entries.load(), tags_of(first), card_of(first))
        recorded = {name: before[0][name] for name in before[0]}
        run_id = MlflowClient().get_model_version(MODEL, first).run_id
        open_release(run_id).promote(first, decide())
        assert champion() == first
        assert dict(entries.load()) == recorded
        assert (tags_of(first), card_of(first)) == before[1:]

    def test_a_champion_moved_since_the_comparison_stays_and_the_loss_is_recorded(
        self, first: str, open_release: Callable[..., Release], entries: LedgerDataset
    ) -> None:
        _, second = register("second")
        MlflowClient().set_registered_model_alias(MODEL, registry.CHAMPION, second)
        run_id, third = register("third")
        with pytest.raises(ChampionMovedError, match=f"expected version {first}, found version"):
            open_release(run_id).promote(third, decide(first))
        assert champion() == second
        assert events(entries)[-1] == ("lost race", third, second, second)
        assert tags_of(third)["decision"] == "lost race"
        assert open_release(run_id).read_refusal().startswith("The champion of 'cells' changed")

    @pytest.mark.parametrize("cut", ["verify_champion", "_end"])
    def test_a_promotion_that_is_cut_short_is_completed_by_its_retry(
        self,
        first: str,
        open_release: Callable[..., Release],
        entries: LedgerDataset,
        monkeypatch: pytest.MonkeyPatch,
        cut: str,
    ) -> None:
        run_id, second = register("second")

        def killed(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            place: Any = move if cut == "verify_champion" else Mover
            patch.setattr(place, cut, killed)
            with pytest.raises(KeyboardInterrupt):
                open_release(run_id).promote(second, decide(first))
        assert champion() == second  # moved, and nothing recorded
        assert len(entries.load()) == 1
        open_release(run_id).promote(second, decide(first))
        assert events(entries)[-1] == ("promoted", second, first, second)
        assert tags_of(first)["in_use"].endswith(f", then version {second}")

    def test_a_run_whose_champion_was_rolled_back_does_not_promote_it_again(
        self, first: str, second: str, open_release: Callable[..., Release], entries: LedgerDataset
    ) -> None:
        open_release(register("rollback")[0]).roll_back(plan_move(second, first))
        with pytest.raises(ChampionMovedError, match="has made version 2 champion before"):
            open_release(run_of(second)).promote(second, decide(first))
        assert champion() == first


class TestVerification:
    @pytest.mark.parametrize(
        ("difference", "fault"),
        [
            (0.0011, "a probability differs by 0.0011, allowed: 0.001"),
            (float("nan"), "a probability differs by nan"),
        ],
    )
    def test_other_answers_than_stored_move_the_alias_back(
        self,
        first: str,
        consumer: Consumer,
        open_release: Callable[..., Release],
        entries: LedgerDataset,
        difference: float,
        fault: str,
    ) -> None:
        consumer.difference = difference
        run_id, second = register("second")
        with pytest.raises(VerificationError, match=f"{fault}.* The champion is version 1 again"):
            open_release(run_id).promote(second, decide(first))
        assert champion() == first
        assert events(entries)[-1] == ("failed verification", second, first, first)
        assert tags_of(first)["in_use"].startswith("since ")
        assert tags_of(second)["decision"] == "failed verification"

    def test_answers_as_far_off_as_allowed_are_accepted(
        self, first: str, consumer: Consumer, open_release: Callable[..., Release]
    ) -> None:
        consumer.difference = POLICY["golden_tolerance"]
        run_id, second = register("second")
        open_release(run_id).promote(second, decide(first))
        assert champion() == second

    def test_a_first_champion_that_fails_leaves_none(
        self, consumer: Consumer, open_release: Callable[..., Release]
    ) -> None:
        consumer.fault = VerificationError("it cannot be loaded")
        run_id, version = register("first")
        with pytest.raises(VerificationError, match="cannot be loaded The champion is none again"):
            open_release(run_id).promote(version, decide())
        assert champion() is None

    def test_an_alias_that_answers_as_another_model_is_moved_back(
        self, first: str, consumer: Consumer, open_release: Callable[..., Release]
    ) -> None:
        consumer.model_id = "m-other"
        run_id, second = register("second")
        with pytest.raises(VerificationError, match="answers as model m-other, not as m-"):
            open_release(run_id).promote(second, decide(first))
        assert champion() == first

    def test_a_version_without_golden_cells_is_loaded_and_not_asked(
        self, consumer: Consumer, open_release: Callable[..., Release]
    ) -> None:
        consumer.difference = None
        run_id, version = register("first")
        open_release(run_id).promote(version, decide())
        assert champion() == version


class TestKeeping:
    @pytest.mark.parametrize(
        ("event", "statement", "opening"),
        [
            (verdict.KEPT, Statement(), "kept v1: challenger +0.0 points"),
            (verdict.REFUSED, Statement(), "refused v2, kept v1: challenger"),
            (
                verdict.REJECTED,
                Statement("Ada", comment="not in the holidays"),
                "kept v1, v2 was rejected by Ada (not in the holidays); the gate: challenger",
            ),
            (verdict.REJECTED, Statement("Ada"), "kept v1, v2 was rejected by Ada; the gate: chal"),
            (verdict.NOT_MOVED, Statement(), "dry run, kept v1; v2 would have been promoted: chal"),
        ],
    )
    def test_each_way_to_keep_is_told_and_recorded(
        self,
        first: str,
        open_release: Callable[..., Release],
        entries: LedgerDataset,
        event: str,
        statement: Statement,
        opening: str,
    ) -> None:
        run_id, second = register("second")
        decision = decide(first, challenger=12)
        outcome = open_release(run_id).keep(second, decision, event, statement)
        assert outcome.startswith(opening)
        assert champion() == first
        assert events(entries)[-1] == (event, second, first, first)
        assert tags_of(second)["decision"] == event
        assert f"| measure | this version | champion v{first} |" in card_of(second)

    def test_keeping_no_champion_says_so(self, open_release: Callable[..., Release]) -> None:
        run_id, version = register("first")
        outcome = open_release(run_id).keep(version, decide())
        assert outcome.startswith("kept no champion: ")
        assert champion() is None

    def test_a_champion_judged_against_itself_keeps_the_record_of_its_promotion(
        self, first: str, open_release: Callable[..., Release], entries: LedgerDataset
    ) -> None:
        card = card_of(first)
        another_run = tracking.open_run(
            tracking.open_experiment(EXPERIMENT), "promotion/one", "promotion", {}
        )
        open_release(another_run).keep(first, decide(first, challenger=12))
        assert tags_of(first)["decision"] == "promoted"
        assert card_of(first) == card
        assert events(entries)[-1][0] == "kept champion"


class TestRollback:
    def test_an_earlier_champion_is_restored_verified_and_recorded_on_both(
        self,
        first: str,
        second: str,
        consumer: Consumer,
        open_release: Callable[..., Release],
        entries: LedgerDataset,
    ) -> None:
        rollback_run, _ = register("rollback")
        asked = len(consumer.asked)
        for _ in range(2):  # a retry does it once
            outcome = open_release(rollback_run).roll_back(plan_move(second, first, "misses rings"))
        assert outcome == f"rolled back to v{first} from v{second}, by Ada: misses rings"
        assert champion() == first
        assert len(consumer.asked) > asked
        assert events(entries)[-1] == ("rolled back", first, second, first)
        assert len(events(entries)) == 3
        assert tags_of(first)["decision"] == "restored"
        assert tags_of(first)["in_use"].startswith("since ")
        assert tags_of(second)["decision"] == "rolled back"
        assert tags_of(second)["decision_reason"] == "misses rings"
        assert f"\n\n**Restored, in place of version {second}** by Ada." in card_of(first)
        assert f"rolled back to v{first}, by Ada: misses rings" in card_of(first)
        assert tags_of(second)["in_use"].endswith(f", then version {first}")
        assert "### How it was judged" in card_of(first)
        assert card_of(second).startswith("Was champion until ")
        assert "\n\nRolled back by Ada: Misses rings." in card_of(second)

    def test_a_target_that_does_not_answer_leaves_the_present_champion(
        self,
        first: str,
        second: str,
        consumer: Consumer,
        open_release: Callable[..., Release],
        entries: LedgerDataset,
    ) -> None:
        consumer.difference = 0.5
        with pytest.raises(VerificationError, match="The champion is version 2 again"):
            open_release(register("rollback")[0]).roll_back(plan_move(second, first))
        assert champion() == second
        assert events(entries)[-1] == ("failed verification", first, second, second)

    def test_a_champion_moved_since_the_plan_stays(
        self, first: str, open_release: Callable[..., Release], entries: LedgerDataset
    ) -> None:
        _, second = register("second")
        _, third = register("third")
        MlflowClient().set_registered_model_alias(MODEL, registry.CHAMPION, third)
        with pytest.raises(ChampionMovedError, match="expected version 2, found version 3"):
            open_release(register("rollback")[0]).roll_back(plan_move(second, first))
        assert champion() == third
        assert events(entries)[-1] == ("lost race", first, third, third)


class TestOutdatedMoves:
    """What compare-and-set alone does not see: the alias has been elsewhere, and is back."""

    @pytest.fixture
    def rolled_back(self, first: str, second: str, open_release: Callable[..., Release]) -> str:
        """A better version that was champion, and that Ada has rolled back."""
        open_release(register("rollback")[0]).roll_back(plan_move(second, first, "misses rings"))
        return second

    def test_an_approval_that_waited_through_a_rollback_does_not_undo_it(
        self,
        first: str,
        rolled_back: str,
        open_release: Callable[..., Release],
        entries: LedgerDataset,
    ) -> None:
        waiting = open_release(register("waiting")[0])
        with pytest.raises(ChampionMovedError, match="was rolled back since it was judged: by Ada"):
            waiting.promote(rolled_back, decide(first), Statement("Bob", comment="go"))
        assert champion() == first
        assert events(entries)[-1] == ("lost race", rolled_back, first, first)

    def test_clearing_a_rollback_of_old_moves_nothing(
        self, first: str, second: str, open_release: Callable[..., Release], entries: LedgerDataset
    ) -> None:
        old, _ = register("old-rollback")
        plan = plan_move(second, first, "misses rings")
        open_release(old).roll_back(plan)
        open_release(register("back")[0]).roll_back(plan_move(first, second, "it was right"))
        known = len(events(entries))
        with pytest.raises(ChampionMovedError, match="has made version 1 champion before"):
            open_release(old).roll_back(plan)
        assert champion() == second
        assert len(events(entries)) == known + 1

    def test_the_same_challenger_judged_twice_at_once_is_promoted_once(
        self, first: str, second: str, open_release: Callable[..., Release], entries: LedgerDataset
    ) -> None:
        with pytest.raises(ChampionMovedError) as refusal:
            open_release(register("other")[0]).promote(second, decide(first))
        move = next(one for one in entries.load().values() if one["champion_after"] == second)
        told = f"promoted by {move['by']}, {move['mlflow_url']}. Nothing was moved."
        assert str(refusal.value) == f"Version 2 is champion already: {told}"
        assert champion() == second
        assert [entry[0] for entry in events(entries)] == ["promoted", "promoted", "lost race"]

    def test_a_promotion_that_was_recorded_is_not_verified_again_by_a_retry(
        self, first: str, consumer: Consumer, open_release: Callable[..., Release]
    ) -> None:
        run_id, second = register("second")
        outcome = open_release(run_id).promote(second, decide(first))
        consumer.difference = 0.5
        assert open_release(run_id).promote(second, decide(first)) == outcome
        assert champion() == second
        assert tags_of(second)["decision"] == "promoted"

    def test_a_champion_set_by_hand_while_it_is_verified_stays(
        self,
        first: str,
        consumer: Consumer,
        open_release: Callable[..., Release],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        run_id, second = register("second")
        _, third = register("third")

        def answer_late(model_uri: str) -> dict[str, Any]:
            found = consumer(model_uri)
            MlflowClient().set_registered_model_alias(MODEL, registry.CHAMPION, third)
            return found

        monkeypatch.setattr(verification, "consume_version", answer_late)
        with pytest.raises(ChampionMovedError, match="somebody has made version 3 champion"):
            open_release(run_id).promote(second, decide(first))
        assert champion() == third

    def test_a_decision_of_long_ago_is_not_carried_out_unless_a_person_says_so(
        self, first: str, open_release: Callable[..., Release]
    ) -> None:
        run_id, second = register("second")
        late = open_release(run_id, age_hours=37.0)
        with pytest.raises(ChampionMovedError, match=r"for a date 37\.0 hours ago, allowed: 36"):
            late.promote(second, decide(first))
        assert champion() == first
        open_release(run_id, age_hours=36.0).promote(second, decide(first))
        run_id, third = register("third")
        late = open_release(run_id, age_hours=37.0)
        late.promote(third, decide(second), Statement("Ada", comment="waited for me"))
        assert champion() == third


class TestSecondDecisions:
    def test_another_answer_of_the_same_run_is_an_entry_of_its_own(
        self, first: str, open_release: Callable[..., Release], entries: LedgerDataset
    ) -> None:
        run_id, second = register("second")
        nobody = Statement("nobody", comment="no answer in time")
        ada = Statement("Ada", comment="not in the holidays")
        for statement in (nobody, nobody, ada):
            open_release(run_id).keep(second, decide(first), verdict.REJECTED, statement)
        found = ledger.sort_entries(entries.load().values())
        assert [(entry["event"], entry["by"]) for entry in found[1:]] == [
            ("rejected", "nobody"),
            ("rejected", "Ada"),
        ]
        assert "**Rejected** by Ada." in card_of(second)

    def test_a_failure_before_a_promotion_is_no_refusal_of_it(
        self, first: str, consumer: Consumer, open_release: Callable[..., Release]
    ) -> None:
        run_id, second = register("second")
        consumer.difference = 0.5
        with pytest.raises(VerificationError):
            open_release(run_id).promote(second, decide(first))
        assert "does not answer" in open_release(run_id).read_refusal()
        consumer.difference = 0.0
        open_release(run_id).promote(second, decide(first))
        assert open_release(run_id).read_refusal() == ""

    def test_a_champion_that_changed_meanwhile_is_not_taken_for_the_one_compared(
        self, first: str, open_release: Callable[..., Release]
    ) -> None:
        run_id, second = register("second")
        _, third = register("third")
        MlflowClient().set_registered_model_alias(MODEL, registry.CHAMPION, third)
        said = open_release(run_id).keep(second, decide(first), verdict.REJECTED, Statement("Ada"))
        assert said.startswith("kept v3 (compared with v1), v2 was rejected by Ada")

    @pytest.mark.parametrize(
        ("facts", "guards"),
        [
            ({"backfill": True}, "run_of_today"),
            ({"backfill": True, "rolled_back": "by Ada"}, "run_of_today, not_rolled_back"),
        ],
    )
    def test_a_refused_version_names_the_guards_and_waits_where_it_was_the_date_alone(
        self,
        first: str,
        open_release: Callable[..., Release],
        facts: dict[str, Any],
        guards: str,
    ) -> None:
        run_id, second = register("second")
        decision = judgement.judge(compare(champion=first), make_facts(**facts), POLICY)
        open_release(run_id).keep(second, decision, verdict.REFUSED)
        tags = tags_of(second)
        assert tags["refused_for"] == guards
        waits = registry.explain_unjudged(tags)
        assert waits == ("was refused for the date of its run alone" if len(facts) == 1 else "")


class TestFacts:
    def test_patients_seen_and_dates_come_from_what_each_version_keeps(
        self, consumer: Consumer, open_release: Callable[..., Release]
    ) -> None:
        def tabulate(patient: str, split: str) -> pd.DataFrame:
            row = {"image_id": "a", "label": POSITIVE, "patient": patient, "split": split}
            return pd.DataFrame([row])

        run_id, old = register("old", tabulate("C1", "train"), "2026-11-01T00:00:00+00:00")
        open_release(run_id).promote(old, decide())
        run_id, new = register("new", tabulate("C1", "validation"), "2026-11-02T00:00:00+00:00")
        made = open_release(run_id, backfill=True, age_hours=50.0)
        facts = made.gather_facts(new, compare(champion=old), {"load_s": 1.0})
        assert facts == {
            "challenger_seen": [],
            "champion_seen": ["C1"],
            "challenger_data_until": "2026-11-02T00:00:00+00:00",
            "champion_data_until": "2026-11-01T00:00:00+00:00",
            "rolled_back": "",
            "backfill": True,
            "run_age_hours": 50.0,
            "package": {"load_s": 1.0},
            "ledger_fault": "",
        }

    def test_of_no_champion_nothing_was_seen(self, open_release: Callable[..., Release]) -> None:
        run_id, new = register("new")
        facts = open_release(run_id).gather_facts(new, compare(), None)
        assert (facts["champion_seen"], facts["champion_data_until"]) == ([], "")

    def test_a_version_without_a_table_of_images_is_not_known(
        self, first: str, open_release: Callable[..., Release]
    ) -> None:
        run_id, second = register("second")
        facts = open_release(run_id).gather_facts(second, compare(champion=first), None)
        assert facts["challenger_seen"] is facts["champion_seen"] is None
        decision = open_release(run_id).conclude(second, compare(champion=first), None)
        assert decision["verdict"] == "refuse"
        assert decision["challenger"]["version"] == second

    def test_a_version_that_was_rolled_back_is_known_to_be(
        self, first: str, second: str, open_release: Callable[..., Release]
    ) -> None:
        open_release(register("rollback")[0]).roll_back(plan_move(second, first))
        facts = open_release("another").gather_facts(second, compare(champion=first), None)
        assert facts["rolled_back"].startswith("by Ada on ")
        assert facts["rolled_back"].endswith(", odd")


def test_a_store_that_lacks_a_version_is_an_error(open_release: Callable[..., Release]) -> None:
    with pytest.raises(RegistryError, match="no version '9'"):
        open_release("run").keep("9", decide())
