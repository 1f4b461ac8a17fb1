"""Judge each decision of the ledger again, by images that came after it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from image_classification import vision
from image_classification.champion import ledger
from image_classification.datasets import BatchTables, ImageBatches, RegisteredModel
from image_classification.errors import RegistryError
from image_classification.gate import finding, hindsight
from image_classification.gate.hindsight import HindsightParameters, PastDecision
from image_classification.intake import index

logger = logging.getLogger(__name__)

IMAGE_COLUMNS = ["run_id", "image_id", "patient", "label"]
ANSWER_COLUMNS = ["image_id", "category"]
UNREADABLE = "the file is not there any more"


def choose_later_images(
    entries: Mapping[str, dict[str, Any]],
    registered_model: RegisteredModel,
    image_index: pd.DataFrame,
    known_answers: BatchTables,
    parameters: HindsightParameters,
) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Choose by which images each of the last decisions is judged again, and what is to be scored.

    Args:
        entries: the ledger.
        registered_model: its versions.
        image_index: the log of the index.
        known_answers: what earlier runs have scored, a part per version.
        parameters: the parameters `hindsight`.

    Returns:
        The plan: `decisions` (see `hindsight.PastDecision`, with `read`, how many images came while
        each held), `answers` (the name of the part of each version), `faults` (why nothing can be
        said of a decision, by its run) and `champion` (the present one, or None). The images of
        each decision, `IMAGE_COLUMNS`. And which version is to answer which image,
        `hindsight.SCORING_COLUMNS`.
    """
    own = [entry for entry in entries.values() if entry["model"] == registered_model.name]
    decisions = hindsight.list_decisions(ledger.sort_entries(own))
    decisions = decisions[-parameters["maximum_decisions"] :]
    images = hindsight.date_images(index.select_accepted(image_index))
    tables = _Tables(registered_model, known_answers)
    chosen: list[tuple[PastDecision, pd.DataFrame]] = []
    faults: dict[str, str] = {}
    for decision in decisions:
        try:
            versions = [tables.read(decision["version"]), tables.read(decision["against"])]
        except RegistryError as error:
            faults[decision["run_id"]] = str(error)
            continue
        most = parameters["maximum_decision_images"]
        chosen.append((decision, hindsight.choose_later(images, decision, versions, most)))
    scoring = hindsight.plan_scoring(chosen, tables.known, parameters["maximum_images"])
    plan = {
        "decisions": [
            {**decision, "read": hindsight.count_read(images, decision)} for decision in decisions
        ],
        "answers": tables.names,
        "faults": faults,
        "champion": registered_model.find_champion(),
    }
    rows = [part.assign(run_id=decision["run_id"]) for decision, part in chosen]
    table = pd.concat([images.head(0).assign(run_id=""), *rows], ignore_index=True)
    logger.info("To score for hindsight: %d answers about %d decisions", len(scoring), len(chosen))
    return plan, table[IMAGE_COLUMNS], scoring


def score_past_versions(
    hindsight_plan: dict[str, Any],
    hindsight_scoring: pd.DataFrame,
    registered_model: RegisteredModel,
    image_batches: ImageBatches,
    known_answers: BatchTables,
) -> Iterator[tuple[dict[str, pd.DataFrame], dict[str, str]]]:
    """Let each version answer the images that it has not answered yet.

    Args:
        hindsight_plan: of `choose_later_images`.
        hindsight_scoring: of `choose_later_images`.
        registered_model: its versions.
        image_batches: reads the images of the batches that were taken in.
        known_answers: what earlier runs have scored, a part per version.

    Yields:
        After each version its part, `ANSWER_COLUMNS`, with what was known of it; the category is ""
        for an image that cannot be read. And, so far, which versions cannot be loaded, and why.
    """
    faults: dict[str, str] = {}
    known = set(known_answers.names())
    for version, rows in hindsight_scoring.groupby("version", sort=False):
        name = hindsight_plan["answers"][version]
        try:
            network = registered_model.open_network(str(version))
        except RegistryError as error:
            logger.warning("Hindsight does without version %s: %s", version, error)
            faults[str(version)] = str(error)
            continue
        probabilities, reasons = vision.score_sound_images(
            network.network,
            len(rows),
            lambda part, rows=rows: [  # type: ignore[misc]
                UNREADABLE if content is None else content
                for content in image_batches.try_read_images(rows.iloc[part])
            ],
        )
        categories = np.asarray(network.class_names, dtype=object)[
            np.nan_to_num(probabilities).argmax(axis=1)
        ]
        categories[np.array(reasons) != ""] = ""
        answers = rows[["image_id"]].assign(category=categories)
        if name in known:
            answers = pd.concat([known_answers.read(name), answers], ignore_index=True)
        logger.info("Version %s has answered %d images for hindsight", version, len(rows))
        yield {name: answers}, dict(faults)
    yield {}, faults


