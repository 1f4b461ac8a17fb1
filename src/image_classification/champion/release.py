"""Carry a decision out: gather the facts, move the champion, verify it, record the result.

The alias moves by compare-and-set under a lock. Then a fresh process loads the champion as a
consumer would and lets it classify its golden cells. If the answers differ from the stored ones,
the alias moves back. Every step may be killed and run again, since each first reads what exists.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from image_classification import tracking
from image_classification.champion import ledger, registry
from image_classification.champion.record import FOLDER, Ledger, Recorder
from image_classification.champion.statement import POLICY, DecisionRun, Statement
from image_classification.champion.verification import measure_version, verify_champion
from image_classification.errors import (
    ChampionMovedError,
    RegistryError,
    VerificationError,
)
from image_classification.gate import judgement, verdict
from image_classification.gate.policy import PromotionPolicy
from image_classification.gate.rule import Facts

logger = logging.getLogger(__name__)

BY_POLICY = Statement()


class Release:
    """The changes that one run makes to the registered model."""

    def __init__(
        self,
        model_name: str,
        entries: Ledger,
        policy: PromotionPolicy,
        run: DecisionRun,
        plots: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare; nothing is read or written yet.

        Args:
            model_name: the registered model.
            entries: the ledger.
            policy: the parameters `promotion`.
            run: the run that all decisions belong to.
            plots: artifacts of the training run that a card shows, by title.
        """
        self.model_name = model_name
        self.policy = policy
        self.run = run
        self._recorder = Recorder(model_name, entries, policy["mode"], run, plots)
        self._lock = registry.lock_champion(entries.folder)

    def conclude(
        self, version: str, comparison: Mapping[str, Any], package: dict[str, float] | None
    ) -> dict[str, Any]:
        """Judge a comparison by the policy, with the facts about both versions and this run.

        Args:
            version: the challenger.
            comparison: from `compare_models`.
            package: from `measure_package`; None if the package was not measured.
        """
        compared = {**comparison, "challenger": {**comparison["challenger"], "version": version}}
        return judgement.judge(
            compared, self.gather_facts(version, comparison, package), self.policy
        )

    def gather_facts(
        self, version: str, comparison: Mapping[str, Any], package: dict[str, float] | None
    ) -> Facts:
        """Return the facts that the gate needs beside the comparison."""
        # The champion that was compared. Another one may be champion by now: the move checks that.
        compared = comparison["champion"]
        champion = str(compared["version"]) if compared else None
        patients = comparison["validation_patients"]
        return {
            "challenger_seen": self._find_seen(version, patients),
            "champion_seen": self._find_seen(champion, patients) if champion else [],
            "challenger_data_until": self._read_data_until(version),
            "champion_data_until": self._read_data_until(champion) if champion else "",
            "rolled_back": ledger.find_rollback(self._recorder.read_entries(), version),
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
        with self._lock:
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
        target, present, reason, by = plan["to"], plan["from"], plan["reason"], plan["by"]
        said = Statement(by, comment=reason, reason=reason)
        with self._lock:
            self._move(verdict.ROLLED_BACK, target, present, None, said)
        return f"rolled back to v{target} from v{present}, by {by}: {reason}"

    def read_last(self) -> Mapping[str, Any] | None:
        """Return the last entry of this run in the ledger, or None."""
        return self._recorder.read_last()

    def read_refusal(self) -> str:
        """Return why this run did not move the champion, or "" if it did, or did not try to."""
        entry = self._recorder.read_last()
        refused = entry and entry["event"] in (verdict.UNVERIFIED, verdict.LOST_RACE)
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
        own, present = self._recorder.find_entry(event), registry.find_champion(self.model_name)
        if own and own["version"] == version == present:
            self._recorder.publish(own)
            return
        try:
            self._refuse_outdated_move(event, version, present, own)
            if event == verdict.PROMOTED and statement.by == POLICY:
                self._refuse_old_run()
            registry.move_champion(self.model_name, version, expected, self._lock)
            self._verify_or_move_back(version, expected, _read_measures(decision))
            self._refuse_moved_meanwhile(version)
        except (ChampionMovedError, VerificationError) as error:
            lost = isinstance(error, ChampionMovedError)
            failed = replace(statement, reason=str(error))
            instead = verdict.LOST_RACE if lost else verdict.UNVERIFIED
            self._recorder.record(instead, version, decision, failed)
            raise
        self._recorder.record(event, version, decision, statement, before=expected)

    def _find_seen(self, version: str, patients: list[str]) -> list[str] | None:
        try:
            return judgement.find_seen(registry.read_images(self.model_name, version), patients)
        except RegistryError as error:
            logger.warning("%s", error)
            return None

    def _read_data_until(self, version: str) -> str:
        tags = registry.get_version(self.model_name, version).tags
        return str(tags.get(registry.INDEX_TAG, ""))

    def _refuse_outdated_move(
        self, event: str, version: str, present: str | None, own: Mapping[str, Any] | None
    ) -> None:
        """Refuse the move if something was decided about the version after this move was.

        Compare-and-set sees where the alias points now. It does not see that the alias has moved
        away and back in the meantime.

        Raises:
            ChampionMovedError: this run, another run or a person has moved the champion meanwhile.
        """
        if own:
            raise ChampionMovedError(
                f"This run has made version {own['version']} champion before, and since then "
                f"somebody has made version {present} champion. Nothing was moved. Roll back to "
                f"version {version} if it shall be champion again."
            )
        entries = self._recorder.read_entries()
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

    def _refuse_moved_meanwhile(self, version: str) -> None:
        """Read the alias once more: a person who sets it by hand does not take the lock."""
        present = registry.find_champion(self.model_name)
        if present != version:
            raise ChampionMovedError(
                f"Version {version} was made champion, and while it was verified somebody has made "
                f"version {present or 'none'} champion. That was left as it is."
            )

    def _verify_or_move_back(
        self, version: str, before: str | None, measured: Mapping[str, Any] | None
    ) -> None:
        tolerance = self.policy["golden_tolerance"]
        try:
            verify_champion(self.model_name, version, tolerance, measured)
        except VerificationError as error:
            registry.move_champion(self.model_name, before, version, self._lock)
            again = f"version {before}" if before else "none"
            raise VerificationError(f"{error} The champion is {again} again.") from error


def _read_measures(decision: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the measures of the package that a decision holds, or None if it holds none."""
    facts = decision["facts"] if decision else None
    measures: Mapping[str, Any] | None = facts["package"] if facts else None
    return measures
