"""What storage and MLflow hold that may be let go once it is old."""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from image_classification import tracking
from image_classification.champion import registry, retention
from image_classification.champion.journal import Journal
from image_classification.datasets.fault import describe_error
from image_classification.datasets.file import is_local, list_entries, open_filesystem
from image_classification.datasets.folder import find_files, read_change
from image_classification.datasets.lease import open_turn
from image_classification.datasets.ledger import LedgerFiles
from image_classification.datasets.pixel import IDS
from image_classification.errors import DataError

logger = logging.getLogger(__name__)

LOCAL_RUN = "local"
"""The folder that each `kedro run` writes again."""

LOG = ".log"

DAG_FOLDER = "dag_id="
"""Begins the folder of the logs of a DAG, as Airflow's `log_filename_template` has it."""

Held = dict[str, Any]
"""Something that is held: its `name`, `at` (when it was changed last, UTC), `bytes`."""


class Holdings:
    """What is held, listed when asked for."""

    def __init__(self, root: str, task_logs: Sequence[str], model_name: str) -> None:
        """Prepare; nothing is listed yet.

        Args:
            root: the storage.
            task_logs: the folders in which Airflow keeps the logs of this project's tasks.
            model_name: the registered model.
        """
        self._filesystem, self._root = open_filesystem(root)
        self._address = root
        self._task_logs = task_logs
        self.model_name = model_name

    def list_run_folders(self) -> list[Held]:
        """Return the folders of runs, by the keys of these runs; not that of `kedro run`."""
        place = f"{self._root}/runs"
        held: dict[str, Held] = {}
        for path, facts in find_files(self._filesystem, place).items():
            # The key of a DAG run is <dag>/<run>.
            name = "/".join(path.split("/")[:2])
            if path.count("/") > 1 and not name.startswith(f"{LOCAL_RUN}/"):
                _add(held, name, facts)
        return list(held.values())

    def list_logs(self) -> list[Held]:
        """Return the log files of `kedro run`, and of Airflow's tasks where they lie here."""
        held: dict[str, Held] = {}
        for folder in self.log_folders:
            for path, facts in find_files(open_filesystem(folder)[0], folder).items():
                if path.endswith(LOG) and "kind" not in facts:
                    _add(held, f"{folder}/{path}", facts)
        return list(held.values())

    def list_pixels(self) -> list[Held]:
        """Return the sizes at which pixels are packed, as in "64px"."""
        held: dict[str, Held] = {}
        for path, facts in find_files(self._filesystem, f"{self._root}/pixels").items():
            if path.count("/") == 1:
                _add(held, posixpath.dirname(path), facts)
        return list(held.values())

    def list_runs(self) -> list[dict[str, Any]]:
        """Return the MLflow runs of this experiment; see `tracking.list_run_facts`."""
        experiment_id = tracking.active_experiment_id()
        return tracking.list_run_facts(experiment_id) if experiment_id else []

    def list_models(self) -> list[dict[str, Any]]:
        """Return the logged models of this experiment; see `tracking.list_model_facts`."""
        experiment_id = tracking.active_experiment_id()
        return tracking.list_model_facts(experiment_id) if experiment_id else []

    def list_uses(self) -> list[dict[str, Any]]:
        """Return `model`, `version`, `model_id` and `run_id` of all versions of all models."""
        return [
            {
                "model": str(version.name),
                "version": str(version.version),
                "model_id": registry.read_model_id(version),
                "run_id": str(version.run_id or ""),
            }
            for version in registry.list_uses()
        ]

    def list_versions(self) -> list[dict[str, Any]]:
        """Return the versions of the registered model, oldest first.

        Returns:
            `version`, `model_id`, `run_id`, `created_at`, `aliases` and `tags` of each.
        """
        return [
            {
                "version": str(version.version),
                "model_id": registry.read_model_id(version),
                "run_id": str(version.run_id or ""),
                "created_at": tracking.tell_time(version.creation_timestamp),
                "aliases": list(version.aliases),
                "tags": dict(version.tags),
            }
            for version in registry.list_versions(self.model_name)
        ]

    @property
    def log_folders(self) -> list[str]:
        """The folders of this machine that logs lie in."""
        own = [f"{self._root}/logs"] if is_local(self._filesystem) else []
        return [*own, *self._task_logs]

    def let_go(self, plan: Mapping[str, Any]) -> None:
        """Remove what a plan lists; what is gone already is no error.

        Args:
            plan: of `plan_retention`; an empty one removes nothing.

        Raises:
            LedgerError: a version has become champion since. No package was removed.
            DataError: something could not be removed; all else was.
        """
        faults = []
        count = 0
        for place, remove in self._order(plan):
            count += 1
            try:
                remove()
                logger.info("Let go: %s", place)
            except Exception as error:  # whatever a store that is not to be had raises
                logger.debug("%s stays", place, exc_info=True)
                faults.append(f"{place}: {describe_error(error)}")
        if faults:
            raise DataError(
                f"{len(faults)} of {count} could not be removed (first: {faults[0]}). All else is "
                "gone. Mend that, and run this again: it goes on with what is left."
            )

    def _order(self, plan: Mapping[str, Any]) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield what goes, by name, with what removes it."""
        yield from self._order_packages(plan)
        for run_id in plan.get("mlflow_runs", ()):
            yield f"MLflow run {run_id}", partial(tracking.remove_run, run_id)
        for key in plan.get("run_folders", ()):
            yield f"runs/{key}", partial(self._remove_folder, f"runs/{key}")
        for size in plan.get("pixels", ()):
            yield f"pixels/{size}", partial(self._remove_pixels, size)
        for path in plan.get("logs", ()):
            yield path, partial(self._remove_log, path)

    def _order_packages(
        self, plan: Mapping[str, Any]
    ) -> Iterator[tuple[str, Callable[[], object]]]:
        versions = plan.get("versions", ())
        if versions:
            journal = Journal(LedgerFiles(self._filesystem, f"{self._root}/ledger"))
            due = {version["version"]: version["model_id"] or "" for version in versions}
            reason = f"older than {plan['versions_nights']} nights (retention.versions_nights)"
            retention.record_let_go(self.model_name, journal, due, reason)
            chain = journal.read()
            for version in versions:
                number = version["version"]
                told = chain.find_let_go(self.model_name, number)
                yield (
                    f"the package of version {number}",
                    partial(
                        retention.remove_package,
                        self.model_name,
                        number,
                        version["model_id"],
                        told,
                        is_recorded=version["is_recorded"],
                    ),
                )
        for model_id in plan.get("models", ()):
            yield f"logged model {model_id}", partial(tracking.remove_model, model_id)

    def _remove_folder(self, below: str) -> None:
        with suppress(FileNotFoundError):
            self._filesystem.rm(f"{self._root}/{below}", recursive=True)

    def _remove_pixels(self, size: str) -> None:
        turn = open_turn(f"{self._address}/index/.lock")
        turn.take()
        try:
            # Lists first: a shard without its list is not read.
            entries = list_entries(self._filesystem, f"{self._root}/pixels/{size}")
            paths = [str(entry["name"]) for entry in entries]
            for path in sorted(paths, key=lambda path: not path.endswith(IDS)):
                turn.check()
                with suppress(FileNotFoundError):
                    self._filesystem.rm_file(path)
            self._remove_folder(f"pixels/{size}")
        finally:
            turn.give_back()

    def _remove_log(self, path: str) -> None:
        """Remove a log of this machine, and the folders that are then empty."""
        file = Path(path)
        folder = next((Path(root) for root in self.log_folders if file.is_relative_to(root)), None)
        if folder is None or file.suffix != LOG or not file.exists():
            return
        file.unlink(missing_ok=True)
        for above in file.parents:
            if above == folder or any(above.iterdir()):
                return
            above.rmdir()


def _add(held: dict[str, Held], name: str, facts: Mapping[str, Any]) -> None:
    """Add a file to what is held under a name: its size, and its time if it is the newest."""
    changed = read_change(facts) or datetime.now(UTC)  # of unknown age: it stays
    at = changed.isoformat(timespec="seconds")
    known = held.setdefault(name, {"name": name, "at": at, "bytes": 0})
    known["at"] = max(known["at"], at)
    known["bytes"] += int(facts["size"] or 0)


class HoldingsDataset(AbstractDataset[Mapping[str, Any], Holdings]):
    """What is held. Saving a plan removes what it lists, once and for all."""

    def __init__(
        self,
        *,
        filepath: str,
        model_name: str,
        task_logs: str = "",
        dag_prefix: str = "",
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Make the dataset.

        Args:
            filepath: the storage, a local path or an fsspec URL.
            model_name: the registered model.
            task_logs: the folder in which Airflow keeps the logs of tasks on this machine, whatever
                their DAG; "" for none.
            dag_prefix: what the ids of this project's DAGs begin with: the logs of other projects,
                and of other people's DAGs, are not ours to remove.
            metadata: ignored by Kedro, kept for people and plugins.
        """
        self._filepath, self._model_name = filepath, model_name
        self._task_logs, self._dag_prefix = task_logs, dag_prefix
        self.metadata = metadata

    def load(self) -> Holdings:
        """Return what is held; nothing is listed yet."""
        # Imports Kedro's sessions, which no look at the storage needs.
        from image_classification.vendor.kedro import list_pipelines  # noqa: PLC0415

        dags = [f"{self._dag_prefix}{name}" for name in list_pipelines()] if self._task_logs else []
        task_logs = [posixpath.join(self._task_logs, f"{DAG_FOLDER}{dag}") for dag in dags]
        return Holdings(self._filepath, task_logs, self._model_name)

    def save(self, data: Mapping[str, Any]) -> None:
        """Remove what a plan lists; see `Holdings.let_go`."""
        self.load().let_go(data)

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "model_name": self._model_name}