def judge_past_decisions(
    hindsight_plan: dict[str, Any],
    hindsight_images: pd.DataFrame,
    hindsight_answers: BatchTables,
    hindsight_faults: dict[str, str],
    known_findings: pd.DataFrame,
    parameters: HindsightParameters,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Judge the decisions again, and record what is new.

    Args:
        hindsight_plan: of `choose_later_images`.
        hindsight_images: of `choose_later_images`.
        hindsight_answers: of `score_past_versions`, and of earlier runs.
        hindsight_faults: of `score_past_versions`.
        known_findings: what earlier runs have recorded.
        parameters: the parameters `hindsight`.

    Returns:
        The report: `summary` (a sentence), `findings`, and `regret`: the promotion that proved
        wrong and still holds, with `advice` and `is_new`, or None. And the rows to add to the
        findings, `finding.FINDING_COLUMNS`.
    """
    now = datetime.now(UTC)
    decisions = hindsight_plan["decisions"]
    answers = _read_answers(hindsight_answers, hindsight_plan["answers"])
    images = dict(list(hindsight_images.groupby("run_id")))
    found = []
    for decision in decisions:
        run_id = decision["run_id"]
        joined = _join_answers(images.get(run_id, hindsight_images.head(0)), decision, answers)
        fault = hindsight_plan["faults"].get(run_id) or _find_fault(decision, hindsight_faults)
        found.append(_judge_decision(decision, joined, fault, now, parameters))
    for one in found:
        logger.info("%s", one["sentence"])
    summary = finding.count_outcomes(found)
    logger.info("%s", summary)
    regret = finding.find_regret(found, decisions, hindsight_plan["champion"])
    if regret:
        regret["advice"] = finding.advise_rollback(regret)
        regret["is_new"] = finding.is_new(regret, known_findings)
        logger.warning("%s. %s", regret["sentence"], regret["advice"])
    report = {"summary": summary, "findings": found, "regret": regret}
    return report, finding.list_news(found, known_findings)


def _judge_decision(
    decision: Any, answers: pd.DataFrame, fault: str, now: datetime, parameters: HindsightParameters
) -> dict[str, Any]:
    """Return what answers say of a decision; what is missing counts only where they say nothing."""
    judged = hindsight.judge_later(decision, answers, parameters)
    if fault and judged["gain"] is None:
        return finding.make_unknown(decision, fault, now)
    loss = hindsight.measure_loss(decision, judged, decision["read"], now)
    return finding.make_finding(decision, judged, loss, now, parameters)


class _Tables:
    """What versions were made from and what they have answered, each read once.

    Attributes:
        names: of the parts of the answers, by version.
        known: ids of the images that each version has answered.
    """

    def __init__(self, registered_model: RegisteredModel, answers: BatchTables) -> None:
        self._model = registered_model
        self._answers = answers
        self._parts = set(answers.names())
        self._read: dict[str, pd.DataFrame | RegistryError] = {}
        self.names: dict[str, str] = {}
        self.known: dict[str, Sequence[str]] = {}

    def read(self, version: str) -> pd.DataFrame:
        """Return the images that a version was made from.

        Raises:
            RegistryError: they are not known any more.
        """
        if version not in self._read:
            self._read[version] = self._fetch(version)
        found = self._read[version]
        if isinstance(found, RegistryError):
            raise found
        return found

    def _fetch(self, version: str) -> pd.DataFrame | RegistryError:
        try:
            images = self._model.read_images(version)
            name = self._model.identify(version)
        except RegistryError as error:
            return error
        self.names[version] = name
        if name in self._parts:
            self.known[version] = self._answers.read(name)["image_id"].tolist()
        return images


def _read_answers(parts: BatchTables, names: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return what each version called each image that it has answered.

    Args:
        parts: what was answered.
        names: of the part of each version.
    """
    known = set(parts.names())
    tables = {version: parts.read(name) for version, name in names.items() if name in known}
    return {
        version: dict(zip(table["image_id"], table["category"], strict=True))
        for version, table in tables.items()
    }


def _join_answers(
    images: pd.DataFrame, decision: PastDecision, answers: Mapping[str, Mapping[str, str]]
) -> pd.DataFrame:
    """Return the images that both versions have answered, with what they called each."""
    joined = images
    for role in ("version", "against"):
        given = answers.get(decision[role], {})
        joined = joined.assign(**{role: [given.get(name, "") for name in joined["image_id"]]})
    return joined[(joined["version"] != "") & (joined["against"] != "")]


def _find_fault(decision: PastDecision, faults: Mapping[str, str]) -> str:
    """Return why a version of a decision cannot be loaded, or ""."""
    return faults.get(decision["version"], "") or faults.get(decision["against"], "")
