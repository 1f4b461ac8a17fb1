"""Take what is of one patient out of MLflow: artifacts of runs, packaged models, cards."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import pandas as pd

from image_classification import tracking
from image_classification.champion import card, registry
from image_classification.champion.chain import FORGOTTEN, Chain, Record
from image_classification.champion.journal import Journal
from image_classification.champion.record import ENTRY_FILE
from image_classification.champion.repackage import Repackager
from image_classification.errors import RegistryError
from image_classification.figures import SUMMARY, choose_figures, redraw_figure
from image_classification.intake.scrub import LOOKED_AT, Person, scrub_content

DECISION = "promotion/decision.json"

Found = tuple[str, str, Callable[[], object]]
"""What is of a patient: its kind, in the plural; where it lies; and what removes it."""


class Memory:
    """What MLflow remembers of one patient."""

    def __init__(self, model_name: str, experiment: str, repackager: Repackager) -> None:
        """Prepare; nothing is asked yet.

        Args:
            model_name: the registered model.
            experiment: the name of the experiment that runs are in.
            repackager: makes packaged models anew.
        """
        self._model_name, self._experiment = model_name, experiment
        self._repackager = repackager

    def list_patients(self) -> set[str]:
        """Return the names of all patients whom a version has seen."""
        found = set[str]()
        for images in self._read_tables().values():
            found.update(images["patient"])
        return found

    def find_images(self, patient: str) -> set[str]:
        """Return the ids of a patient's images that versions have seen."""
        ids = set[str]()
        for images in self._read_tables().values():
            ids.update(images.loc[images["patient"] == patient, "image_id"])
        return ids

    def list_versions(self, patient: str) -> dict[str, list[str]]:
        """Return the versions that have seen a patient, each with the splits they were in."""
        return {
            version: sorted(seen)
            for version, images in self._read_tables().items()
            if (seen := set(images.loc[images["patient"] == patient, "split"]))
        }

    def find(self, person: Person) -> Iterator[Found]:
        """Yield what is of a patient: in the runs, deleted ones too, then in packaged models."""
        for run_id in tracking.list_runs(self._experiment):
            yield from self._search_run(run_id, person)
        for model_id in tracking.list_models(self._experiment):
            yield from self._repackager.find(model_id, person)
        for version, text in registry.read_descriptions(self._model_name).items():
            if (hidden := person.hide(text)) != text:
                write = partial(registry.describe_version, self._model_name, version, {}, hidden)
                yield "cards", f"version {version}", write

    def _read_tables(self) -> dict[str, pd.DataFrame]:
        found = {}
        for version in registry.list_versions(self._model_name):
            with suppress(RegistryError):
                found[str(version.version)] = registry.read_images(
                    self._model_name, str(version.version)
                )
        return found

    def _search_run(self, run_id: str, person: Person) -> Iterator[Found]:
        paths = tracking.list_artifact_paths(run_id)
        changed = dict(_scrub_artifacts(run_id, paths, person))
        summaries = [path for path in paths if posixpath.basename(path) == SUMMARY]
        summary = b"".join(tracking.read_artifact(run_id, path) or b"" for path in summaries)
        # First: whoever is killed then still finds the tables that tell what figures show.
        for path in choose_figures(paths, changed, summary.decode(), person.batches):
            yield "figures", f"{run_id}/{path}", partial(_redraw, run_id, path)
        for path, content in changed.items():
            replace = partial(tracking.replace_artifact, run_id, path, content)
            yield "artifacts of runs", f"{run_id}/{path}", replace
        for key, text in tracking.read_tags(run_id).items():
            if (hidden := person.hide(text)) != text:
                write = partial(tracking.tag_run, run_id, {key: hidden})
                yield "tags of runs", f"{run_id}/{key}", write


def _scrub_artifacts(
    run_id: str, paths: Iterable[str], person: Person
) -> Iterator[tuple[str, bytes]]:
    """Yield the artifacts that tell of a patient, with their new content."""
    for path in paths:
        # The copy of an entry of the ledger is compared with it; both have pseudonyms.
        if path.endswith(LOOKED_AT) and posixpath.basename(path) != ENTRY_FILE:
            content = tracking.read_artifact(run_id, path) or b""
            if (scrubbed := scrub_content(path, content, person)) != content:
                yield path, scrubbed


def _redraw(run_id: str, path: str) -> None:
    content = tracking.read_artifact(run_id, DECISION)
    decision = json.loads(content) if content else None
    drawn = redraw_figure(posixpath.basename(path), decision)
    tracking.replace_artifact(run_id, path, drawn)


def record_forgotten(
    model_name: str, journal: Journal, record: Mapping[str, Any], token: str
) -> None:
    """Write into the ledger that a patient was forgotten, and into the cards; safe to repeat.

    Args:
        model_name: the registered model.
        journal: the ledger.
        record: `patient` (the pseudonym), `by`, `reason`, `images` (how many), `versions` and
            `packages`.
        token: tells this forgetting from another one of the same patient.
    """

    def make(chain: Chain) -> Record | None:
        if any(one["token"] == token for one in chain.forgotten):
            return None
        return {"step": FORGOTTEN, "model": model_name, "token": token, **record}

    journal.add(make)
    records = [one for one in journal.read().forgotten if one["model"] == model_name]
    texts = registry.read_descriptions(model_name)
    for version in record["versions"]:
        told = card.tell_forgotten(records, version)
        if version in texts and told:
            marked = card.mark_forgotten(texts[version], told)
            registry.describe_version(model_name, version, {}, marked)
