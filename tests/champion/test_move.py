"""A change of champion, stopped anywhere: the ledger, the alias and MLflow agree after one look."""

from __future__ import annotations

import errno
import itertools
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
import pytest
from bucket import make_bucket, serve_store
from judgement import make_decision, make_facts
from kills import Killed, kill_at
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as RegistryStore
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from registry_store import MODEL, Store, register
from shipped import read_shipped

from image_classification.champion import ledger, move, registry, verification
from image_classification.champion.journal import Journal
from image_classification.champion.release import Release
from image_classification.champion.retention import record_let_go
from image_classification.champion.statement import DecisionRun
from image_classification.datasets import LedgerDataset
from image_classification.errors import ChampionMovedError, LedgerError, VerificationError
from image_classification.gate import verdict

POLICY: Any = read_shipped("promotion", env="test")
FIRST, SECOND = "1", "2"


def some_of(points: tuple[int, ...], quick: tuple[int, ...]) -> list[Any]:
    """Return points to stop at: a few for every run of the tests, the others for the slow ones."""
    return [
        point if point in quick else pytest.param(point, marks=pytest.mark.slow) for point in points
    ]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    monkeypatch.setenv("IMAGE_CLASSIFICATION_COMMIT", "c0ffee")
    monkeypatch.setattr(verification, "consume_version", answer)
    monkeypatch.setattr(verification, "_still_holds", lambda *_: False)
    monkeypatch.setattr("image_classification.champion.release.PATIENCE_S", 0.01)


def answer(model_uri: str, timed_calls: int = 0) -> dict[str, Any]:
    """Stand for the fresh process that loads the champion: it answers as stored."""
    champion = registry.find_champion(MODEL)
    own = registry.find_model_id(MODEL, champion) if champion else None
    return {"model_id": own, "golden_difference": 0.0}


def answer_otherwise(model_uri: str, timed_calls: int = 0) -> dict[str, Any]:
    """Stand for a process in which the challenger answers otherwise than it did."""
    wrong = 0.5 if registry.find_champion(MODEL) == SECOND else 0.0
    return answer(model_uri) | {"golden_difference": wrong}


def open_release(
    folder: Path | str, run_id: str = "looker", lease: float = 20.0, **about: Any
) -> Release:
    policy = {**POLICY, "lease_minutes": lease}
    entries = LedgerDataset(filepath=str(folder))
    return Release(MODEL, entries, policy, DecisionRun(run_id, **about))


def decide(champion: str | None = FIRST) -> dict[str, Any]:
    decision = make_decision()
    decision["champion"] = {**decision["champion"], "version": champion} if champion else None
    return decision


@pytest.fixture
def nights(store: Store) -> tuple[str, str]:
    """A champion and a challenger; the MLflow runs of both."""
    if not store.has("a champion and a challenger"):
        first, _ = register("first")
        open_release(store.ledger, first).promote(FIRST, decide(None))
        register("second")
        store.keep("a champion and a challenger")
    store.put_back("a champion and a challenger")
    runs = {
        str(one.version): str(one.run_id)
        for one in MlflowClient().search_model_versions(f"name = '{MODEL}'")
    }
    return runs[FIRST], runs[SECOND]


def promote(folder: Path, run_id: str) -> str:
    return open_release(folder, run_id).promote(SECOND, decide())


def roll_back(folder: Path, run_id: str) -> str:
    plan = {"from": FIRST, "to": SECOND, "reason": "misses rings", "by": ""}
    return open_release(folder, run_id, identity="ada").roll_back(plan)


def check_agreement(folder: Path) -> str:
    """Check that all agree after one more look, and that no entry is lost; return what came."""
    looking = open_release(folder)
    looking.look()
    found = looking.audit(thorough=True)
    assert found.disagreements == []
    entries = list(LedgerDataset(filepath=str(folder)).load().values())
    assert [entry["event"] for entry in entries[:1]] == [verdict.PROMOTED]
    champion = registry.find_champion(MODEL)
    assert champion == ledger.find_champion(entries)
    assert champion in (FIRST, SECOND)
    later = [entry["event"] for entry in entries[1:]]
    assert (champion == SECOND) == any(event in verdict.MOVES for event in later)
    assert len([path for path in folder.iterdir() if path.suffix == ".json"]) >= len(entries)
    return later[-1] if later else ""


