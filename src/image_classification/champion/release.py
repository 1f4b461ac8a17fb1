"""Carry a decision out: gather the facts, move the champion, verify it, record the result.

An entry of the ledger comes first, then the alias moves (`move`). A fresh process loads the
champion as a consumer would and lets it classify its golden cells. If the answers differ from the
stored ones, the alias moves back. Every step may be killed and run again, since each first reads
what exists.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from image_classification import tracking
from image_classification.champion import ledger, lineage, registry
from image_classification.champion.audit import Audit, audit, explain_fault, read_copies
from image_classification.champion.chain import ACCEPTED, Chain, Record
from image_classification.champion.journal import Journal, Store
from image_classification.champion.move import Check, Mover, UnderWayError
from image_classification.champion.pseudonym import hide_patient, hide_patients
from image_classification.champion.record import FOLDER, Recorder
from image_classification.champion.statement import POLICY, DecisionRun, Statement
from image_classification.champion.verification import measure_version
from image_classification.errors import ChampionMovedError, RegistryError
from image_classification.gate import judgement, verdict
from image_classification.gate.policy import PromotionPolicy
from image_classification.gate.rule import Facts

logger = logging.getLogger(__name__)

BY_POLICY = Statement()

PATIENCE_S = 0.2
"""Between two looks at a move that is under way."""


class Release:
    """The changes that one run makes to the registered model."""

    def __init__(
        self,
        model_name: str,
        entries: Store,
        policy: PromotionPolicy,
        run: DecisionRun,
        plots: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare; nothing is read or written yet.

        Args:
            model_name: the registered model.
            entries: the files of the ledger, a `LedgerDataset`.
            policy: the parameters `promotion`.
            run: the run that all decisions belong to.
            plots: artifacts of the training run that a card shows, by title.
        """
        self.model_name = model_name
        self.policy = policy
        self.run = run
        self._store = entries
        self._journal = Journal(entries)
        self._recorder = Recorder(model_name, self._journal, policy["mode"], run, plots)
        lease, tolerance = policy["lease_minutes"], policy["golden_tolerance"]
        self._mover = Mover(model_name, self._journal, run, lease, tolerance)

    def conclude(
        self, version: str, comparison: Mapping[str, Any], package: dict[str, float] | None
    ) -> dict[str, Any]:
        """Judge a comparison by the policy, with the facts about both versions and this run.

        Args:
            version: the challenger.
            comparison: from `compare_models`.
            package: from `measure_package`; None if the package was not measured.
        """
        key = self._store.read_key()
        compared = {
            **hide_patients(comparison, key),
            "challenger": {**comparison["challenger"], "version": version},
        }
        facts: Any = self.gather_facts(version, comparison, package)
        hidden: Any = {
            seen: facts[seen] and [hide_patient(name, key) for name in facts[seen]]
            for seen in ("challenger_seen", "champion_seen")
        }
        return judgement.judge(compared, facts | hidden, self.policy)

    def gather_facts(
        self, version: str, comparison: Mapping[str, Any], package: dict[str, float] | None
    ) -> Facts:
        """Return the facts that the gate needs beside the comparison."""
        # The champion that was compared. Another one may be champion by now: the move checks that.
        compared = comparison["champion"]
        champion = str(compared["version"]) if compared else None
        patients = comparison["validation_patients"]
        copies, chain = read_copies(self.model_name), self._journal.read()
        return {
            "challenger_seen": self._find_seen(version, patients),
            "champion_seen": self._find_seen(champion, patients) if champion else [],
            "challenger_data_until": self._read_data_until(version),
            "champion_data_until": self._read_data_until(champion) if champion else "",
            "rolled_back": ledger.find_rollback(self._recorder.select_entries(chain), version),
            "ledger_fault": explain_fault(chain, self.model_name, champion, copies),
            "backfill": self.run.backfill,
            "run_age_hours": self.run.age_hours,
            "package": package,
        }

    def promote(
        self, version: str, decision: Mapping[str, Any], statement: Statement = BY_POLICY
    ) -> str:
        """Make a version champion, verify it and record it. Safe to repeat.

        Args:
            version: the challenger.
            decision: from `conclude`.
            statement: who decided, and why.

        Returns:
            The outcome, a sentence.

        Raises:
            ChampionMovedError: another version became champion after the comparison, or this run
                promoted this version before and it has been replaced. The ledger says so, and the
                champion was not moved.
            VerificationError: the version does not answer as stored. The ledger says so, and the
                alias was moved back.
        """
        expected = decision["champion"]["version"] if decision["champion"] else None
        self._move(verdict.PROMOTED, version, expected, decision, statement)
        approved = "" if statement.by == POLICY else f", approved by {statement.by}"
        replaced = f"; it replaces v{expected}" if expected else ""
        return f"promoted v{version}{approved}: {decision['reason']}{replaced}"

    def keep(
        self,
        version: str,
        decision: Mapping[str, Any],
        event: str = verdict.KEPT,
        statement: Statement = BY_POLICY,
    ) -> str:
        """Keep the champion, record why on the challenger, and return the outcome, a sentence.

        Args:
            version: the challenger.
            decision: from `conclude`.
            event: kept champion, refused, rejected or dry run.
            statement: who decided, and why.
        """
        champion = registry.find_champion(self.model_name)
        self._recorder.record(event, version, decision, statement)
        kept = f"kept v{champion}" if champion else "kept no champion"
        compared = decision["champion"]["version"] if decision["champion"] else None
        if compared not in (None, champion):
            kept += f" (compared with v{compared})"
        said = f" ({statement.comment})" if statement.comment else ""
        openings = {
            verdict.KEPT: kept,
            verdict.REFUSED: f"refused v{version}, {kept}",
            verdict.REJECTED: f"{kept}, v{version} was rejected by {statement.by}{said}; the gate",
            verdict.NOT_MOVED: f"dry run, {kept}; v{version} would have been promoted",
        }
        return f"{openings[event]}: {decision['reason']}"

    def roll_back(self, plan: Mapping[str, str]) -> str:
        """Make an earlier version champion again, verify it and record it. Safe to repeat.

        Args:
            plan: from `plan_rollback`: `from`, `to`, `reason` and `by`.

        Returns:
            The outcome, a sentence.

        Raises:
            ChampionMovedError: the champion is not the one that the plan was made for. The ledger
                says so, and the champion was not moved.
            VerificationError: the version does not answer as stored. The ledger says so, and the
                alias was moved back.
        """
        target, present, reason = plan["to"], plan["from"] or None, plan["reason"]
        by = self.run.identity or plan["by"]
        typed = plan["by"] if plan["by"] != by else ""
        said = Statement(by, comment=reason, reason=reason, typed=typed)
        self._move(verdict.ROLLED_BACK, target, present, None, said)
        replaced = f"v{present}" if present else "none"
        named = f" (typed: {typed})" if typed else ""
        return f"rolled back to v{target} from {replaced}, by {by}{named}: {reason}"

    def bring_in(self, version: str, statement: Statement) -> str:
        """Make a version of another environment champion, as `promote` does.

        The statement says where it comes from. Returns the outcome, a sentence.
        """
        present = registry.find_champion(self.model_name)
        self._move(verdict.BROUGHT_IN, version, present, None, statement)
        replaced = f"; it replaces v{present}" if present else ""
        return f"brought in v{version}, by {statement.by}: {statement.reason}{replaced}"

    def hand_on(self, version: str, statement: Statement) -> None:
        """Record that another environment has this version now."""
        self._recorder.record(verdict.HANDED_ON, version, None, statement)

    def read_entries(self) -> list[Record]:
        """Return the entries of the ledger about this model, in the order of time."""
        return self._recorder.read_entries()

    def look(self) -> list[str]:
        """End what an earlier run has left half done, and copy to MLflow what is missing there.

        Returns:
            What was done, and which move is under way, each a sentence.

        Raises:
            LedgerError: the ledger lies where two runs could write the same entry.
        """
        self._journal.try_store()
        said = [*self._settle(), *self._recorder.publish_missing()]
        under_way = self._mover.describe_open(self._journal.read())
        return [*said, *([under_way] if under_way else [])]

    def audit(self, *, thorough: bool = False) -> Audit:
        """Compare the ledger with MLflow's copies, the alias and the registry; see `audit`."""
        return audit(self.model_name, self._journal, thorough=thorough)

    def accept(self, reason: str) -> list[str]:
        """Accept whatever the ledger disagrees about now, for ever, and write that down.

        Returns:
            What was accepted.
        """
        found = self.audit(thorough=True).disagreements
        if found:
            said = {"by": self.run.identity, "reason": reason, "model": self.model_name}
            self._journal.add(lambda _: {"step": ACCEPTED, "faults": found, **said})
        return found

    def read_head(self) -> str:
        """Return number and digest of the last entry of the ledger."""
        return str(self._journal.read().head)

    def _settle(self) -> list[str]:
        endings = self._mover.settle()
        for ending in endings:
            self._recorder.publish(ending.entry)
        put_back = self._mover.put_back_late_move()
        return [*(ending.said for ending in endings), *([put_back] if put_back else [])]

    def read_last(self) -> Mapping[str, Any] | None:
        """Return the last entry of this run in the ledger, or None."""
        return self._recorder.read_last()

    def read_refusal(self) -> str:
        """Return why this run did not move the champion, or "" if it did, or did not try to."""
        entry = self._recorder.read_last()
        refused = entry and entry["event"] in verdict.FAILURES
        return str(entry["reason"]) if entry and refused else ""

    def measure_package(self, version: str) -> dict[str, Any]:
        """Load a registered version in a fresh process and measure it."""
        return measure_version(self.model_name, version)

    def log_decision(self, decision: Mapping[str, Any]) -> None:
        """Log a decision as an artifact of the MLflow run."""
        tracking.log_json(self.run.mlflow_run_id, decision, f"{FOLDER}/decision.json")

    def _move(
        self,
        event: str,
        version: str,
        expected: str | None,
        decision: Mapping[str, Any] | None,
        statement: Statement,
    ) -> None:
        """Move the champion, verify it, and record the move, or why there was none.

        If this run has already recorded the move, a retry only writes it into the run and the
        version again. A second verification could fail and undo the move.
        """
        self._await_others()
        if self._repeat(event, version):
            return
        own = self._recorder.find_entry(event)

        def check(chain: Chain) -> None:
            self._refuse_fault(event, chain, expected)
            self._refuse_outdated_move(event, version, chain, own)
            if event == verdict.PROMOTED and statement.by == POLICY:
                self._refuse_old_run()

        entry = self._recorder.make_entry(event, version, decision, statement)
        entry |= {"champion_before": expected, "champion_after": version}
        try:
            ended, fault = self._try_move(entry, check)
        except ChampionMovedError as error:
            if self._repeat(event, version):
                return  # Another process has finished it.
            failed = replace(statement, reason=str(error))
            self._recorder.record(verdict.LOST_RACE, version, decision, failed)
            raise
        self._recorder.publish(ended)
        if fault is not None:
            raise fault

    def _repeat(self, event: str, version: str) -> bool:
        """Copy the entry of a move that this run has made to MLflow again; return if it has."""
        own = self._recorder.find_entry(event)
        if not own or not own["version"] == version == registry.find_champion(self.model_name):
            return False
        self._recorder.publish(own)
        return True

    def _try_move(self, entry: Record, check: Check) -> tuple[Record, Exception | None]:
        while True:
            try:
                return self._mover.move(entry, check)
            except UnderWayError:
                self._await_others()

    def _await_others(self) -> None:
        """Wait for a move that is under way; end it where nobody has it under way any more."""
        said = ""
        while True:
            self._settle()
            before, said = said, self._mover.describe_open(self._journal.read())
            if not said:
                return
            if said != before:
                logger.info("Waiting: %s", said)
            time.sleep(PATIENCE_S)

    def _find_seen(self, version: str, patients: list[str]) -> list[str] | None:
        try:
            return judgement.find_seen(registry.read_images(self.model_name, version), patients)
        except RegistryError as error:
            logger.warning("%s", error)
            return None

    def _read_data_until(self, version: str) -> str:
        facts = lineage.read_facts(registry.get_version(self.model_name, version))
        return facts.get("index_until", "")

    def _refuse_fault(self, event: str, chain: Chain, expected: str | None) -> None:
        """Refuse a move that the ledger does not allow. A person may roll back all the same.

        Raises:
            ChampionMovedError: it does not.
        """
        if event == verdict.ROLLED_BACK or registry.find_champion(self.model_name) != expected:
            return  # Of another champion than expected the mover tells.
        fault = explain_fault(chain, self.model_name, expected, read_copies(self.model_name))
        # If somebody has written an entry meanwhile, this chain is not what it will be written on.
        if fault and self._journal.read().head == chain.head:
            raise ChampionMovedError(f"Nothing was moved: {fault}.")

    def _refuse_outdated_move(
        self, event: str, version: str, chain: Chain, own: Mapping[str, Any] | None
    ) -> None:
        """Refuse the move if something was decided about the version after this move was.

        Compare-and-set sees where the alias points now. It does not see that the alias has moved
        away and back in the meantime.

        Raises:
            ChampionMovedError: this run, another run or a person has moved the champion meanwhile.
        """
        present = registry.find_champion(self.model_name)
        if own:
            raise ChampionMovedError(
                f"This run has made version {own['version']} champion before, and since then "
                f"somebody has made version {present} champion. Nothing was moved. Roll back to "
                f"version {version} if it shall be champion again."
            )
        entries = self._recorder.select_entries(chain)
        moves = [entry for entry in entries if entry["event"] in verdict.MOVES]
        if moves and moves[-1]["champion_after"] == version == present:
            raise ChampionMovedError(
                f"Version {version} is champion already: {moves[-1]['event']} by "
                f"{moves[-1]['by']}, {moves[-1]['mlflow_url']}. Nothing was moved."
            )
        if event == verdict.PROMOTED and (found := ledger.find_rollback(entries, version)):
            raise ChampionMovedError(
                f"Version {version} was rolled back since it was judged: {found}. Nothing was "
                f"moved. Roll back to version {version} if it shall be champion again."
            )

    def _refuse_old_run(self) -> None:
        """Refuse an old decision: somebody may have cleared only the last task of an old run.

        Raises:
            ChampionMovedError: the date of the run is longer ago than the policy allows.
        """
        age, allowed = self.run.age_hours, self.policy["maximum_run_age_hours"]
        if age is not None and age > allowed:
            raise ChampionMovedError(
                f"The run is for a date {age:.1f} hours ago, allowed: {allowed:g}. Nothing was "
                "moved. Run the DAG 'promotion' to judge the challenger today."
            )
