"""What follows the nodes of a run: log the model, measure it, judge it, carry the decision out.

Under Airflow each step is a task. After a `kedro run` one process does all of them in turn.
"""

from __future__ import annotations

import logging
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from image_classification import tracking
from image_classification.champion import lineage, package, registry
from image_classification.champion.record import PLOTS
from image_classification.champion.release import Release
from image_classification.champion.statement import DecisionRun, Statement
from image_classification.configuration import names
from image_classification.configuration.tag import PROCESSING, PROMOTION, SELECTION, TRAINING
from image_classification.errors import LedgerError, RegistryError, SealedError
from image_classification.gate.verdict import Action, choose_action
from image_classification.tracking.kept import locate_artifact_path
from image_classification.vendor.kedro import digest_file
from image_classification.vendor.kedro_mlflow import log_pipeline_model

if TYPE_CHECKING:
    from kedro_mlflow.pipeline.pipeline_ml import PipelineML
    from mlflow.entities.model_registry import ModelVersion

logger = logging.getLogger(__name__)

BEFORE_MODEL = frozenset({PROCESSING, SELECTION, TRAINING})
"""The parts of a pipeline that come before its model is logged."""

NOBODY = Statement("nobody", comment="promotion.mode is 'approve': Airflow asks a person")
"""Who rejects the challenger in a `kedro run`, where no person can be asked."""


FINDINGS_TAG = "ledger_findings"
"""Tag of an MLflow run: how the ledger disagreed as it began."""

LONGEST_TAG = 5000


class Catalog(Protocol):
    """The part of a Kedro catalog that is used here: datasets by name."""

    def __getitem__(self, name: str) -> Any:
        """Return a dataset."""

    def load(self, name: str) -> Any:
        """Return what a dataset holds."""

    def save(self, name: str, data: Any) -> None:
        """Write something into a dataset."""

    def exists(self, name: str) -> bool:
        """Tell whether a dataset holds something."""


