"""Move the champion: an entry of the ledger first, then the alias, then a second entry.

*Intended* → alias moved → verified → *done*, or *undone*. The number of the first entry decides
between two that move at the same time. It carries a lease: if the mover is gone, or is held up for
longer, whoever looks next ends the move, and the mover then finds that it has lost. So the champion
in use was verified, or was champion before, wherever a process was killed.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from image_classification.champion import ledger, registry
from image_classification.champion.chain import DONE, INTENDED, UNDONE, Chain, Record
from image_classification.champion.journal import Journal
from image_classification.champion.retention import refuse_let_go
from image_classification.champion.statement import DecisionRun
from image_classification.champion.verification import verify_champion
from image_classification.errors import ChampionMovedError, LedgerError, VerificationError
from image_classification.gate import verdict
from image_classification.machine.process import find_start

logger = logging.getLogger(__name__)

Check = Callable[[Chain], None]
"""Raises where the ledger, as it stands now, does not allow a move."""

_moving: set[str] = set()
"""Tokens of the moves that this process has under way."""


@dataclass(frozen=True)
class Ending:
    """How a move ended.

    Attributes:
        entry: of the ledger.
        said: what was done about it, a sentence.
    """

    entry: Record
    said: str


class UnderWayError(Exception):
    """Another move is under way: wait until it has ended, and look again."""


class Mover:
    """Moves the champion of one registered model, and ends moves that nobody has under way."""

    def __init__(
        self,
        model_name: str,
        journal: Journal,
        run: DecisionRun,
        lease_minutes: float,
        tolerance: float,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            model_name: the registered model.
            journal: the ledger.
            run: the run that moves.
            lease_minutes: how long a move may take before another may end it.
            tolerance: `golden_tolerance` of the policy.
        """
        self._model_name = model_name
        self._journal = journal
        self._run = run
        self._lease = timedelta(minutes=lease_minutes)
        self._tolerance = tolerance

    def move(self, entry: Record, check: Check) -> tuple[Record, Exception | None]:
        """Move the champion, and verify it.

        Args:
            entry: about the move, with `champion_before`, the version that is champion, and
                `champion_after`, the version that shall be.
            check: raises if the move is not allowed, as the ledger stands now.

        Returns:
            The entry of the ledger that says what came of it, and the error why it did not hold.

        Raises:
            UnderWayError: another move is under way. Nothing was written.
            ChampionMovedError: it is not allowed, or another process has ended this one. Nothing
                was written about it here.
        """
        token = uuid4().hex
        _moving.add(token)
        try:
            intended = self._intend(entry, check, token)
            return self._carry_out(intended)
        finally:
            _moving.discard(token)

    def settle(self) -> list[Ending]:
        """End the moves that were left half done.

        Returns:
            How each ended.
        """
        endings = []
        chain = self._journal.read()
        for intended in self._list_open(chain):
            if self._is_under_way(intended):
                continue
            with suppress(_EndedError):  # its mover, or another process, was faster
                endings.append(self._end_for_another(intended))
        for ending in endings:
            logger.warning("%s", ending.said)
        return endings

    def put_back_late_move(self) -> str:
        """Put an alias back that was set by a mover whose move somebody else had undone by then.

        Returns:
            What was done, a sentence; "" for nothing.
        """
        chain = self._journal.read()
        undone = [one for one in chain.undone if one["model"] == self._model_name]
        if not undone or any(one["model"] == self._model_name for one in chain.intentions):
            return ""
        said = self._follow_ledger(undone[-1]["version"]) or ""
        if said:
            logger.warning("%s", said)
        return said

    def describe_open(self, chain: Chain) -> str:
        """Return which move is under way, a sentence; "" for none."""
        for intended in self._list_open(chain):
            return (
                f"{_name_move(intended)} is under way since {intended['at'][:19]} UTC, in MLflow "
                f"run {intended['mlflow_run_id']}; whoever looks after "
                f"{intended['lease_until'][:19]} UTC ends it."
            )
        return ""

    def _is_under_way(self, intended: Record) -> bool:
        """Tell whether the mover may still be at work: it lives here, or its lease is not over."""
        if _is_over(intended):
            return False
        mover = intended["mover"]
        if mover.get("place") == describe_place():
            if mover.get("pid") == os.getpid():
                return intended.get("token") in _moving
            return _lives(mover.get("pid"), mover.get("began"))
        # Airflow starts another try of a task once it knows that the first has ended.
        return not (self._run.is_shared and intended["mlflow_run_id"] == self._run.mlflow_run_id)

    def _select(self, chain: Chain) -> list[Record]:
        return [entry for entry in chain.entries if entry["model"] == self._model_name]

    def _list_open(self, chain: Chain) -> list[Record]:
        return [one for one in chain.intentions if one["model"] == self._model_name]

    def _intend(self, entry: Record, check: Check, token: str) -> Record:
        def make(chain: Chain) -> Record:
            if said := self.describe_open(chain):
                raise UnderWayError(said)
            check(chain)
            refuse_let_go(self._model_name, entry["champion_after"], chain)
            present = registry.find_champion(self._model_name)
            if present != entry["champion_before"]:
                raise ChampionMovedError(
                    f"The champion of '{self._model_name}' changed since it was looked at: "
                    f"expected {registry.name_champion(entry['champion_before'])}, found "
                    f"{registry.name_champion(present)}. Nothing was moved. Run the DAG "
                    "'promotion' to compare with the present champion."
                )
            now = datetime.now(UTC)
            return {
                **entry,
                "step": INTENDED,
                "at": now.isoformat(timespec="milliseconds"),
                "lease_until": (now + self._lease).isoformat(timespec="milliseconds"),
                "mover": {
                    "place": describe_place(),
                    "pid": os.getpid(),
                    "began": find_start(os.getpid()),
                },
                "token": token,
            }

        intended = self._journal.add(make)
        assert intended is not None  # noqa: S101 - `make` returns a record, or raises
        return intended

    def _carry_out(self, intended: Record) -> tuple[Record, Exception | None]:
        before, version = intended["champion_before"], intended["champion_after"]
        try:
            self._check_fence(intended)
            registry.move_champion(self._model_name, version, before)
            self._check_not_ended(intended)
            verify_champion(
                self._model_name, version, self._tolerance, _read_measures(intended["decision"])
            )
            self._refuse_moved_meanwhile(version)
        except _EndedError:
            raise
        except ChampionMovedError as error:
            return self._end(intended, UNDONE, verdict.LOST_RACE, str(error)), error
        except VerificationError as error:
            self._check_not_ended(intended)
            registry.move_champion(self._model_name, before, version)
            again = registry.name_champion(before)
            failed = VerificationError(f"{error} The champion is {again} again.")
            failed.__cause__ = error
            return self._end(intended, UNDONE, verdict.UNVERIFIED, str(failed)), failed
        try:
            return self._end(intended, DONE), None
        except LedgerError as error:
            raise LedgerError(
                f"Version {version} is champion and answers as stored, but the ledger does not say "
                f"so yet; whoever looks next writes it. {error}"
            ) from error

    def _check_fence(self, intended: Record) -> None:
        """Look once more before the alias moves: whoever paused this process may have paused long.

        Raises:
            ChampionMovedError: the lease is over.
        """
        self._check_not_ended(intended)
        if _is_over(intended):
            raise ChampionMovedError(
                f"{_name_move(intended)} was held up for longer than its lease, until "
                f"{intended['lease_until'][:19]} UTC (promotion.lease_minutes). Nothing was moved."
            )

    def _check_not_ended(self, intended: Record) -> None:
        """Stop where another process has ended this move; an alias that was set is put back.

        Raises:
            _EndedError: it has.
        """
        if self._journal.is_settled(intended["number"]):
            self._follow_ledger(intended["champion_after"])
            raise _EndedError(
                f"{_name_move(intended)} was held up, and another process has ended it: see the "
                "ledger. Nothing was moved by this one."
            )

    def _follow_ledger(self, late: str) -> str | None:
        """Put the alias back if it points to the version of a move that was undone."""
        own = self._select(self._journal.read())
        undone = [place for place, entry in enumerate(own) if _is_undone(entry, late)]
        if not undone or registry.find_champion(self._model_name) != late:
            return None
        # Another version may have become champion since.
        moved = ledger.find_champion(own[undone[-1] :])
        champion = moved or own[undone[-1]]["champion_after"]
        if champion == late:
            return None
        registry.move_champion(self._model_name, champion, late)
        return (
            f"The alias 'champion' of '{self._model_name}' pointed to version {late}, of a move "
            f"that was undone. It points to {registry.name_champion(champion)} again."
        )

    def _refuse_moved_meanwhile(self, version: str) -> None:
        """Read the alias once more: a person who sets it by hand writes no entry.

        Raises:
            ChampionMovedError: somebody has set it.
        """
        present = registry.find_champion(self._model_name)
        if present != version:
            raise ChampionMovedError(
                f"Version {version} was made champion, and while it was verified somebody has made "
                f"version {present or 'none'} champion. That was left as it is."
            )

    def _end(self, intended: Record, step: str, event: str = "", reason: str = "") -> Record:
        """Write how a move ended; return the entry about it.

        Raises:
            _EndedError: another process has written it.
        """
        number = intended["number"]

        def make(chain: Chain) -> Mapping[str, Any] | None:
            if chain.is_settled(number):
                return None
            ending: dict[str, Any] = {"step": step, "of": number, "model": self._model_name}
            if step == DONE:
                return {**ending, "champion_after": intended["champion_after"]}
            present = registry.find_champion(self._model_name)
            if present == intended["champion_after"]:
                present = intended["champion_before"]  # it is taken back next
            return {**ending, "champion_after": present, "event": event, "reason": reason}

        if self._journal.add(make) is None:
            self._follow_ledger(intended["champion_after"])
            raise _EndedError(
                f"{_name_move(intended)} was held up, and another process has ended it: see the "
                "ledger."
            )
        return next(
            entry
            for entry in reversed(self._journal.read().entries)
            if entry.get("intended") == number
        )

    def _end_for_another(self, intended: Record) -> Ending:
        """End a move that its mover has left: done if the alias has moved and the model answers."""
        before, version = intended["champion_before"], intended["champion_after"]
        name = _name_move(intended)
        present = registry.find_champion(self._model_name)
        if present == version:
            try:
                verify_champion(
                    self._model_name, version, self._tolerance, _read_measures(intended["decision"])
                )
            except VerificationError as error:
                reason = f"{error} The champion is {registry.name_champion(before)} again."
                entry = self._end(intended, UNDONE, verdict.UNVERIFIED, reason)
                self._follow_ledger(version)
                return Ending(entry, f"{name} was left half done, and was undone: {reason}")
            entry = self._end(intended, DONE)
            return Ending(entry, f"{name} was left half done: it answers as stored, and is done.")
        reason = (
            f"The run was stopped before the champion moved: it is "
            f"{registry.name_champion(present)}."
        )
        entry = self._end(intended, UNDONE, verdict.INTERRUPTED, reason)
        # Its mover may have gone on in between, and have moved the alias before it looked again.
        self._follow_ledger(version)
        return Ending(entry, f"{name} was left half done, and was undone. {reason}")


