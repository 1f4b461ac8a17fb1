"""Carrying a decision out: facts, the move of the champion, its verification, the records.

Under a lock the alias moves by compare-and-set; then the model is loaded as a consumer would and
asked its golden cells; if it does not answer as stored, the alias goes back. Every step may be
killed and run again: each looks at what is there before it writes.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kedro.io import CatalogProtocol

from image_classification import tracking
from image_classification.champion import consumer, ledger, registry
from image_classification.champion.record import (
    FOLDER,
    POLICY,
    Ledger,
    Recorder,
    RunOfRecord,
    Statement,
)
from image_classification.errors import (
    ChampionMovedError,
    ConfigurationError,
    RegistryError,
    VerificationError,
)
from image_classification.gate import judgement
from image_classification.gate.policy import PromotionPolicy
from image_classification.gate.rule import Facts

logger = logging.getLogger(__name__)

GATE = "promotion"
"""The parameters that hold the policy."""

BY_POLICY = Statement()
EVENT_OF = {"keep": ledger.KEPT, "refuse": ledger.REFUSED, "dry_run": ledger.DRY_RUN}
CONSUMER_TIMEOUT_S = 600
TIMED_CALLS = 9


class Release:
    """What one run does with the registered model."""

    def __init__(
        self, model_name: str, entries: Ledger, policy: PromotionPolicy, run: RunOfRecord
    ) -> None:
        """Prepare; nothing is read or written yet.

        Args:
            model_name: the registered model.
            entries: the ledger.
            policy: of the parameters.
            run: to which all that is decided belongs.
        """
        self.model_name = model_name
        self.policy = policy
        self.run = run
        self._recorder = Recorder(model_name, entries, policy["mode"], run)
        self._lock = registry.lock_champion(entries.folder)

    @classmethod
    def open(cls, catalog: CatalogProtocol[Any, Any], run: RunOfRecord) -> Release:
        """Return the release of a run, out of its catalog."""
        parameters = (catalog.load(f"params:{name}") for name in ("registered_model_name", GATE))
        model_name, policy = parameters
        return cls(model_name, catalog["ledger"], policy, run)

    def decide(self, catalog: CatalogProtocol[Any, Any], version: str) -> dict[str, Any]:
        """Judge the comparison in the catalog, keep the decision there and with the MLflow run.

        Args:
            catalog: of the run: `comparison` and `package_measures` are read, `decision` written.
            version: the challenger.
        """
        decision = self.conclude(
            version, catalog.load("comparison"), catalog.load("package_measures")
        )
        catalog.save("decision", decision)
        tracking.log_json(self.run.mlflow_run_id, decision, f"{FOLDER}/decision.json")
        return decision

    def carry_out(self, version: str, decision: Mapping[str, Any]) -> str:
        """Do what follows a decision where nobody can be asked. Returns the outcome."""
        action = choose_action(decision)
        if action == "promote":
            return self.promote(version, decision)
        if action == "approve":
            nobody = Statement(
                "nobody", comment="promotion.mode is 'approve': Airflow asks a person"
            )
            return self.keep(version, decision, ledger.REJECTED, nobody)
        return self.keep(version, decision, EVENT_OF[action])

    def conclude(
        self, version: str, comparison: Mapping[str, Any], package: dict[str, float] | None
    ) -> dict[str, Any]:
        """Judge a comparison, with what is known of both versions and of this run.

        Args:
            version: the challenger.
            comparison: of `compare_models`.
            package: of `measure_package`.
        """
        compared = {**comparison, "challenger": {**comparison["challenger"], "version": version}}
        return judgement.judge(
            compared, self.gather_facts(version, comparison, package), self.policy
        )

    def gather_facts(
        self, version: str, comparison: Mapping[str, Any], package: dict[str, float] | None
    ) -> Facts:
        """Return what the gate must know beside the predictions."""
        # The one that was compared, whoever is champion by now: the move looks at that.
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
        """Make a version champion, verified, and record it. Safe to repeat.

        Args:
            version: the challenger.
            decision: of `conclude`.
            statement: who decided, and why.

        Returns:
            The outcome, a sentence.

        Raises:
            ChampionMovedError: another version became champion since the comparison, or this one
                was promoted by this run and has been replaced since. Recorded; nothing was moved.
            VerificationError: it does not answer as it should. Recorded; the alias was moved back.
        """
        expected = decision["champion"]["version"] if decision["champion"] else None
        with self._lock:
            self._move(ledger.PROMOTED, version, expected, decision, statement)
        approved = "" if statement.by == POLICY else f", approved by {statement.by}"
        replaced = f"; it replaces v{expected}" if expected else ""
        return f"promoted v{version}{approved}: {decision['reason']}{replaced}"

    def keep(
        self,
        version: str,
        decision: Mapping[str, Any],
        event: str = ledger.KEPT,
        statement: Statement = BY_POLICY,
    ) -> str:
        """Leave the champion, and record why on the challenger. Returns the outcome, a sentence.

        Args:
            version: the challenger.
            decision: of `conclude`.
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
            ledger.KEPT: kept,
            ledger.REFUSED: f"refused v{version}, {kept}",
            ledger.REJECTED: f"{kept}, v{version} was rejected by {statement.by}{said}; the gate",
            ledger.DRY_RUN: f"dry run, {kept}; v{version} would have been promoted",
        }
        return f"{openings[event]}: {decision['reason']}"

    def roll_back(self, plan: Mapping[str, str]) -> str:
        """Make an earlier version champion again, verified, and record it. Safe to repeat.

        Args:
            plan: of `plan_rollback`: `from`, `to`, `reason` and `by`.

        Returns:
            The outcome, a sentence.

        Raises:
            ChampionMovedError: the champion is not the one that the plan was made for. Recorded.
            VerificationError: the version does not answer as it should. Recorded; the alias was
                moved back.
        """
        target, present, reason, by = plan["to"], plan["from"], plan["reason"], plan["by"]
        said = Statement(by, comment=reason, reason=reason)
        with self._lock:
            self._move(ledger.ROLLED_BACK, target, present, None, said)
        return f"rolled back to v{target} from v{present}, by {by}: {reason}"

    def read_refusal(self) -> str:
        """Return why this run did not move the champion as it should, "" where it did."""
        entry = self._recorder.read_last()
        refused = entry and entry["event"] in (ledger.UNVERIFIED, ledger.LOST_RACE)
        return str(entry["reason"]) if entry and refused else ""

    def measure_package(self, version: str) -> dict[str, Any]:
        """Load a registered version in a fresh process and measure it; see `consumer`."""
        return consume_version(f"models:/{self.model_name}/{version}", TIMED_CALLS)

    def _move(
        self,
        event: str,
        version: str,
        expected: str | None,
        decision: Mapping[str, Any] | None,
        statement: Statement,
    ) -> None:
        """Move the champion, verify it, and record that, or what came of it instead.

        What this run has recorded is done: it is not verified again, which might undo it.
        """
        own, present = self._recorder.find_entry(event), registry.find_champion(self.model_name)
        if own and own["version"] == version == present:
            self._recorder.publish(own)
            return
        try:
            self._refuse_outdated_move(event, version, present, own)
            if event == ledger.PROMOTED and statement.by == POLICY:
                self._refuse_old_run()
            registry.move_champion(self.model_name, version, expected, self._lock)
            self._verify_or_move_back(version, expected)
            self._refuse_moved_meanwhile(version)
        except (ChampionMovedError, VerificationError) as error:
            lost = isinstance(error, ChampionMovedError)
            failed = replace(statement, reason=str(error))
            instead = ledger.LOST_RACE if lost else ledger.UNVERIFIED
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
        """Look for what has been decided about the version since this move was.

        Compare-and-set sees where the alias is, not that it has been elsewhere and is back.

        Raises:
            ChampionMovedError: this run, or another one, or a person has been quicker.
        """
        if own:
            raise ChampionMovedError(
                f"This run has made version {own['version']} champion before, and since then "
                f"somebody has made version {present} champion. Nothing was moved. Roll back to "
                f"version {version} if it shall be champion again."
            )
        entries = self._recorder.read_entries()
        moves = [entry for entry in entries if entry["event"] in ledger.MOVES]
        if moves and moves[-1]["champion_after"] == version == present:
            raise ChampionMovedError(
                f"Version {version} is champion already: {moves[-1]['event']} by "
                f"{moves[-1]['by']}, {moves[-1]['mlflow_url']}. Nothing was moved."
            )
        if event == ledger.PROMOTED and (found := ledger.find_rollback(entries, version)):
            raise ChampionMovedError(
                f"Version {version} was rolled back since it was judged: {found}. Nothing was "
                f"moved. Roll back to version {version} if it shall be champion again."
            )

    def _refuse_old_run(self) -> None:
        """Do not carry out what was decided long ago: the task may have been cleared alone.

        Raises:
            ChampionMovedError: the run is for a date too long ago.
        """
        age, allowed = self.run.age_hours, self.policy["maximum_run_age_hours"]
        if age is not None and age > allowed:
            raise ChampionMovedError(
                f"The run is for a date {age:.1f} hours ago, allowed: {allowed:g}. Nothing was "
                "moved. Run the DAG 'promotion' to judge the challenger today."
            )

    def _refuse_moved_meanwhile(self, version: str) -> None:
        """Look at the alias once more: who sets it by hand takes no lock."""
        present = registry.find_champion(self.model_name)
        if present != version:
            raise ChampionMovedError(
                f"Version {version} was made champion, and while it was verified somebody has made "
                f"version {present or 'none'} champion. That was left as it is."
            )

    def _verify_or_move_back(self, version: str, before: str | None) -> None:
        try:
            self._verify(version)
        except VerificationError as error:
            registry.move_champion(self.model_name, before, version, self._lock)
            again = f"version {before}" if before else "none"
            raise VerificationError(f"{error} The champion is {again} again.") from error

    def _verify(self, version: str) -> None:
        """Ask the champion, as a consumer does, its golden cells.

        Raises:
            VerificationError: it cannot be loaded, is another model, or answers otherwise.
        """
        uri = f"models:/{self.model_name}@{registry.CHAMPION}"
        answer = consume_version(uri)
        expected = registry.find_model_id(self.model_name, version)
        if expected and answer["model_id"] != expected:
            raise VerificationError(
                f"{uri} answers as model {answer['model_id']}, not as {expected}, which is version "
                f"{version}."
            )
        difference = answer["golden_difference"]
        if difference is None:
            logger.warning("Version %s keeps no golden cells: it was loaded, not asked", version)
        elif not difference <= self.policy["golden_tolerance"]:
            raise VerificationError(
                f"Version {version} does not answer its golden cells as it did when it was made: a "
                f"probability differs by {difference:.4g}, allowed: "
                f"{self.policy['golden_tolerance']:g} (promotion.golden_tolerance)."
            )
        logger.info("Verified: %s answers its golden cells (within %s)", uri, difference)