class TestKills:
    @pytest.mark.parametrize("point", [0, 5, 10, 12, 16, 26])
    def test_after_a_stop_anywhere_one_look_makes_all_agree(
        self, nights: tuple[str, str], store: Store, point: int
    ) -> None:
        with kill_at(point), pytest.raises(Killed):
            promote(store.ledger, nights[1])
        check_agreement(store.ledger)

    @pytest.mark.parametrize("point", [8, 14, 20])
    def test_a_look_that_is_stopped_itself_is_finished_by_the_next(
        self, nights: tuple[str, str], store: Store, point: int
    ) -> None:
        with kill_at(13), pytest.raises(Killed):
            promote(store.ledger, nights[1])
        with suppress(Killed), kill_at(point):
            open_release(store.ledger).look()
        check_agreement(store.ledger)

    @pytest.mark.slow
    def test_hundreds_of_kills_leave_no_wrong_champion_and_lose_no_entry(
        self, nights: tuple[str, str], store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A process is killed at every point of a promotion, a rollback, and one that fails."""
        kills = 0
        for work, consumer in (
            (promote, answer),
            (roll_back, answer),
            (promote, answer_otherwise),
            (roll_back, answer_otherwise),
        ):
            monkeypatch.setattr(verification, "consume_version", consumer)
            point = 0
            while True:
                store.put_back("a champion and a challenger")
                if not killed(lambda work=work: work(store.ledger, nights[1]), point):
                    break
                check_agreement(store.ledger)
                kills += 1
                point += 1
        assert kills >= 100
        # Whoever looks is killed, too.
        monkeypatch.setattr(verification, "consume_version", answer)
        for point in range(12, 32):
            for second in range(point % 8, 40, 8):
                store.put_back("a champion and a challenger")
                killed(lambda: promote(store.ledger, nights[1]), point)
                if not killed(lambda: open_release(store.ledger).look(), second):
                    break
                check_agreement(store.ledger)
                kills += 2
        assert kills >= 200


def killed(work: Callable[[], Any], point: int) -> bool:
    """Do something in a process that is killed at a point; return whether it came so far."""
    child = os.fork()
    if not child:
        try:
            # A connection to SQLite does not survive a fork: the child opens others.
            for kind in (SqlAlchemyStore, RegistryStore):
                for engine in kind._engine_map.values():
                    engine.dispose(close=False)
            with kill_at(point, lambda: os._exit(9)):
                try:
                    work()
                except (ChampionMovedError, VerificationError):
                    os._exit(0)
        except BaseException:  # noqa: BLE001 - the child must not go on as a second pytest
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9)
    return code == 9


class TestRetries:
    @pytest.mark.parametrize("point", some_of((4, 12, 14, 16, 20, 30), quick=(4, 14, 30)))
    def test_the_retry_of_a_promotion_that_was_stopped_makes_it_champion(
        self, nights: tuple[str, str], store: Store, point: int
    ) -> None:
        with kill_at(point), pytest.raises(Killed):
            promote(store.ledger, nights[1])
        assert promote(store.ledger, nights[1]).startswith("promoted v2")
        assert registry.find_champion(MODEL) == SECOND
        assert check_agreement(store.ledger) == verdict.PROMOTED

    def test_a_stop_before_the_alias_moved_is_undone_and_said(
        self, nights: tuple[str, str], store: Store
    ) -> None:
        stop_before("set_registered_model_alias", lambda: promote(store.ledger, nights[1]))
        (said, *_) = open_release(store.ledger).look()
        assert said == (
            "The promotion of version 2 (entry 3) was left half done, and was undone. The run was "
            "stopped before the champion moved: it is version 1."
        )
        assert check_agreement(store.ledger) == verdict.INTERRUPTED
        tags = registry.get_version(MODEL, SECOND).tags
        assert registry.explain_unjudged(tags) == "was to be promoted, and that was interrupted"

    def test_a_stop_after_it_moved_is_verified_and_done(
        self, nights: tuple[str, str], store: Store
    ) -> None:
        stop_before("verify_champion", lambda: promote(store.ledger, nights[1]))
        (said, *_) = open_release(store.ledger).look()
        assert said.endswith("was left half done: it answers as stored, and is done.")
        assert check_agreement(store.ledger) == verdict.PROMOTED

    @pytest.mark.parametrize("package", [None, {"load_s": 1.0, "digest": "d"}])
    def test_the_look_verifies_it_with_what_the_decision_had_measured(
        self, nights: tuple[str, str], store: Store, package: dict[str, Any] | None
    ) -> None:
        decision = {**decide(), "facts": {**make_facts(), "package": package}}
        begun = open_release(store.ledger, nights[1])
        stop_before("verify_champion", lambda: begun.promote(SECOND, decision))
        asked: list[Any] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(move, "verify_champion", lambda *given: asked.append(given))
            open_release(store.ledger).look()
        assert asked == [(MODEL, SECOND, POLICY["golden_tolerance"], package)]

    def test_a_champion_that_does_not_answer_then_is_taken_back(
        self, nights: tuple[str, str], store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stop_before("verify_champion", lambda: promote(store.ledger, nights[1]))
        monkeypatch.setattr(verification, "consume_version", answer_otherwise)
        (said, *_) = open_release(store.ledger).look()
        assert "undone: Version 2 does not answer its golden images" in said
        assert registry.find_champion(MODEL) == FIRST
        assert check_agreement(store.ledger) == verdict.UNVERIFIED


def stop_before(step: str, work: Callable[[], Any]) -> None:
    """Do something, and stop before a step of it."""

    def stop(*_: Any, **__: Any) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(move if step == "verify_champion" else MlflowClient, step, stop)
        with pytest.raises(Killed):
            work()


class TestLease:
    def hold_up(self, work: Callable[[], Any], step: str, meanwhile: Callable[[], Any]) -> Any:
        """Do something; before a step of it, something else happens."""
        owner = move if step == "verify_champion" else MlflowClient
        function = getattr(owner, step)
        with pytest.MonkeyPatch.context() as patch:

            def wait(*arguments: Any, **keywords: Any) -> Any:
                patch.setattr(owner, step, function)
                meanwhile()
                return function(*arguments, **keywords)

            patch.setattr(owner, step, wait)
            return work()

    def test_a_mover_that_lives_is_left_alone(self, nights: tuple[str, str], store: Store) -> None:
        said: list[str] = []

        def look() -> None:
            said.extend(open_release(store.ledger).look())

        self.hold_up(lambda: promote(store.ledger, nights[1]), "verify_champion", look)
        assert len(said) == 1
        assert said[0].startswith("The promotion of version 2 (entry 3) is under way since ")
        assert registry.find_champion(MODEL) == SECOND

    @pytest.mark.parametrize("is_same", [True, False])
    def test_another_process_that_got_the_id_of_the_mover_is_not_waited_for(
        self, nights: tuple[str, str], store: Store, *, is_same: bool
    ) -> None:
        """A container that was started again gives the ids of before, under the same name."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(move.os, "getpid", os.getppid)
            if not is_same:
                patch.setattr(move, "find_start", lambda _: "12345")
            stop_before("verify_champion", lambda: promote(store.ledger, nights[1]))
        (said,) = open_release(store.ledger).look()
        assert ("is under way" in said) is is_same
        assert ("is done" in said) is not is_same

    @pytest.mark.parametrize("step", ["set_registered_model_alias", "verify_champion"])
    def test_one_that_was_paused_beyond_its_lease_cannot_win(
        self, nights: tuple[str, str], store: Store, step: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        another, third = register("third")

        def pass_time() -> None:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(move, "_is_over", lambda _: True)
                open_release(store.ledger).look()
                patch.setattr(move, "_is_over", lambda _: False)
                if registry.find_champion(MODEL) == FIRST:
                    open_release(store.ledger, another).promote(third, decide())

        paused = open_release(store.ledger, nights[1])
        if step == "verify_champion":
            # Whoever looked has found that the model answers, and has finished it.
            outcome = self.hold_up(lambda: paused.promote(SECOND, decide()), step, pass_time)
            assert outcome.startswith("promoted v2")
            assert registry.find_champion(MODEL) == SECOND
        else:
            with pytest.raises(ChampionMovedError, match="another process has ended it"):
                self.hold_up(lambda: paused.promote(SECOND, decide()), step, pass_time)
            assert registry.find_champion(MODEL) == third
        assert open_release(store.ledger).audit(thorough=True).disagreements == []

    def test_one_whose_lease_is_over_before_the_alias_moves_moves_nothing(
        self, nights: tuple[str, str], store: Store
    ) -> None:
        late = open_release(store.ledger, nights[1], lease=1e-9)
        with pytest.raises(ChampionMovedError, match=r"longer than its lease.*Nothing was moved"):
            late.promote(SECOND, decide())
        assert registry.find_champion(MODEL) == FIRST
        assert check_agreement(store.ledger) == verdict.LOST_RACE

    def test_a_late_mover_that_is_killed_too_is_put_right_by_the_next_look(
        self, nights: tuple[str, str], store: Store
    ) -> None:
        stop_before("set_registered_model_alias", lambda: promote(store.ledger, nights[1]))
        open_release(store.ledger).look()
        MlflowClient().set_registered_model_alias(MODEL, registry.CHAMPION, SECOND)
        (said,) = open_release(store.ledger).look()
        assert "of a move that was undone. It points to version 1 again." in said
        check_agreement(store.ledger)

    def test_the_lease_of_a_mover_on_another_machine_is_waited_for(
        self, nights: tuple[str, str], store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(move, "describe_place", lambda: "another machine")
        stop_before("set_registered_model_alias", lambda: promote(store.ledger, nights[1]))
        monkeypatch.setattr(move, "describe_place", lambda: "this machine")
        (said,) = open_release(store.ledger).look()
        assert "is under way" in said
        # Airflow has ended the first try of a task when it starts the second.
        own = open_release(store.ledger, nights[1], airflow_run="retraining/one")
        assert own.promote(SECOND, decide()).startswith("promoted v2")
        monkeypatch.setattr(move, "_is_over", lambda _: True)
        assert check_agreement(store.ledger) == verdict.PROMOTED


class TestRaces:
    def race(self, address: str, count: int = 20) -> None:
        """Let many runs promote a first champion at once."""
        runs = [register(f"run {number}") for number in range(count)]
        barrier = threading.Barrier(count)

        def run(run_id: str, version: str) -> str:
            release = open_release(address, run_id)
            barrier.wait(60)
            try:
                return release.promote(version, decide(None))
            except ChampionMovedError as error:
                return f"lost: {error}"

        with ThreadPoolExecutor(count) as pool:
            outcomes = list(pool.map(run, *zip(*runs, strict=True)))
        won = [outcome for outcome in outcomes if outcome.startswith("promoted v")]
        assert len(won) == 1
        version = runs[outcomes.index(won[0])][1]
        assert registry.find_champion(MODEL) == version
        lost = [outcome for outcome in outcomes if outcome not in won]
        assert [said for said in lost if f"version {version}" not in said] == []
        assert [said for said in lost if "Nothing was moved" not in said] == []
        looking = open_release(address)
        looking.look()
        assert looking.audit(thorough=True).disagreements == []
        entries = LedgerDataset(filepath=address).load().values()
        events = sorted(entry["event"] for entry in entries)
        assert events == [verdict.LOST_RACE] * (count - 1) + [verdict.PROMOTED]

    @pytest.mark.slow
    def test_of_twenty_promotions_at_once_on_a_folder_one_wins(self, store: Store) -> None:
        self.race(str(store.ledger))

    def test_of_some_on_a_folder_one_wins(self, store: Store) -> None:
        self.race(str(store.ledger), 4)

    def test_of_some_on_an_object_store_one_wins(self, store: Store) -> None:
        fsspec.filesystem("memory").store.clear()
        self.race("memory://bucket/ledger", 4)

    @pytest.mark.slow
    def test_of_twenty_promotions_at_once_in_a_bucket_one_wins(self, store: Store) -> None:
        """Over a real S3 interface, which is slow, loses answers, and lists late."""
        numbers = itertools.count(1)

        def trouble(method: str, _: str) -> str:
            number = next(numbers)
            if number % 11 == 0:
                return "slow down"
            return "lost answer" if method == "PUT" and number % 5 == 0 else ""

        with pytest.MonkeyPatch.context() as patch, serve_store(patch) as gate:
            address = f"{make_bucket()}/ledger"
            gate.fault, gate.lag_s = trouble, 0.3
            patch.setattr("image_classification.champion.release.PATIENCE_S", 0.3)
            self.race(address)
            assert gate.requests["PUT"] > 2 * 20


def test_a_version_whose_package_was_let_go_never_becomes_champion(
    store: Store, nights: tuple[str, str]
) -> None:
    journal = Journal(LedgerDataset(filepath=str(store.ledger)))
    record_let_go(MODEL, journal, {SECOND: "m-2"}, "older than 365 nights")
    for attempt in (promote, roll_back):
        with pytest.raises(ChampionMovedError, match=r"let go on .* Nothing was moved"):
            attempt(store.ledger, nights[1])
    assert registry.find_champion(MODEL) == FIRST


class TestFullDisk:
    @pytest.mark.parametrize("write", range(4))
    def test_a_disk_without_room_for_an_entry_moves_nothing_or_is_finished_later(
        self,
        nights: tuple[str, str],
        store: Store,
        write: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        create, writes = LedgerDataset.create, iter(range(100))

        def fill(dataset: LedgerDataset, name: str, content: bytes) -> None:
            if next(writes) >= write:
                raise OSError(errno.ENOSPC, "No space left on device")
            create(dataset, name, content)

        with monkeypatch.context() as patch:
            patch.setattr(LedgerDataset, "create", fill)
            if write < 2:
                with pytest.raises(LedgerError, match=r"No space left.*Make room"):
                    promote(store.ledger, nights[1])
            else:
                promote(store.ledger, nights[1])
        champion = registry.find_champion(MODEL)
        assert champion == (SECOND if write else FIRST)
        check_agreement(store.ledger)
        assert registry.find_champion(MODEL) == champion

    def test_a_store_of_mlflow_without_room_leaves_a_move_that_the_next_look_undoes(
        self, nights: tuple[str, str], store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any) -> None:
            raise MlflowException("database or disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, "set_registered_model_alias", fail)
            with pytest.raises(MlflowException, match="disk is full"):
                promote(store.ledger, nights[1])
        assert registry.find_champion(MODEL) == FIRST
        assert check_agreement(store.ledger) == verdict.INTERRUPTED

    @pytest.mark.slow
    def test_a_disk_that_is_full_at_any_write_is_put_right_once_there_is_room(
        self, nights: tuple[str, str], store: Store, small_disk: Path
    ) -> None:
        folder = small_disk / "ledger"
        free_kb = [*range(0, 64, 4)]
        for room in free_kb:
            store.put_back("a champion and a challenger")
            copy_ledger(store.ledger, folder)
            fill_disk(small_disk, room)
            with suppress(LedgerError, OSError):
                promote(folder, nights[1])
            (small_disk / "filler").unlink()
            check_agreement(folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 512 kB; tests that need one are skipped where nothing may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk may be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def copy_ledger(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for path in target.iterdir():
        path.unlink()
    for path in source.glob("*.json"):
        (target / path.name).write_bytes(path.read_bytes())


def fill_disk(disk: Path, room_kb: int) -> None:
    """Leave so much room on a disk."""
    free = os.statvfs(disk)
    size = free.f_bavail * free.f_frsize - room_kb * 1024
    (disk / "filler").write_bytes(b"x" * max(size, 0))
