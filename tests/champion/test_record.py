"""What is written of a decision: one entry, the tags and the card of a version. Without MLflow."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from judgement import make_comparison, make_decision, make_entry, make_facts, make_policy
from ledger_store import MemoryStore as Ledger

from image_classification import tracking
from image_classification.champion import lineage, record, registry
from image_classification.champion.chain import DECIDED
from image_classification.champion.record import Recorder
from image_classification.champion.statement import DecisionRun, Statement
from image_classification.gate import judgement, verdict

PROJECT = Path(__file__).resolve().parents[2]
RUN = DecisionRun("r1", "retraining/one", "http://airflow/runs/one")
POLICY = Statement()


class Registry:
    """Stands for the registry: four versions, of which 3 is champion; remembers what is written."""

    def __init__(self) -> None:
        self.champion: str | None = "3"
        self.cards = {str(number): f"card of {number}" for number in range(1, 5)}
        self.tags: dict[str, dict[str, str]] = {}
        self.outdated: dict[str, tuple[str, ...]] = {}
        self.kept: dict[str, dict[str, str]] = {}
        self.former: dict[str, dict[str, str]] = {}

    def find_champion(self, model_name: str) -> str | None:
        assert model_name == "cells"
        return self.champion

    def get_version(self, model_name: str, version: str) -> Any:
        assert model_name == "cells"
        tags = {"data_digest": f"d{version}", "train_digest": "t", "images": "800"}
        tags |= self.former.get(version, {})
        return SimpleNamespace(
            tags=tags, run_id=f"run of {version}", description=self.cards[version]
        )

    def describe_version(
        self,
        model_name: str,
        version: str,
        tags: dict[str, str],
        description: str,
        outdated: tuple[str, ...] = (),
    ) -> None:
        self.tags[version], self.cards[version] = dict(tags), description
        self.outdated[version] = outdated

    def tag_version(self, model_name: str, version: str, tags: dict[str, str]) -> None:
        self.kept[version] = dict(tags)

    def tag_model(self, model_name: str, tags: dict[str, str]) -> None:
        self.kept[model_name] = dict(tags)


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> Registry:
    fake = Registry()
    for name in ("find_champion", "get_version", "describe_version", "tag_version", "tag_model"):
        monkeypatch.setattr(registry, name, getattr(fake, name))
    monkeypatch.setenv("IMAGE_CLASSIFICATION_COMMIT", "c0ffee")
    monkeypatch.setattr(tracking, "locate_run", lambda run_id: f"http://mlflow/{run_id}")
    monkeypatch.setattr(tracking, "link_run", lambda run_id: f"#/experiments/1/runs/{run_id}")
    monkeypatch.setattr(tracking, "read_tag", lambda run_id, tag: f"http://airflow/{run_id}/{tag}")
    return fake


@pytest.fixture
def logged(versions: Registry, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any, str]]:
    """The files that were logged: of which run, what, and where."""
    files: list[tuple[str, Any, str]] = []
    monkeypatch.setattr(tracking, "log_json", lambda *given: files.append(given))
    monkeypatch.setattr(
        tracking, "tag_run", lambda run_id, tags: versions.kept.update({run_id: tags})
    )
    return files


def make_recorder(ledger: Ledger, run: DecisionRun = RUN) -> Recorder:
    plots = {"Confusion matrix": "plots/confusion_matrix.png", "ROC curve": "plots/roc_curve.png"}
    return Recorder("cells", ledger.journal, "auto", run, plots)


def minute_of(entry: dict[str, Any]) -> str:
    return str(entry["at"])[:16].replace("T", " ")


def publish_move(
    event: str,
    version: str,
    decision: Any,
    before: str | None,
    statement: Statement = POLICY,
    ledger: Ledger | None = None,
) -> dict[str, Any]:
    """Publish the entry of a move; return it."""
    recorder = make_recorder(ledger or Ledger())
    entry = recorder.make_entry(event, version, decision, statement)
    moved = {**entry, "champion_before": before, "champion_after": version}
    recorder.publish(moved)
    return moved


class TestEntry:
    def test_it_says_what_was_decided_by_whom_on_what_data_and_in_which_run(
        self, logged: list[Any]
    ) -> None:
        ledger, decision = Ledger(), make_decision()
        statement = Statement("Ada", comment="looked at")
        make_recorder(ledger).record(verdict.KEPT, "4", decision, statement)
        entry = dict(ledger.last)
        assert entry.pop("at")[-6:] == "+00:00"
        assert entry == {
            "event": "kept champion",
            "model": "cells",
            "version": "4",
            "champion_before": "3",
            "champion_after": "3",
            "by": "Ada",
            "comment": "looked at",
            "mode": "auto",
            "reason": decision["reason"],
            "decision": decision,
            "data": {"data_digest": "d4", "train_digest": "t"},
            "git_commit": "c0ffee",
            "airflow_run": "retraining/one",
            "airflow_url": "http://airflow/runs/one",
            "mlflow_run_id": "r1",
            "mlflow_url": "http://mlflow/r1",
            "typed": "",
            "number": 1,
            "digest": ledger.read().head.digest,
        }
        assert logged == [("r1", ledger.last, "promotion/ledger_entry.json")]

    def test_its_reason_is_the_decision_s_or_one_of_its_own(self, logged: list[Any]) -> None:
        recorder = make_recorder(Ledger())
        said = Statement("Ada", comment="odd", reason="misses rings", typed="A.")
        entry = recorder.make_entry(verdict.ROLLED_BACK, "3", None, said)
        assert (entry["reason"], entry["mode"], entry["typed"]) == ("misses rings", "", "A.")
        assert recorder.make_entry(verdict.LOST_RACE, "3", None, POLICY)["reason"] == ""

    def test_its_number_and_digest_stand_on_the_run_the_version_and_the_model(
        self, logged: list[Any], versions: Registry
    ) -> None:
        ledger = Ledger()
        make_recorder(ledger).record(verdict.KEPT, "4", make_decision(), POLICY)
        head = f"1 sha256:{ledger.read().head.digest}"
        assert versions.kept == {"r1": {"ledger_head": head}, "cells": {"ledger_head": head}}
        assert versions.tags["4"]["ledger_head"] == head

    def test_the_same_said_again_is_written_once_and_the_first_entry_is_published(
        self, logged: list[Any], versions: Registry
    ) -> None:
        ledger, decision = Ledger(), make_decision()
        for _ in range(2):
            make_recorder(ledger).record(verdict.KEPT, "4", decision, POLICY)
        assert len(ledger.entries) == 1
        assert logged[0] == logged[1]
        assert minute_of(dict(ledger.last)) in versions.cards["4"]

    def test_whatever_else_is_said_is_another_entry(self, logged: list[Any]) -> None:
        ledger, decision = Ledger(), make_decision()
        for event, version, statement, run in (
            (verdict.REJECTED, "4", Statement("Ada", "late"), RUN),
            (verdict.KEPT, "4", Statement("Ada", "late"), RUN),
            (verdict.REJECTED, "2", Statement("Ada", "late"), RUN),
            (verdict.REJECTED, "4", Statement("Bob", "late"), RUN),
            (verdict.REJECTED, "4", Statement("Ada", "early"), RUN),
            (verdict.REJECTED, "4", Statement("Ada", "late", "why not"), RUN),
            (verdict.REJECTED, "4", Statement("Ada", "late"), DecisionRun("r2")),
        ):
            make_recorder(ledger, run).record(event, version, decision, statement)
        assert len(ledger.entries) == 7

    def test_entries_of_this_model_are_read_in_the_order_of_time(self) -> None:
        times = ("2026-11-22T02:00:03", "2026-11-22T02:00:01", "2026-11-22T02:00:02")
        entries = [make_entry(verdict.KEPT, "1", at=at) for at in times]
        other = make_entry(verdict.KEPT, "1", model="other", at="2026-11-22T02:00:00")
        found = make_recorder(Ledger(*entries, other)).read_entries()
        assert [entry["at"] for entry in found] == sorted(times)

    def test_a_run_finds_what_it_has_recorded_itself_last(self) -> None:
        entries = [
            make_entry(event, version, mlflow_run_id=run_id, at=f"2026-11-22T02:00:0{second}")
            for second, (event, version, run_id) in enumerate(
                [
                    (verdict.UNVERIFIED, "4", "r1"),
                    (verdict.PROMOTED, "4", "r1"),
                    (verdict.UNVERIFIED, "5", "r1"),
                    (verdict.PROMOTED, "6", "r2"),
                ]
            )
        ]
        recorder = make_recorder(Ledger(*entries))
        promoted, failed = recorder.find_entry(verdict.PROMOTED), recorder.read_last()
        assert promoted is not None
        assert failed is not None
        assert promoted["version"] == "4"
        assert failed == recorder.find_entry(verdict.UNVERIFIED)
        assert failed["version"] == "5"
        assert recorder.find_entry(verdict.KEPT) is None
        assert make_recorder(Ledger(*entries), DecisionRun("r3")).read_last() is None


@pytest.mark.usefixtures("logged")
class TestVersion:
    def test_a_promotion_writes_what_was_measured_and_takes_old_marks_off(
        self, versions: Registry
    ) -> None:
        decision = make_decision(ours={"accuracy": 0.97126})
        moved = publish_move(verdict.PROMOTED, "3", decision, "2")
        tags = versions.tags["3"]
        assert tags == {
            "decision": "promoted",
            "decision_reason": decision["reason"],
            "in_use": f"since {minute_of(moved)} UTC",
            "validation_accuracy": "0.9713",
        }
        assert set(versions.outdated["3"]) == {
            "refused_for",
            "replaced_by",
            "replaced_because",
            "champion_until",
            "champion_since",
        }

    def test_the_former_champion_says_by_whom_since_when_and_why(self, versions: Registry) -> None:
        versions.former["2"] = {"in_use": "since 2026-11-01 02:10 UTC"}
        moved = publish_move(verdict.PROMOTED, "3", make_decision(), "2")
        until = f"{minute_of(moved)} UTC, then version 3"
        assert versions.tags["2"] == {"in_use": f"2026-11-01 02:10 to {until}"}
        assert versions.cards["2"].startswith(f"Was champion until {until}.")
        assert versions.cards["2"].endswith("\n\ncard of 2")

    @pytest.mark.parametrize(
        ("tags", "began"),
        [
            ({"champion_since": "2026-11-01T02:10:22.123+00:00"}, "2026-11-01 02:10 to "),
            ({"in_use": "2026-11-01 02:10 to 2026-11-02 02:11 UTC, then version 3"}, None),
            ({}, "to "),
        ],
    )
    def test_since_when_is_known_of_earlier_releases_of_a_retry_and_of_none_set_by_hand(
        self, versions: Registry, tags: dict[str, str], began: str | None
    ) -> None:
        versions.former["2"] = tags
        moved = publish_move(verdict.PROMOTED, "3", make_decision(), "2")
        until = f"{minute_of(moved)} UTC, then version 3"
        assert versions.tags["2"]["in_use"] == f"{began or '2026-11-01 02:10 to '}{until}"

    def test_a_rollback_restores_one_version_and_takes_another_out(
        self, versions: Registry
    ) -> None:
        said = Statement("Ada", comment="misses rings", reason="misses rings")
        ledger = Ledger(
            make_entry(verdict.KEPT, "1", decision=make_decision(), at="2026-11-01"),
            make_entry(verdict.PROMOTED, "3", None, "3", decision=make_decision(), at="2026-11-02"),
            make_entry(verdict.PROMOTED, "4", "3", "4", decision=make_decision(theirs=None)),
        )
        publish_move(verdict.ROLLED_BACK, "3", None, "4", said, ledger)
        restored, out = versions.tags["3"], versions.tags["4"]
        assert (restored["decision"], out["decision"]) == ("restored", "rolled back")
        assert restored["in_use"].startswith("since ")
        assert out["in_use"].endswith(", then version 3")
        assert out["decision_reason"] == "misses rings"
        # It shows how it was judged itself, when it was promoted.
        assert "| measure | this version | champion v3 |" in versions.cards["3"]

    @pytest.mark.parametrize("before", [None, "3"])
    def test_where_nobody_was_replaced_nobody_is_marked(
        self, versions: Registry, before: str | None
    ) -> None:
        publish_move(verdict.PROMOTED, "3", make_decision(), before)
        assert set(versions.tags) == {"3"}
        assert "Replaced" not in versions.cards["3"]

    def test_a_kept_champion_is_not_marked_and_nothing_is_taken_off_the_challenger(
        self, versions: Registry
    ) -> None:
        make_recorder(Ledger()).record(verdict.KEPT, "4", make_decision(), POLICY)
        assert set(versions.tags) == {"4"}
        assert versions.outdated["4"] == ["refused_for"]
        assert "in_use" not in versions.tags["4"]

    def test_a_champion_judged_against_itself_keeps_the_record_of_its_promotion(
        self, versions: Registry
    ) -> None:
        make_recorder(Ledger()).record(verdict.KEPT, "3", make_decision(), POLICY)
        assert versions.tags == {}
        assert versions.kept["3"]["ledger_head"].startswith("1 sha256:")

    @pytest.mark.parametrize("tags", [{"in_use": "to noon"}, {"champion_since": "2026-11-01"}])
    @pytest.mark.parametrize("event", verdict.FAILURES)
    def test_a_former_champion_that_fails_again_keeps_the_record_of_its_promotion(
        self, versions: Registry, event: str, tags: dict[str, str]
    ) -> None:
        versions.former["2"] = tags
        for version in ("2", "4"):
            make_recorder(Ledger()).record(event, version, make_decision(), POLICY)
        assert "2" not in versions.tags
        assert versions.tags["4"]["decision"] == event

    def test_a_refusal_names_the_guards_that_failed_and_no_other_rule(
        self, versions: Registry
    ) -> None:
        facts = make_facts(backfill=True, rolled_back="by Ada")
        compared = make_comparison(ours={"accuracy": 0.1})
        decision = judgement.judge(compared, facts, make_policy())
        make_recorder(Ledger()).record(verdict.REFUSED, "4", decision, POLICY)
        assert versions.tags["4"]["refused_for"] == "run_of_today, not_rolled_back"

    # What is handed on keeps the tags of its decision.
    @pytest.mark.parametrize("event", sorted(verdict.EVENTS.keys() - {verdict.HANDED_ON}))
    def test_a_version_has_at_most_eight_tags_and_the_decision_is_the_first(
        self, versions: Registry, event: str
    ) -> None:
        of_data = lineage.make_tags({"data_digest": "d", "images": 800})
        decision = judgement.judge(make_comparison(), make_facts(backfill=True), make_policy())
        ledger = Ledger()
        recorder = make_recorder(ledger)
        entry = recorder.make_entry(event, "4", decision, POLICY)
        recorder.publish({**entry, "number": 7, "digest": "d"})
        shown = sorted({**of_data, **versions.tags["4"], "in_use": "a former champion"})
        assert "ledger_head" in shown
        assert len(shown) <= 8
        assert shown[0] == "decision"

    def test_the_card_leads_to_both_runs_and_shows_the_pictures(self, versions: Registry) -> None:
        make_recorder(Ledger()).record(verdict.KEPT, "4", make_decision(), POLICY)
        card = versions.cards["4"]
        # Without a host: whoever serves the store, and whether a server was known to the run.
        assert "[The night on one page](#/experiments/1/runs/r1/artifacts/night.html)" in card
        assert "[Training run](#/experiments/1/runs/run of 4)" in card
        assert "[DAG run](http://airflow/run of 4/airflow.url)" in card
        assert "[Decision](#/experiments/1/runs/r1)" in card
        assert "[its DAG run](http://airflow/runs/one)" in card
        place = "get-artifact?path=plots%2Fconfusion_matrix.png&run_uuid=run of 4"
        assert f"![Confusion matrix]({place})" in card
        own = DecisionRun("run of 4")
        make_recorder(Ledger(), own).record(verdict.KEPT, "4", make_decision(), POLICY)
        assert "[Decision]" not in versions.cards["4"]
        assert "DAG run" not in versions.cards["4"]

    @pytest.mark.parametrize("has_origin", [True, False])
    def test_a_version_that_was_brought_in_shows_how_it_was_judged_elsewhere(
        self, versions: Registry, *, has_origin: bool
    ) -> None:
        here, there = make_decision(ours={"accuracy": 0.9111}), make_decision()
        there["challenger"]["metrics"]["accuracy"] = 0.9222
        ledger = Ledger(make_entry(verdict.KEPT, "4", decision=here, at="2026-11-01"))
        recorder = make_recorder(ledger)
        entry = recorder.make_entry(verdict.BROUGHT_IN, "4", None, Statement("Ada"))
        origin = {"environment": "staging", "decision": there} if has_origin else None
        recorder.publish({**entry, "origin": origin, "number": 2, "digest": "d"})
        assert ("0.9222" in versions.cards["4"]) is has_origin
        assert ("0.9111" in versions.cards["4"]) is not has_origin


class TestMissingCopies:
    """A run was stopped after it had written its entry, and before MLflow had a copy."""

    @pytest.mark.parametrize(
        ("copied", "written"),
        [
            (None, [1, 2, 3]),
            ("0 sha256:0", [1, 2, 3]),
            ("many sha256:0", [1, 2, 3]),
            ("1 sha256:0", [2, 3]),
            ("1", [2, 3]),
            ("3 sha256:0", []),
            ("9 sha256:0", []),
        ],
    )
    def test_entries_after_the_newest_copy_are_written(
        self, logged: list[Any], monkeypatch: pytest.MonkeyPatch, copied: str | None, written: Any
    ) -> None:
        tags = {} if copied is None else {registry.LEDGER_TAG: copied}
        monkeypatch.setattr(registry, "read_model_tags", lambda _: tags)
        monkeypatch.setattr(registry, "read_all_tags", lambda _: {"4": {"decision": "kept"}})
        ledger = Ledger()
        for second in range(3):
            said = Statement("Ada", comment=f"the {second}th")
            ledger.journal.add(
                lambda _, said=said: {
                    **make_recorder(ledger).make_entry(verdict.KEPT, "4", make_decision(), said),
                    "step": DECIDED,
                }
            )
        sentences = [f"MLflow had no copy of entry {one}: it was written" for one in written]
        assert make_recorder(ledger).publish_missing() == sentences
        assert [entry["number"] for _, entry, _ in logged] == written

    def test_a_mark_that_somebody_removed_is_left_to_the_audit(
        self, logged: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ledger = Ledger()
        make_recorder(ledger).record(verdict.KEPT, "4", make_decision(), POLICY)
        logged.clear()
        copy = {registry.LEDGER_TAG: "1 sha256:0"}
        monkeypatch.setattr(registry, "read_all_tags", lambda _: {"4": copy, "5": {}})
        monkeypatch.setattr(registry, "read_model_tags", lambda _: {})
        assert make_recorder(ledger).publish_missing() == []
        monkeypatch.setattr(registry, "read_model_tags", lambda _: None)
        assert make_recorder(ledger).publish_missing() == []
        assert logged == []


class TestCommit:
    def test_the_environment_names_it_where_there_is_no_repository(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("IMAGE_CLASSIFICATION_COMMIT", "abc123")
        assert record.read_git_commit() == "abc123"

    def test_else_the_repository_does(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("IMAGE_CLASSIFICATION_COMMIT", raising=False)
        head = PROJECT / ".git"
        if not head.exists():
            pytest.skip("not a checkout")
        assert len(record.read_git_commit().removesuffix("-dirty")) == 40

    @pytest.mark.parametrize(
        "fault", [FileNotFoundError("no git"), subprocess.TimeoutExpired("git", 30)]
    )
    def test_without_git_or_its_answer_it_is_not_known(
        self, monkeypatch: pytest.MonkeyPatch, fault: Exception
    ) -> None:
        def fail(*_: Any, **__: Any) -> Any:
            raise fault

        monkeypatch.delenv("IMAGE_CLASSIFICATION_COMMIT", raising=False)
        monkeypatch.setattr(subprocess, "run", fail)
        assert record.read_git_commit() == ""