def consume_version(model_uri: str, timed_calls: int = 0) -> dict[str, Any]:
    """Load a model in a fresh process, as a consumer would; return what `consumer` found.

    Args:
        model_uri: a version, or an alias.
        timed_calls: how often it is asked one image, for the latency.

    Raises:
        VerificationError: it cannot be loaded, or cannot answer.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder, "answer.json")
        command = [
            *(sys.executable, "-I", consumer.__file__),
            *(model_uri, tracking.read_uri(), str(file), str(timed_calls)),
        ]
        try:
            done = subprocess.run(  # noqa: S603 - our own script
                command,
                cwd=folder,
                env=_consumer_environment(),
                capture_output=True,
                text=True,
                timeout=CONSUMER_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise VerificationError(
                f"{model_uri} did not answer within {CONSUMER_TIMEOUT_S} s in a fresh process."
            ) from None
        if done.returncode or not file.exists():
            last = "\n".join(done.stderr.strip().splitlines()[-5:])
            raise VerificationError(f"{model_uri} cannot be used in a fresh process:\n{last}")
        answer: dict[str, Any] = json.loads(file.read_text())
    return answer


def choose_action(decision: Mapping[str, Any]) -> str:
    """Return what follows a decision: promote, approve, dry_run, keep or refuse."""
    if decision["verdict"] != judgement.PROMOTE:
        return str(decision["verdict"])
    actions = {"auto": "promote", "approve": "approve", "dry_run": "dry_run"}
    if decision["mode"] not in actions:
        raise ConfigurationError(
            f"promotion.mode: allowed are {', '.join(actions)}. Received: {decision['mode']!r}."
        )
    return actions[decision["mode"]]


def _consumer_environment() -> dict[str, str]:
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}
    hidden = ("PYTHONDONTWRITEBYTECODE", "KEDRO_LOGGING_CONFIG")
    return {name: value for name, value in os.environ.items() if name not in hidden} | quiet