class _EndedError(ChampionMovedError):
    """Another process has ended this move."""


def _name_move(intended: Record) -> str:
    what = "The rollback to" if intended["event"] == verdict.ROLLED_BACK else "The promotion of"
    return f"{what} version {intended['version']} (entry {intended['number']})"


def _is_undone(entry: Record, version: str) -> bool:
    return entry["event"] in verdict.TAKEN_BACK and entry["version"] == version


def _is_over(intended: Record) -> bool:
    """Tell whether the lease of a move is over; one that cannot be read is."""
    try:
        return datetime.now(UTC) >= datetime.fromisoformat(intended["lease_until"])
    except (TypeError, ValueError):
        return True


def _lives(pid: Any, began: Any) -> bool:
    """Tell whether a process runs; that of an earlier release did not write down when it began."""
    if not isinstance(pid, int) or pid <= 0:
        return False
    if began and find_start(pid) != began:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # of another user
    return True


@cache
def describe_place() -> str:
    """Return a name for where process ids of this process mean something: host, boot, namespace."""
    parts = [socket.gethostname()]
    for path in (Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")):
        try:
            parts.append(str(path.readlink()) if path.is_symlink() else path.read_text().strip())
        except OSError:
            parts.append("")  # not on Linux
    return "/".join(parts)


def _read_measures(decision: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the measures of the package that a decision holds, or None if it holds none."""
    facts = decision["facts"] if decision else None
    measures: Mapping[str, Any] | None = facts["package"] if facts else None
    return measures