class Aftermath:
    """The steps of one run after its nodes. Each may be killed and run again."""

    def __init__(self, catalog: Catalog, run: DecisionRun) -> None:
        """Prepare; nothing is read yet.

        Args:
            catalog: the catalog of the run.
            run: the run that all log entries and decisions belong to.
        """
        self.run = run
        self._catalog = catalog

    @cached_property
    def release(self) -> Release:
        """The object through which this run changes the registered model."""
        policy = self._catalog.load("params:promotion")
        plots = {title: locate_artifact_path(self._catalog, name) for title, name in PLOTS.items()}
        return Release(self._model_name, self._catalog[names.LEDGER], policy, self.run, plots)

    def look(self) -> tuple[list[str], list[str]]:
        """End what an earlier run has left half done, and compare the ledger with what follows it.

        Whatever is found, the run goes on: a promotion that it forbids is refused by the gate.

        Returns:
            What somebody should do something about, and what else is worth knowing: sentences.

        Raises:
            LedgerError: the ledger lies where two runs could write the same entry.
        """
        try:
            done = self.release.look()
        except LedgerError:
            raise
        except RegistryError as error:
            done = [f"What an earlier run has left half done stays so: {error}"]
        found = self.release.audit()
        urgent = [*found.faults, *found.moved]
        told = [*done, *found.missing, *found.strangers, *found.notes]
        for said in (*urgent, *told):
            logger.warning("%s", said)
        if urgent or told:
            said = "\n".join([*urgent, *told])[:LONGEST_TAG]
            tracking.tag_run(self.run.mlflow_run_id, {FINDINGS_TAG: said})
        return urgent, told

    @cached_property
    def challenger(self) -> str:
        """The version under judgement: the one that was compared, or else the one of this run.

        Raises:
            RegistryError: the comparison names no version, and this run has registered none.
        """
        compared = self._catalog.load(names.COMPARISON)["challenger"]["version"]
        return str(compared or self._find_own_version())

    def log_challenger(self, pipeline: PipelineML) -> str:
        """Log the model of a PipelineML, and register it as challenger; return its version.

        Raises:
            RegistryError: this run has already logged another network, because its training was
                cleared and run again. One run stands for one model.
        """
        if not self._has_logged():
            tracking.discard_models(self.run.mlflow_run_id, self.run.experiment_id)
            with self._enter_run(), tracking.log_model_frugally(self._seal):
                log_pipeline_model(pipeline, self._catalog)
        version = registry.register_challenger(
            self._model_name,
            self._catalog.load(names.LOGGED_MODEL)["model_id"],
            lineage.make_tags(self._catalog.load(names.DATA_SUMMARY)),
        )
        return str(version.version)

    def measure(self) -> dict[str, Any]:
        """Measure the packaged challenger in a fresh process, and return its measures."""
        self.refuse_sealed({PROMOTION})
        measures = self.release.measure_package(self.challenger)
        self._catalog.save(names.PACKAGE_MEASURES, measures)
        return measures

    def decide(self) -> tuple[Action, str]:
        """Judge the comparison; return the action that follows, and the reason."""
        self.refuse_sealed({PROMOTION})
        decision = self.release.conclude(
            self.challenger,
            self._catalog.load(names.COMPARISON),
            self._catalog.load(names.PACKAGE_MEASURES),
        )
        if self._catalog.exists(names.BASELINE_REPORT):  # a run of an earlier release has none
            decision["baseline"] = self._catalog.load(names.BASELINE_REPORT)
        self._catalog.save(names.DECISION, decision)
        self.release.log_decision(decision)
        return choose_action(decision["verdict"], decision["mode"]), decision["reason"]

    def read_action(self) -> Action:
        """Return the action that follows the recorded decision."""
        decision = self._catalog.load(names.DECISION)
        return choose_action(decision["verdict"], decision["mode"])

    def promote(self, statement: Statement) -> str:
        """Make the challenger champion; return the outcome."""
        decision = self._catalog.load(names.DECISION)
        return self._finish(self.release.promote(self.challenger, decision, statement))

    def keep(self, statement: Statement) -> str:
        """Keep the champion, record the reason, and return the outcome."""
        decision, event = self._catalog.load(names.DECISION), self.read_action().event
        return self._finish(self.release.keep(self.challenger, decision, event, statement))

    def roll_back(self) -> str:
        """Carry out the plan of `plan_rollback`; return the outcome."""
        return self._finish(self.release.roll_back(self._catalog.load(names.ROLLBACK_PLAN)))

    def carry_out(self) -> str:
        """Carry the decision out where no person can be asked; return the outcome."""
        action = self.read_action().name
        if action == "promote":
            return self.promote(Statement())
        return self.keep(NOBODY if action == "approve" else Statement())

    def follow(
        self, pipeline: PipelineML | None, *, decides: bool = False, rolls_back: bool = False
    ) -> str:
        """Do all steps after a whole run in one process; return the outcome, or "" for none.

        Args:
            pipeline: the PipelineML that has trained a network; None if the run trained none.
            decides: whether the run has compared challenger and champion.
            rolls_back: whether the run has planned a rollback.
        """
        if pipeline is not None:
            self.log_challenger(pipeline)
        if decides:
            self.measure()
            self.decide()
            return self.carry_out()
        return self.roll_back() if rolls_back else ""

    def refuse_sealed(self, parts: AbstractSet[str]) -> None:
        """Refuse to do a part of this run again once its evidence is closed.

        What a version was trained with is closed when its model is logged, and what it was decided
        by with the entry of the ledger: nothing may write over them, whatever is cleared.

        Args:
            parts: tags of the nodes that are about to run.

        Raises:
            SealedError: it would change what a version was trained with, or decided by.
        """
        if parts & BEFORE_MODEL and self._read_logged() and self._has_logged():
            closed = "its model is logged, and the evidence of the training is closed"
        elif parts & {*BEFORE_MODEL, PROMOTION} and self._has_decided():
            closed = "the ledger holds what came of it, and its evidence is closed"
        else:
            return
        raise SealedError(
            f"{self.run.airflow_run or 'This run'} may not do this again: {closed}. Nothing was "
            "written. Trigger a new run (with force), which makes a version of its own; to judge "
            "this version again, run the DAG 'promotion'."
        )

    def find_candidate(self) -> str | None:
        """Return the version that this run would make champion, or None if there is none yet."""
        if self._catalog.exists(names.ROLLBACK_PLAN):
            return str(self._catalog.load(names.ROLLBACK_PLAN)["to"])
        if self._catalog.exists(names.DECISION):
            return str(self._catalog.load(names.DECISION)["challenger"]["version"])
        own = self._find_registered()
        return str(own.version) if own else None

    def _enter_run(self) -> AbstractContextManager[None]:
        """Make the run active for a while in a task; a `kedro run` has made it active already."""
        if not self.run.is_shared:
            return nullcontext()
        return tracking.resume_run(self.run.mlflow_run_id, self.run.experiment_id)

    def _has_decided(self) -> bool:
        """Tell whether the ledger holds an entry of this run; a run without a decision has none."""
        decides = any(map(self._catalog.exists, (names.DECISION, names.ROLLBACK_PLAN)))
        return decides and self.release.read_last() is not None

    def _seal(self, model_id: str, folder: Path) -> None:
        """Sign the files of this run's model, and note which one it is, before it is uploaded."""
        package.seal(self._model_name, folder, self._catalog.load(names.GOLDEN_CELLS))
        logged = {
            "mlflow_run_id": self.run.mlflow_run_id,
            "model_id": model_id,
            "network_digest": digest_file(self._catalog[names.NETWORK]),
        }
        self._catalog.save(names.LOGGED_MODEL, logged)

    def _has_logged(self) -> bool:
        """Tell whether this run's own task has logged its model, all of it."""
        logged = self._read_logged()
        if logged is None or not tracking.is_model_ready(logged["model_id"]):
            return False
        if logged["network_digest"] != digest_file(self._catalog[names.NETWORK]):
            raise RegistryError(
                f"DAG run {self.run.airflow_run} has logged a model already, of another network "
                "than it has now: its training was run again. Trigger a new run (with force) "
                "instead of clearing one whose model is logged."
            )
        return True

    def _read_logged(self) -> dict[str, str] | None:
        """Return what this run has noted about its model; None if it has logged none yet.

        All runs without Airflow share a folder: it may hold the note of an earlier run.
        """
        if not self._catalog.exists(names.LOGGED_MODEL):
            return None
        logged: dict[str, str] = self._catalog.load(names.LOGGED_MODEL)
        return logged if logged["mlflow_run_id"] == self.run.mlflow_run_id else None

    def _find_registered(self) -> ModelVersion | None:
        """Return the version that this run has registered, or None."""
        logged = self._read_logged()
        if logged is None:
            return None
        return registry.find_version_of_model(self._model_name, logged["model_id"])

    def _find_own_version(self) -> str:
        version = self._find_registered()
        if version is None:
            raise RegistryError(
                f"MLflow run {self.run.mlflow_run_id} registered no version of "
                f"'{self._model_name}': run log_model again."
            )
        return str(version.version)

    def _finish(self, outcome: str) -> str:
        tracking.record_outcome(self.run.mlflow_run_id, outcome)
        return outcome

    @cached_property
    def _model_name(self) -> str:
        return str(self._catalog.load("params:registered_model_name"))
