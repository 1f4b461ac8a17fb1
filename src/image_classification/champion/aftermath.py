"""What follows the nodes of a run: the model is logged, measured, judged; the decision carried out.

Written once. Under Airflow each step is a task; after a `kedro run` all of them follow one another.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from image_classification import tracking
from image_classification.champion import registry
from image_classification.champion.release import Release
from image_classification.champion.statement import DecisionRun, Statement
from image_classification.errors import RegistryError
from image_classification.gate.verdict import Action, choose_action
from image_classification.vendor.kedro import digest_file
from image_classification.vendor.kedro_mlflow import log_pipeline_model

if TYPE_CHECKING:
    from kedro_mlflow.pipeline.pipeline_ml import PipelineML

logger = logging.getLogger(__name__)

NOBODY = Statement("nobody", comment="promotion.mode is 'approve': Airflow asks a person")
"""Who answers where no person can be asked."""


class Catalog(Protocol):
    """As much of a Kedro catalog as is needed: datasets by name."""

    def __getitem__(self, name: str) -> Any:
        """Return a dataset."""

    def load(self, name: str) -> Any:
        """Return what a dataset holds."""

    def save(self, name: str, data: Any) -> None:
        """Let a dataset hold something."""

    def exists(self, name: str) -> bool:
        """Tell whether a dataset holds something."""


class Aftermath:
    """What one run does once its nodes have run. Every step may be killed and done again."""

    def __init__(self, catalog: Catalog, run: DecisionRun) -> None:
        """Prepare; nothing is read yet.

        Args:
            catalog: of the run.
            run: to which all that is logged and decided belongs.
        """
        self.run = run
        self._catalog = catalog

    @cached_property
    def release(self) -> Release:
        """What this run does with the registered model."""
        policy = self._catalog.load("params:promotion")
        return Release(self._model_name, self._catalog["ledger"], policy, self.run)

    @cached_property
    def challenger(self) -> str:
        """The version under judgement: the one compared, or else the one that this run registered.

        Raises:
            RegistryError: neither is there.
        """
        compared = self._catalog.load("comparison")["challenger"]["version"]
        return str(compared or self._find_own_version())

    def log_challenger(self, pipeline: PipelineML) -> str:
        """Log the model of a PipelineML, and register it as challenger; return its version.

        Raises:
            RegistryError: this run has logged another network before: its training was cleared
                and done again. One run is one model, and what was recorded of it stays.
        """
        if self._needs_model():
            with self._enter_run(), tracking.log_model_frugally():
                log_pipeline_model(pipeline, self._catalog)
        version = registry.register_challenger(
            self._model_name,
            self.run.mlflow_run_id,
            registry.describe_data(self._catalog.load("data_summary")) | self.run.tags,
            self._catalog.load("golden_cells"),
            self.run.experiment_id,
        )
        return str(version.version)

    def measure(self) -> dict[str, Any]:
        """Measure the packaged challenger in a fresh process; return what was found."""
        measures = self.release.measure_package(self.challenger)
        self._catalog.save("package_measures", measures)
        return measures

    def decide(self) -> tuple[Action, str]:
        """Judge the comparison; return what follows, and why."""
        decision = self.release.conclude(
            self.challenger,
            self._catalog.load("comparison"),
            self._catalog.load("package_measures"),
        )
        self._catalog.save("decision", decision)
        self.release.log_decision(decision)
        return choose_action(decision["verdict"], decision["mode"]), decision["reason"]

    def read_action(self) -> Action:
        """Return what follows the decision that was made."""
        decision = self._catalog.load("decision")
        return choose_action(decision["verdict"], decision["mode"])

    def promote(self, statement: Statement) -> str:
        """Make the challenger champion; return the outcome."""
        decision = self._catalog.load("decision")
        return self._finish(self.release.promote(self.challenger, decision, statement))

    def keep(self, statement: Statement) -> str:
        """Leave the champion, record why, and return the outcome."""
        decision, event = self._catalog.load("decision"), self.read_action().event
        return self._finish(self.release.keep(self.challenger, decision, event, statement))

    def roll_back(self) -> str:
        """Carry out the plan of `plan_rollback`; return the outcome."""
        return self._finish(self.release.roll_back(self._catalog.load("rollback_plan")))

    def carry_out(self) -> str:
        """Do what follows the decision where no person can be asked; return the outcome."""
        action = self.read_action().name
        if action == "promote":
            return self.promote(Statement())
        return self.keep(NOBODY if action == "approve" else Statement())

    def follow(
        self, pipeline: PipelineML | None, *, decides: bool = False, rolls_back: bool = False
    ) -> str:
        """Do all that follows a whole run in one process; return the outcome, "" for none.

        Args:
            pipeline: where the run has trained a network: made by `pipeline_ml_factory`.
            decides: challenger and champion were compared.
            rolls_back: a rollback was planned.
        """
        if pipeline is not None:
            self.log_challenger(pipeline)
        if decides:
            self.measure()
            self.decide()
            return self.carry_out()
        return self.roll_back() if rolls_back else ""

    def find_candidate(self) -> str | None:
        """Return the version that this run would make champion, None where it has none yet."""
        if self._catalog.exists("rollback_plan"):
            return str(self._catalog.load("rollback_plan")["to"])
        if self._catalog.exists("decision"):
            return str(self._catalog.load("decision")["challenger"]["version"])
        own = registry.find_version_of_run(self._model_name, self.run.mlflow_run_id)
        return str(own.version) if own else None

    def _enter_run(self) -> AbstractContextManager[None]:
        """Make the run the active one for a while, where it is not: in a task."""
        if not self.run.is_shared:
            return nullcontext()
        return tracking.resume_run(self.run.mlflow_run_id, self.run.experiment_id)

    def _needs_model(self) -> bool:
        """Tell whether the model is still to be logged, and remember of which network it is."""
        if not self.run.is_shared:
            return True
        digest = digest_file(self._catalog["network"])
        run_id = self.run.mlflow_run_id
        if tracking.find_logged_model(run_id, self.run.experiment_id) is None:
            tracking.tag_run(run_id, {tracking.NETWORK_TAG: digest})
            return True
        if tracking.read_tag(run_id, tracking.NETWORK_TAG) != digest:
            raise RegistryError(
                f"DAG run {self.run.airflow_run} has logged a model already, of another network "
                "than it has now: its training was run again. Trigger a new run (with force) "
                "instead of clearing one whose model is logged."
            )
        return False

    def _find_own_version(self) -> str:
        version = registry.find_version_of_run(self._model_name, self.run.mlflow_run_id)
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
