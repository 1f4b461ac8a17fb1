"""The page of one night: read what the run has left in the catalog, and write the page of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Protocol, TypeVar

import pandas as pd

from image_classification import tracking, words
from image_classification.champion import registry
from image_classification.champion.journal import Journal
from image_classification.champion.record import read_git_commit
from image_classification.champion.statement import DecisionRun
from image_classification.configuration import names
from image_classification.errors import DataError
from image_classification.gate.comparison import read_version
from image_classification.gate.trend import settle_trend
from image_classification.intake.measure import HEADINGS
from image_classification.pages import INDEX, NIGHTS, name_page, story
from image_classification.pages.arrival import Arrival, add_up, list_arrivals
from image_classification.pages.cell import ChosenCells, add_pictures, choose_cells
from image_classification.pages.drawing import Figure, draw_both, draw_trend
from image_classification.pages.evidence import (
    Judgement,
    describe_classes,
    describe_judgement,
    list_figures,
    list_packages,
    list_parameters,
    list_rules,
    tabulate_thresholds,
)
from image_classification.pages.history import make_record, read_time, render_history
from image_classification.pages.render import LARGEST_PAGE_BYTES, render_page

logger = logging.getLogger(__name__)

Made = TypeVar("Made")


class Catalog(Protocol):
    """The part of a Kedro catalog that is used here: datasets by name."""

    def __getitem__(self, name: str) -> Any:
        """Return a dataset."""


def write_night(
    catalog: Catalog, run: DecisionRun, outcome: str, made: Collection[str] | None = None
) -> None:
    """Write the page of a night, and the page of all nights; again, if that is called again.

    Whatever goes wrong, the night goes on: the log says that there is no page, and why.

    Args:
        catalog: of the run.
        run: whose night it is.
        outcome: what was recorded of the run; "" while it goes on.
        made: the datasets that this run has made, where it shares its folder with other runs, as
            without Airflow; None where all that lies in the folder is its own.
    """
    try:
        NightPage(catalog, run, outcome, made).write()
    except Exception as error:
        logger.warning("The page of this night could not be made: %s", error, exc_info=True)
    else:
        page = catalog[names.PAGES].load().locate(name_page(run.mlflow_run_id))
        logger.info("The night on one page: %s", page)


def write_history(catalog: Catalog) -> None:
    """Write the page of all nights; whatever goes wrong, the run goes on."""
    try:
        save_history(catalog)
    except Exception as error:
        logger.warning("The page of all nights could not be made: %s", error, exc_info=True)


def save_history(catalog: Catalog) -> None:
    """Write the page of all nights, from the ledger and the records beside the pages."""
    parameters = catalog["parameters"].load()
    page = render_history(
        read_entries(catalog, parameters["registered_model_name"]),
        read_records(catalog),
        _read_trend(catalog),
    )
    catalog[names.PAGES].save({INDEX: page})


def read_records(catalog: Catalog) -> dict[str, Mapping[str, Any]]:
    """Return what is kept of each night beside its page; nothing of what cannot be read."""
    found: dict[str, Mapping[str, Any]] = {}
    kept = catalog[names.NIGHT_RECORDS].load()
    for name in kept:
        try:
            found[name] = kept[name]
        except (DataError, OSError) as error:
            found[name] = {}
            logger.warning("The page of all nights lacks what is kept of one: %s", error)
    return found


def _read_trend(catalog: Catalog) -> pd.DataFrame | None:
    """Return how the champion did, night after night; None where that cannot be read."""
    try:
        return settle_trend(catalog[names.CHAMPION_TREND].load())
    except Exception as error:
        logger.warning("The page of all nights lacks the trend: %s", error, exc_info=True)
        return None


def read_entries(catalog: Catalog, model_name: str) -> list[dict[str, Any]]:
    """Return the entries of the ledger about a model, oldest first."""
    entries = Journal(catalog[names.LEDGER]).read().entries
    return [entry for entry in entries if entry["model"] == model_name]


class NightPage:
    """Reads what a run has left, and writes its page. A part that fails says so on the page."""

    def __init__(
        self, catalog: Catalog, run: DecisionRun, outcome: str, made: Collection[str] | None
    ) -> None:
        """Prepare; nothing is read yet. See `write_night`."""
        self._catalog = catalog
        self._run = run
        self._outcome = outcome
        self._made = made
        self._faults: dict[str, str] = {}

    def write(self) -> None:
        """Write the page into the storage and to MLflow, and the page of all nights."""
        values = self._gather()
        page, copy = self._render(values)
        if max(len(page.encode()), len(copy.encode())) > LARGEST_PAGE_BYTES:
            page, copy = self._render(values | {"cells": None})
        run_id = self._run.mlflow_run_id
        record = make_record(
            self._run, values["at"], values["story"], self._facts, values["arrivals"] or []
        )
        self._catalog[names.NIGHT_RECORDS].save({run_id: record})
        self._catalog[names.PAGES].save({name_page(run_id): page})
        tracking.log_page(run_id, copy)
        write_history(self._catalog)

    def _render(self, values: Mapping[str, Any]) -> tuple[str, str]:
        """Return the page, and the copy for MLflow, whose frame lets no link out.

        The copy shows the addresses as text.
        """
        page = render_page("night.html.j2", {**values, "all_nights": INDEX})
        elsewhere = {"all_nights": self._locate_history(), "framed": True}
        return page, render_page("night.html.j2", {**values, **elsewhere})

    def _gather(self) -> dict[str, Any]:
        told = story.tell_story(self._facts)
        told.wrong = self._try("what the version in use gets wrong", self._describe_mistakes) or []
        judgement = self._try("the comparison", self._describe_judgement)
        arrivals = self._try("what arrived", self._list_arrivals)
        return {
            "words": words.current(),
            "at": self._at,
            "story": told,
            "arrivals": arrivals,
            "sums": add_up(arrivals or []),
            "headings": HEADINGS,
            "judgement": judgement,
            "cells": self._try("the images", self._choose_cells),
            "figures": self._try("the charts", self._list_figures) or [],
            "thresholds": self._try("the thresholds", self._tabulate_thresholds) or [],
            "classes": self._try("the classes", self._describe_classes) or [],
            "trend": self._try("the trend", self._draw_trend),
            "watch": self._try("the watch", self._read_watch) or "",
            "hindsight": self._try("the look back", self._read_hindsight) or "",
            "rules": list_rules(self._facts.decision) if self._facts.decision else [],
            "data": self._try("the data", lambda: self._load(names.DATA_SUMMARY)),
            "parameters": list_parameters(self._parameters),
            "packages": list_packages(),
            "commit": read_git_commit(),
            "links": self._list_links(),
            "faults": self._faults,
            "run": self._run,
        }

    def _try(self, what: str, make: Callable[[], Made]) -> Made | None:
        try:
            return make()
        except Exception as error:
            logger.warning("A page of a night lacks %s: %s", what, error, exc_info=True)
            self._faults[what] = f"{type(error).__name__}: {error}"
            return None

    @cached_property
    def _parameters(self) -> dict[str, Any]:
        parameters: dict[str, Any] = self._catalog["parameters"].load()
        return parameters

    @cached_property
    def _at(self) -> str:
        """When the night was first written about; the same however often it is written again."""
        known = read_time(read_records(self._catalog).get(self._run.mlflow_run_id))
        return known or datetime.now(UTC).isoformat(timespec="seconds")

    @cached_property
    def _facts(self) -> story.NightFacts:
        run_id = self._run.mlflow_run_id
        entries = read_entries(self._catalog, self._parameters["registered_model_name"])
        own = [entry for entry in entries if entry["mlflow_run_id"] == run_id]
        decision = own[-1]["decision"] if own else None
        if decision is None and self._made is None and self._catalog[names.DECISION].exists():
            decision = self._catalog[names.DECISION].load()
        return story.NightFacts(run_id, entries, decision, self._outcome)

    def _load(self, name: str) -> Any:
        """Load what this run has left; None where it has left nothing of that name."""
        if self._made is not None and name not in self._made:
            return None
        dataset = self._catalog[name]
        return dataset.load() if dataset.exists() else None

    @cached_property
    def _predictions(self) -> dict[str, pd.DataFrame]:
        """What each model answered about the validation images, by role."""
        roles = {
            "challenger": self._load(names.CHALLENGER_PREDICTIONS),
            "champion": self._load(names.CHAMPION_PREDICTIONS),
        }
        return {role: table for role, table in roles.items() if table is not None and len(table)}

    def _describe_mistakes(self) -> list[str]:
        version = self._facts.version
        if not version:
            return []
        challenger = self._facts.decision and str(self._facts.decision["challenger"]["version"])
        for role, table in self._predictions.items():
            answered = challenger if role == "challenger" else read_version(table)
            if answered == version:
                return story.describe_mistakes(table, self._class_names)
        for entry in reversed(self._facts.entries):
            if told := story.recall_mistakes(entry, version):
                return told
        return []

    @cached_property
    def _class_names(self) -> list[str]:
        found: list[str] = self._catalog[names.CLASS_NAMES].load()
        return found

    def _list_arrivals(self) -> list[Arrival] | None:
        """Return what became of what arrived; None where the run takes nothing in."""
        report = self._load(names.INTAKE_REPORT)
        if report is None or not report["judged"]:
            return None if report is None else []
        return list_arrivals(report["judged"], self._catalog[names.IMAGE_INDEX].load())

    def _describe_judgement(self) -> Judgement | None:
        comparison = self._load(names.COMPARISON)
        return comparison and describe_judgement(comparison, self._facts.decision)

    def _choose_cells(self) -> ChosenCells | None:
        if "challenger" not in self._predictions:
            return None
        empty = pd.DataFrame()
        chosen = choose_cells(
            self._predictions["challenger"], self._predictions.get("champion", empty)
        )
        ids = [cell.image_id for cell in chosen.cells]
        try:
            packed = self._catalog[names.PACKED_PIXELS].load()
            pixels = packed.read(ids, self._parameters["image_size_px"])
            add_pictures(chosen.cells, dict(zip(ids, pixels, strict=True)))
        except Exception as error:  # noqa: BLE001 - the names and numbers say much without them
            chosen.fault = str(error)
        return chosen

    def _list_figures(self) -> list[Figure]:
        history = self._load(names.TRAINING_HISTORY)
        return list_figures(history, self._predictions, self._parameters["positive_class"])

    def _tabulate_thresholds(self) -> list[Any]:
        return tabulate_thresholds(self._predictions, self._parameters["positive_class"])

    def _describe_classes(self) -> list[Any]:
        if "challenger" not in self._predictions:
            return []
        return describe_classes(self._predictions, self._class_names)

    def _draw_trend(self) -> Any:
        trend = settle_trend(self._catalog[names.CHAMPION_TREND].load())
        return draw_both(draw_trend, trend) if trend["accuracy"].notna().any() else None

    def _read_watch(self) -> str:
        return str((self._load(names.CHAMPION_WATCH) or {}).get("sentence", ""))

    def _read_hindsight(self) -> str:
        return str((self._load(names.HINDSIGHT_REPORT) or {}).get("summary", ""))

    def _locate_history(self) -> str:
        """Return where all nights are, for a page that does not lie beside theirs."""
        airflow, _, dag_run = self._run.airflow_url.rpartition("/dags/")
        if airflow:
            # What stands before the pipeline is whose it is, as in leaves-production-retraining.
            scope, dash, _ = dag_run.partition("/")[0].rpartition("-")
            return f"{airflow}{NIGHTS}/{scope}{'/' if dash else ''}{INDEX}"
        return str(self._catalog[names.PAGES].load().locate(INDEX))

    def _list_links(self) -> Mapping[str, str]:
        run = self._run
        links = {"MLflow run": tracking.locate_run(run.mlflow_run_id, run.experiment_id)}
        if run.airflow_url:
            links["DAG run"] = run.airflow_url
        model = self._parameters["registered_model_name"]
        versions = {self._facts.version}
        if self._facts.decision:
            versions.add(str(self._facts.decision["challenger"]["version"]))
        for version in sorted(versions - {""}):
            links[f"Model version {version}"] = registry.locate_version(model, version)
        return links
