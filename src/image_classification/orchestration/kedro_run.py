"""The Kedro and MLflow side of one DAG run. Imported by operators only when they run."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import kedro
from kedro.framework.context import KedroContext
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import CatalogProtocol
from kedro.io.core import generate_timestamp
from kedro_mlflow.pipeline.pipeline_ml import PipelineML

from image_classification import tracking
from image_classification.champion import registry
from image_classification.champion.card import render_decision
from image_classification.champion.record import RunOfRecord, Statement
from image_classification.champion.release import Release, choose_action
from image_classification.errors import ConfigurationError, RegistryError
from image_classification.gate.trend import describe_watch
from image_classification.vendor.kedro_mlflow import log_pipeline_model

PROCESSING, TRAINING, REVIEW = "data_processing", "training", "review"
MONITORING, INFERENCE = "monitoring", "inference"


class TaskSession(KedroSession):
    """A session whose context is loaded once: what an operator reads, its node runs with."""

    _context: KedroContext | None = None

    @classmethod
    def open(cls, project_path: Path, runtime_params: dict[str, Any]) -> TaskSession:
        """Make a session; `create` would start git twice, for a record that nobody reads."""
        session = cls(session_id=generate_timestamp(), project_path=project_path)
        facts = {"session_id": session.session_id, "env": os.environ.get("KEDRO_ENV")}
        session._store.update(facts | {"runtime_params": runtime_params})
        return session

    def load_context(self) -> KedroContext:
        """Return the context, loaded at the first call."""
        if self._context is None:
            self._context = super().load_context()
        return self._context


@dataclass
class KedroRun:
    """One DAG run, as Kedro and MLflow see it.

    Attributes:
        project_path: the folder that holds `conf/`.
        pipeline: the registered pipeline that the DAG was made from.
        dag_id: the DAG.
        dag_run_id: Airflow's id of the run, unique within the DAG.
        dag_run_url: the page of the DAG run.
        runtime_params: Kedro parameters that this run changes, nested.
        mlflow_run_id: the MLflow run, once it is open.
        experiment_id: of that run, where it is known.
        backfill: it was started for a past date, by a backfill.
        age_hours: since the date that it is for.
    """

    project_path: Path
    pipeline: str
    dag_id: str
    dag_run_id: str
    dag_run_url: str
    runtime_params: dict[str, Any]
    mlflow_run_id: str | None = None
    experiment_id: str | None = None
    backfill: bool = False
    age_hours: float | None = None

    @property
    def key(self) -> str:
        """The name of this DAG run among all, also the name of its folder in the catalog."""
        return f"{self.dag_id}/{re.sub(r'[^A-Za-z0-9_.-]', '-', self.dag_run_id)}"

    def open_mlflow_run(self) -> str:
        """Find or create the MLflow run of this DAG run; return its id."""
        self.experiment_id = self._context.mlflow.open_experiment()  # type: ignore[attr-defined]
        self.mlflow_run_id = tracking.open_run(
            self.experiment_id,
            self.key,
            run_name=self._run_name,
            tags={
                tracking.AIRFLOW_URL_TAG: self.dag_run_url,
                "env": str(self._context.env),
                "kedro_version": kedro.__version__,
                "pipeline_names": self.pipeline,
            },
        )
        return self.mlflow_run_id

    def locate_mlflow_run(self) -> str:
        """Return the address of the MLflow run."""
        self._context  # noqa: B018 - loading the context points MLflow to the configured store
        return tracking.locate_run(self._required_run_id, self.experiment_id)

    def locate_evidence(self) -> dict[str, str]:
        """Return the addresses of the pages to decide by: of the model version, of the run."""
        pages = {"MLflow run": self.locate_mlflow_run()}
        version = self._find_candidate()
        if version is None:
            return pages
        return {
            f"Model version {version}": registry.locate_version(self._model_name, version)
        } | pages

    def run_node(self, node_name: str) -> None:
        """Run one node of the pipeline on the MLflow run of this DAG run.

        Raises:
            TrackingError: a parameter was changed since this run logged it.
        """
        session = self._take_session()
        try:
            with _plain_pipeline(self.pipeline), tracking.explain_refusals():
                session.run(pipeline_names=[self.pipeline], node_names=[node_name])
        finally:
            # Kedro's hooks do not hear of a timeout; MLflow would finish at exit what is active.
            tracking.leave_run()

    def find_batches(self) -> list[str]:
        """Return the batches that an intake would do something about.

        Those that have arrived whole; those that an earlier run took in and did not finish; and
        those about which a person has answered since.
        """
        catalog, parameters = self._catalog, self._context.params["data_processing"]
        now, settle_minutes = datetime.now(UTC), parameters["settle_minutes"]
        arrived = [
            batch.delivered_as
            for batch in catalog.load("incoming_batches").batches
            if batch.is_complete(settle_minutes, now)
        ]
        screened, log = catalog.load("batch_screenings"), catalog.load("image_index")
        indexed = set(log["batch"])
        unfinished = {
            batch
            for batch in catalog.load("image_batches").names()
            if batch not in screened or (batch not in indexed and screened[batch]["images"])
        }
        answered = {
            review["batch"]
            for review in catalog.load("batch_reviews").values()
            if review["at"] not in set(log.loc[log["batch"] == review["batch"], "reviewed_at"])
        }
        return sorted({*arrived, *unfinished, *answered})

    def list_held_batches(self) -> list[str]:
        """Return the batches that wait for a person's answer."""
        answered = {review["batch"] for review in self._catalog.load("batch_reviews").values()}
        return [
            batch
            for batch, record in self._catalog.load("batch_screenings").items()
            if record["verdict"] in ("held", "quarantined") and batch not in answered
        ]

    def count_new_images(self) -> int:
        """Return how many images this run brings into the training set.

        After a review it is those of the accepted batch: the next intake adds them.
        """
        if self.pipeline != REVIEW:
            return int(self._catalog.load("intake_counts")["accepted"])
        answers = self._find_answers()
        if not answers or answers[-1]["answer"] != "accept":
            return 0
        return int(self._catalog.load("batch_screenings")[answers[-1]["batch"]]["images"])

    def _find_answers(self) -> list[dict[str, Any]]:
        """Return the answers about the batch under review, the last one last."""
        batch = self._context.params["review"]["batch"]
        answers = self._catalog.load("batch_reviews").values()
        return [answer for answer in answers if answer["batch"] == batch]

    def describe_outcome(self) -> str:
        """Return what came of an intake, a review, a watch or a scoring, a sentence; else ""."""
        if self.pipeline == MONITORING:
            return self.read_watch()
        if self.pipeline == INFERENCE:
            return str(self._catalog.load("score_summary")["outcome"])
        if self.pipeline == REVIEW and (answers := self._find_answers()):
            return "{answer}ed '{batch}', by {by}: {reason}".format(**answers[-1])
        if self.pipeline != PROCESSING:
            return ""
        counts = self._catalog.load("intake_counts")
        batches = ", ".join(counts["batches"]) or "no batch"
        return (
            f"took in {batches}: {counts['accepted']} images accepted, {counts['held']} held, "
            f"{counts['rejected']} rejected; {counts['quarantined_files']} files in quarantine"
        )

    def read_watch(self) -> str:
        """Return how the champion does on the newest days, a sentence; "" where there is none."""
        if not self._catalog.exists("champion_watch"):
            return ""
        catalog = self._catalog
        decision = catalog.load("decision") if catalog.exists("decision") else None
        return describe_watch(catalog.load("champion_watch"), decision)

    def record_watch(self) -> tuple[str, bool]:
        """Write how the champion does into the MLflow run; return it, and whether it alerts."""
        sentence = self.read_watch()
        if not sentence:
            return "", False
        tracking.tag_run(self._required_run_id, {tracking.WATCH_TAG: sentence})
        return sentence, bool(self._catalog.load("champion_watch")["alert"])

    def read_outcome(self) -> str:
        """Return what was recorded of this run, "" for nothing yet."""
        self._context  # noqa: B018 - see above
        return tracking.read_tag(self._required_run_id, tracking.OUTCOME_TAG) or ""

    def read_stops(self) -> list[str]:
        """Return why tonight's data were not trained on."""
        stops: list[str] = self._catalog.load("intake_report")["stops"]
        return stops

    def describe_review(self) -> tuple[str, str, str, str | None]:
        """Return the batch under review, its summary, and where its contact sheet is shown."""
        batch = str(self._context.params["review"]["batch"])
        self.record_outcome(f"waits for an answer about batch '{batch}'")
        path = "review/contact_sheet.png"
        return (
            batch,
            self._catalog.load("review_summary"),
            tracking.locate_artifact(self._required_run_id, path),
            tracking.locate_artifact_file(self._required_run_id, path),
        )

    def answer_review(self, answer: dict[str, str]) -> None:
        """Let the next node know what the person answered."""
        self.runtime_params.setdefault("review", {}).update(answer)

    def check_new_images(self, judges: bool) -> tuple[bool, str]:
        """Tell whether there is something to train on, and say why.

        Args:
            judges: this run will compare the challenger with the champion. Then a newest version
                that was never judged, because its night failed after it was registered, does not
                count as done.
        """
        summary = self._catalog.load("data_summary")
        latest = registry.find_latest_version(self._model_name)
        counts = f"{summary['images']} images of {summary['patients']} patients"
        if latest is None:
            return True, f"No model is registered yet: training on {counts}."
        if latest.tags.get(registry.DIGEST_TAG) == summary["data_digest"]:
            if judges and (unjudged := registry.explain_unjudged(latest.tags)):
                return True, (
                    f"No new images, but version {latest.version} {unjudged}: training on these "
                    f"{counts} again."
                )
            return False, f"No new images: version {latest.version} was trained on these {counts}."
        return self._count_changes(str(latest.version), counts)

    def _count_changes(self, version: str, counts: str) -> tuple[bool, str]:
        images = self._catalog.load("image_splits")
        known = registry.read_images(self._model_name, version)
        keys = [
            set(zip(table["image_id"], table["label"], strict=True)) for table in (images, known)
        ]
        new, gone = len(keys[0] - keys[1]), len(keys[1] - keys[0])
        minimum = self._context.params["training"]["min_new_images"]
        changes = f"{new} new images since version {version}" + (f", {gone} gone" if gone else "")
        if new + gone < minimum:
            return False, f"{changes}: waiting for {minimum} (training.min_new_images)."
        return True, f"{changes}: training on {counts}."

    def log_model(self) -> str:
        """Log the model and register it as challenger; return its version. Safe to repeat.

        Raises:
            RegistryError: this run has logged another network before: its training was cleared
                and done again. One run is one model, and what was recorded of it stays.
        """
        digest = self._digest_network()
        if tracking.find_logged_model(self._required_run_id, self.experiment_id) is None:
            tracking.tag_run(self._required_run_id, {tracking.NETWORK_TAG: digest})
            self._log_as_kedro_mlflow_does()
        elif tracking.read_tag(self._required_run_id, tracking.NETWORK_TAG) != digest:
            raise RegistryError(
                f"DAG run {self.key} has logged a model already, of another network than it has "
                "now: its training was run again. Trigger a new run (with force) instead of "
                "clearing one whose model is logged."
            )
        tags = {
            **registry.describe_data(self._catalog.load("data_summary")),
            tracking.AIRFLOW_RUN_TAG: self.key,
            tracking.AIRFLOW_URL_TAG: self.dag_run_url,
        }
        golden = self._catalog.load("golden_cells")
        version = registry.register_challenger(
            self._model_name, self._required_run_id, tags, golden, self.experiment_id
        )
        return str(version.version)

    def measure_package(self) -> dict[str, Any]:
        """Measure the packaged challenger in a fresh process; return what was found."""
        measures = self._release.measure_package(self._challenger)
        self._catalog.save("package_measures", measures)
        return measures

    def decide(self) -> tuple[str, str]:
        """Judge the comparison; return what follows, and why."""
        decision = self._release.decide(self._catalog, self._challenger)
        return choose_action(decision), decision["reason"]

    def describe_decision(self) -> tuple[str, str]:
        """Return the decision in one line, and in Markdown, as evidence for a person."""
        decision = self._catalog.load("decision")
        picture = tracking.locate_artifact_file(self._required_run_id, "promotion/comparison.png")
        # Airflow shows it small: a click opens it.
        shown = f"[![patient by patient]({picture})]({picture})\n\n" if picture else ""
        links = " · ".join(
            f"[{title}]({address})" for title, address in self.locate_evidence().items()
        )
        reason = f"v{self._challenger}: {decision['reason']}."
        evidence = f"**{reason}**\n\n{links}\n\n{shown}{render_decision(decision)}"
        return reason, evidence

    def promote(self, statement: Statement) -> str:
        """Make the challenger champion; return the outcome."""
        decision = self._catalog.load("decision")
        return self._finish(self._release.promote(self._challenger, decision, statement))

    def keep(self, event: str, statement: Statement) -> str:
        """Leave the champion, record why, and return the outcome."""
        decision = self._catalog.load("decision")
        return self._finish(self._release.keep(self._challenger, decision, event, statement))

    def read_action(self) -> str:
        """Return what follows the decision that was made."""
        return choose_action(self._catalog.load("decision"))

    def roll_back(self) -> str:
        """Carry out the plan of `plan_rollback`; return the outcome."""
        return self._finish(self._release.roll_back(self._catalog.load("rollback_plan")))

    def describe_champion(self) -> str:
        """Return what a failure has done to the champion, as a sentence."""
        self._context  # noqa: B018 - see above
        champion = registry.find_champion(self._model_name)
        if champion is not None and champion == self._find_candidate():
            return f"The champion is v{champion} now, the version that this run was about."
        now = f": it is v{champion}" if champion else ""
        return f"The champion was not changed by this failure{now}."

    def _find_candidate(self) -> str | None:
        """Return the version that this run would make champion, or None where it has none yet."""
        catalog = self._catalog
        if catalog.exists("rollback_plan"):
            return str(catalog.load("rollback_plan")["to"])
        if catalog.exists("decision"):
            return str(catalog.load("decision")["challenger"]["version"])
        own = registry.find_version_of_run(self._model_name, self._required_run_id)
        return str(own.version) if own else None

    def locate_watched(self) -> dict[str, str]:
        """Return the addresses of the champion that was watched, and of the run."""
        version = str(self._catalog.load("champion_watch")["version"])
        page = registry.locate_version(self._model_name, version)
        return {f"Model version {version}": page, "MLflow run": self.locate_mlflow_run()}

    def read_refusal(self) -> str:
        """Return why this run's promotion was stopped, "" where it was not."""
        return self._release.read_refusal()

    def name_requester(self, by: str) -> None:
        """Let the next node know who asks for the rollback."""
        self.runtime_params.setdefault("rollback", {}).setdefault("by", by)

    def _finish(self, outcome: str) -> str:
        self.record_outcome(outcome)
        return outcome

    def record_outcome(self, outcome: str) -> None:
        """Write what came of this run into the MLflow run."""
        self._context  # noqa: B018 - see above
        tracking.tag_run(
            self._required_run_id, {tracking.OUTCOME_TAG: outcome, tracking.NOTE_TAG: outcome}
        )

    def log_profile(self, tasks: list[dict[str, Any]]) -> None:
        """Keep where the seconds of this run went with the MLflow run.

        Args:
            tasks: what Airflow knows of the tasks: when each was queued, began and ended.
        """
        timings = list(self._catalog.load("task_timings").values())
        tracking.log_profile(self._required_run_id, tasks, timings)

    def close_mlflow_run(self, succeeded: bool) -> str:
        """Set the final status of the MLflow run and return it."""
        self._context  # noqa: B018 - see above
        return tracking.close_run(self._required_run_id, succeeded, self._command)

    def _log_as_kedro_mlflow_does(self) -> None:
        """Log the model as kedro-mlflow does after a whole run."""
        pipelines.set_requested([TRAINING])
        pipeline = pipelines[TRAINING]
        if not isinstance(pipeline, PipelineML):
            raise ConfigurationError(
                f"Pipeline '{TRAINING}' must be made by pipeline_ml_factory to log a model. "
                f"Received: {type(pipeline).__name__}."
            )
        with (
            tracking.resume_run(self._required_run_id, self.experiment_id),
            tracking.log_model_frugally(),
        ):
            log_pipeline_model(pipeline, self._catalog)

    def _digest_network(self) -> str:
        network = self._catalog["network"]
        with network._fs.open(network._filepath.as_posix(), "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()

    def _own_version(self) -> str:
        version = registry.find_version_of_run(self._model_name, self._required_run_id)
        if version is None:
            raise RegistryError(
                f"MLflow run {self._required_run_id} registered no version of "
                f"'{self._model_name}': run log_model again."
            )
        return str(version.version)

    @cached_property
    def _release(self) -> Release:
        run = RunOfRecord(
            self._required_run_id, self.key, self.dag_run_url, self.backfill, self.age_hours
        )
        return Release.open(self._catalog, run)

    @cached_property
    def _challenger(self) -> str:
        """The version under judgement: the one compared, or else the one this run registered."""
        compared = self._catalog.load("comparison")["challenger"]["version"]
        return str(compared or self._own_version())

    @property
    def _required_run_id(self) -> str:
        if self.mlflow_run_id is None:
            raise ConfigurationError(
                f"DAG run {self.key} has no MLflow run: clear the task open_run and all after it."
            )
        return self.mlflow_run_id

    @property
    def _run_name(self) -> str:
        """The DAG and the minute, as in ``retraining 2026-11-22 02:00``."""
        minute = re.search(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)", self.dag_run_id)
        return f"{self.dag_id} {' '.join(minute.groups()) if minute else self.dag_run_id}"

    @property
    def _command(self) -> str:
        changes = ",".join(f"{path}={value}" for path, value in _flatten(self.runtime_params))
        command = f"kedro run --pipelines {self.pipeline}"
        return f"{command} --params {changes}" if changes else command

    @property
    def _model_name(self) -> str:
        return str(self._context.params["registered_model_name"])

    @cached_property
    def _context(self) -> KedroContext:
        return self._session.load_context()

    @cached_property
    def _catalog(self) -> CatalogProtocol[Any, Any]:
        return self._context.catalog

    @cached_property
    def _session(self) -> TaskSession:
        return self._create_session()

    def _take_session(self) -> TaskSession:
        """Return a session that has run nothing, with the parameters as they are now."""
        session: TaskSession | None = self.__dict__.pop("_session", None)
        if session is None or session.store["runtime_params"] != self._session_params:
            session = self._create_session()
        return session

    def _create_session(self) -> TaskSession:
        bootstrap_project(self.project_path)
        return TaskSession.open(self.project_path, deepcopy(self._session_params))

    @property
    def _session_params(self) -> dict[str, Any]:
        ids = {"mlflow_run_id": self.mlflow_run_id, "mlflow_experiment_id": self.experiment_id}
        known = {name: value for name, value in ids.items() if value}
        return self.runtime_params | {"run_id": self.key} | known


@contextmanager
def _plain_pipeline(name: str) -> Iterator[None]:
    """Let the session find a PipelineML as the plain pipeline it trains with, for a while.

    A PipelineML cannot be cut into single nodes (kedro-mlflow 2.0.3).
    """
    pipelines.set_requested([name])
    registered = pipelines[name]
    if isinstance(registered, PipelineML):
        pipelines[name] = registered.training
    try:
        yield
    finally:
        pipelines.set_requested(None)


def _flatten(nested: dict[str, Any], parent: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in nested.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{parent}{key}.")
        else:
            yield f"{parent}{key}", value
