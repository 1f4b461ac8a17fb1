"""What a DAG run has to tell, read out of its catalog: for notes, questions and notices."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from image_classification import tracking, words
from image_classification.champion import registry
from image_classification.champion.card import render_decision
from image_classification.configuration import names
from image_classification.configuration.tag import (
    HINDSIGHT,
    INFERENCE,
    MONITORING,
    PROCESSING,
    RETENTION,
    REVIEW,
)
from image_classification.gate.trend import describe_watch
from image_classification.intake.correction import REVIEW as BY_REVIEW
from image_classification.intake.correction import (
    Correction,
    count_changed,
    foresee,
    list_due,
    sort_corrections,
)
from image_classification.intake.proposal import find_open
from image_classification.intake.waiting import list_due_batches, list_held_batches
from image_classification.orchestration.address import locate_night
from image_classification.tracking.kept import locate_artifact_path

if TYPE_CHECKING:
    from image_classification.orchestration.kedro_run import KedroRun


logger = logging.getLogger(__name__)


NIGHT = "The night on one page"
"""What a link to the page of a night is called."""


class Account:
    """Reads what a run has left in the catalog, and says it."""

    def __init__(self, run: KedroRun) -> None:
        self._run = run

    def find_batches(self) -> list[str]:
        """Return what an intake would do something about: see `list_due_batches` and `list_due`."""
        catalog, parameters = self._run.catalog, self._run.context.params["data_processing"]
        now, settle_minutes = datetime.now(UTC), parameters["settle_minutes"]
        arrived = [
            batch.delivered_as
            for batch in catalog.load(names.INCOMING_BATCHES).batches
            if batch.is_complete(settle_minutes, now) and not batch.is_stuck
        ]
        log = catalog.load(names.IMAGE_INDEX)
        batches = list_due_batches(
            arrived,
            catalog.load(names.IMAGE_BATCHES).names(),
            catalog.load(names.BATCH_SCREENINGS),
            catalog.load(names.BATCH_REVIEWS).values(),
            log,
        )
        labels = len(list_due(catalog.load(names.LABEL_CORRECTIONS), log))
        return [*batches, f"{labels} corrected labels"] if labels else batches

    def list_held_batches(self) -> list[str]:
        """Return the batches that wait for a person's answer."""
        catalog = self._run.catalog
        return list_held_batches(
            catalog.load(names.BATCH_SCREENINGS), catalog.load(names.BATCH_REVIEWS).values()
        )

    def list_label_questions(self) -> list[str]:
        """Return the batches with labels, for known images, that wait for a person's answer."""
        catalog = self._run.catalog
        corrections = catalog.load(names.LABEL_CORRECTIONS)
        proposals = find_open(foresee(catalog.load(names.IMAGE_INDEX), corrections))
        return sorted(set(proposals["batch"]))

    @property
    def is_about_labels(self) -> bool:
        """Whether a person is asked about the labels of a batch, not about all of it."""
        return bool(self._run.context.params["review"]["about"] == "labels")

    def count_new_images(self) -> int:
        """Return how many images this run brings into the training set, or gives another label.

        After a review it is those of the answer that accepts: the next intake carries it out.
        """
        if self._run.pipeline != REVIEW:
            counts = self._run.catalog.load(names.INTAKE_COUNTS)
            return int(counts["accepted"]) + int(counts.get("corrected", 0))
        if self.is_about_labels:
            return count_changed(self._find_label_answers()[-1:])
        answers = self._find_answers()
        if not answers or answers[-1]["answer"] != "accept":
            return 0
        return int(self._run.catalog.load(names.BATCH_SCREENINGS)[answers[-1]["batch"]]["images"])

    def _find_answers(self) -> list[dict[str, Any]]:
        """Return the answers about the batch under review, the last one last."""
        batch = self._run.context.params["review"]["batch"]
        answers = self._run.catalog.load(names.BATCH_REVIEWS).values()
        return [answer for answer in answers if answer["batch"] == batch]

    def _find_label_answers(self) -> list[Correction]:
        """Return the answers about the labels of the batch under review, the last one last."""
        batch = self._run.context.params["review"]["batch"]
        records = sort_corrections(self._run.catalog.load(names.LABEL_CORRECTIONS))
        return [
            record for record in records if (record["how"], record["batch"]) == (BY_REVIEW, batch)
        ]

    def _describe_answer(self) -> str:
        """Return what a person has answered, a sentence; "" where nothing was recorded."""
        if not self.is_about_labels:
            return "".join(
                "{answer}ed '{batch}', by {by}: {reason}".format(**answer)
                for answer in self._find_answers()[-1:]
            )
        if not (answers := self._find_label_answers()):
            return "no label of the batch was to be answered any more"
        answer = answers[-1]
        changed, asked = count_changed([answer]), len(answer["labels"])
        return (
            f"{changed} of {asked} labels corrected as in '{answer['batch']}', by {answer['by']}: "
            f"{answer['reason']}"
        )

    def describe_outcome(self) -> str:
        """Return what came of a run that decides nothing about the champion, a sentence.

        It is "" for every other run.
        """
        if self._run.pipeline == MONITORING:
            return self.read_watch()
        if self._run.pipeline == HINDSIGHT:
            return str(self._run.catalog.load(names.HINDSIGHT_REPORT)["summary"])
        if self._run.pipeline == INFERENCE:
            return str(self._run.catalog.load(names.SCORE_SUMMARY)["outcome"])
        if self._run.pipeline == RETENTION:
            return str(self._run.catalog.load(names.RETENTION_PLAN)["outcome"])
        if self._run.pipeline == REVIEW:
            return self._describe_answer()
        return self._describe_intake() if self._run.pipeline == PROCESSING else ""

    def _describe_intake(self) -> str:
        """Return what was taken in, a sentence or two."""
        counts = self._run.catalog.load(names.INTAKE_COUNTS)
        batches = ", ".join(counts["batches"]) or "no batch"
        taken = (
            f"took in {batches}: {counts['accepted']} images accepted, {counts['held']} held, "
            f"{counts['rejected']} rejected; {counts['quarantined_files']} files in quarantine"
        )
        if left_out := counts.get("left_out"):
            taken += f", {left_out} left out"
        if proposed := counts.get("proposed"):
            taken += f"; another label for {proposed} known images"
        if corrected := counts.get("corrected"):
            taken += f"; {corrected} labels corrected"
        waiting = self._run.catalog.load(names.CONTRACT_REPORT).get("waiting")
        return f"{taken}. {waiting}" if waiting else taken

    def read_watch(self) -> str:
        """Return how the champion does on the newest days, a sentence; "" where there is none."""
        if not self._run.catalog.exists(names.CHAMPION_WATCH):
            return ""
        catalog = self._run.catalog
        decision = catalog.load(names.DECISION) if catalog.exists(names.DECISION) else None
        return describe_watch(catalog.load(names.CHAMPION_WATCH), decision)

    def read_regret(self) -> dict[str, Any] | None:
        """Return the promotion that hindsight finds wrong, if it is the champion's, or None."""
        if not self._run.catalog.exists(names.HINDSIGHT_REPORT):
            return None
        regret: dict[str, Any] | None = self._run.catalog.load(names.HINDSIGHT_REPORT)["regret"]
        # Another version may have become champion since hindsight looked: tonight's challenger.
        if regret is None or registry.find_champion(self._run.model_name) != regret["version"]:
            return None
        return regret

    def list_set_aside(self) -> list[str]:
        """Return why batches were set aside tonight for the first time, a sentence each."""
        if not self._run.catalog.exists(names.INTAKE_REPORT):
            return []
        report = self._run.catalog.load(names.INTAKE_REPORT)
        # A run that an earlier release began has another name for them.
        said: list[str] = report.get("set_aside", report.get("stops", []))
        return said

    def list_left_alone(self) -> list[str]:
        """Return what stays in the incoming folder, and why, a sentence each."""
        if not self._run.catalog.exists(names.INTAKE_REPORT):
            return []
        try:
            inbox = self._run.catalog.load(names.INCOMING_BATCHES)
        except Exception as error:  # noqa: BLE001 - this is for a note, for which no task fails
            logger.warning("The incoming folder cannot be looked at: %s", error)
            return []
        stuck = [
            f"'{batch.delivered_as}' stays in the incoming folder. {batch.describe_stay()}"
            for batch in inbox.batches
            if batch.is_left or batch.is_stuck
        ]
        aside = inbox.aside.items()
        return [*(f"'{name}' stays in the incoming folder: {why}." for name, why in aside), *stuck]

    def describe_review(self) -> tuple[str, str, str, str | None]:
        """Return the batch under review, its summary, and where its contact sheet is shown."""
        batch = str(self._run.context.params["review"]["batch"])
        about = "the labels of batch" if self.is_about_labels else "batch"
        self._run.record_outcome(f"waits for an answer about {about} '{batch}'")
        path = locate_artifact_path(self._run.catalog, names.REVIEW_SHEET)
        return (
            batch,
            self._run.catalog.load(names.REVIEW_SUMMARY),
            tracking.locate_artifact(self._run.required_run_id, path),
            tracking.locate_artifact_file(self._run.required_run_id, path),
        )

    def describe_decision(self) -> tuple[str, str]:
        """Return the decision in one line, and in Markdown, as evidence for a person."""
        decision = self._run.catalog.load(names.DECISION)
        path = locate_artifact_path(self._run.catalog, names.COMPARISON_PLOT)
        picture = tracking.locate_artifact_file(self._run.required_run_id, path)
        group = words.current().group
        # Airflow shows it small: a click opens it.
        shown = f"[![{group} by {group}]({picture})]({picture})\n\n" if picture else ""
        links = " · ".join(
            f"[{title}]({address})" for title, address in self.locate_evidence().items()
        )
        reason = f"v{self._run.aftermath.challenger}: {decision['reason']}."
        evidence = f"**{reason}**\n\n{links}\n\n{shown}{render_decision(decision)}"
        return reason, evidence

    def describe_champion(self) -> str:
        """Return what a failure has done to the champion, as a sentence."""
        champion = registry.find_champion(self._run.model_name)
        if champion is not None and champion == self._run.aftermath.find_candidate():
            return f"The champion is v{champion} now, the version that this run was about."
        now = f": it is v{champion}" if champion else ""
        return f"The champion was not changed by this failure{now}."

    def describe_ledger(self) -> str:
        """Return the last entry of the ledger and its digest, for whoever keeps what is told."""
        try:
            return f"Ledger: entry {self._run.aftermath.release.read_head()}"
        except OSError as error:
            return f"Ledger: it cannot be read: {error}"

    def locate_evidence(self) -> dict[str, str]:
        """Return the addresses of the pages to decide by: of the model version, of the run."""
        night = self.locate_night()
        run = {"MLflow run": self._run.locate_mlflow_run()}
        version = self._run.aftermath.find_candidate()
        if version is None:
            return night | run
        page = registry.locate_version(self._run.model_name, version)
        return night | {f"Model version {version}": page} | run

    def locate_night(self) -> dict[str, str]:
        """Return the address of the page of this night; nothing where none is written."""
        if not self._run.has_page:
            return {}
        return {NIGHT: locate_night(self._run.required_run_id, self._run.scope)}

    def locate_watched(self) -> dict[str, str]:
        """Return the addresses of the champion that was watched, and of the run."""
        return self.locate_version(str(self._run.catalog.load(names.CHAMPION_WATCH)["version"]))

    def locate_version(self, version: str) -> dict[str, str]:
        """Return the addresses of a model version, and of the run."""
        page = registry.locate_version(self._run.model_name, version)
        return {f"Model version {version}": page, "MLflow run": self._run.locate_mlflow_run()}
