"""All runs and models of an experiment, deleted ones too, and what lies among their files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run, RunStatus, ViewType
from mlflow.exceptions import MlflowException

PAGE = 1000
"""Runs that are asked for at a time."""

MODELS = 100
"""The same of models."""


def list_runs(experiment_name: str) -> list[str]:
    """Return the ids of all runs of an experiment, newest first; none where there is none."""
    return [str(run.info.run_id) for run in _search(experiment_name)]


def list_running(experiment_name: str) -> list[str]:
    """Return the names of the runs that have not ended; one that was killed is among them."""
    running = RunStatus.to_string(RunStatus.RUNNING)
    found = _search(experiment_name, f"attributes.status = '{running}'")
    return [str(run.info.run_name or run.info.run_id) for run in found]


def _search(experiment_name: str, wanted: str = "") -> Iterator[Run]:
    client = MlflowClient()
    experiment = client.get_experiment_by_name(experiment_name)
    token: str | None = None
    while experiment is not None:
        view = ViewType.ALL if not wanted else ViewType.ACTIVE_ONLY
        page = client.search_runs(
            [experiment.experiment_id], wanted, view, max_results=PAGE, page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def list_models(experiment_name: str) -> list[str]:
    """Return the ids of all models that were logged to an experiment, registered or not."""
    client = MlflowClient()
    experiment = client.get_experiment_by_name(experiment_name)
    found: list[str] = []
    token: str | None = None
    while experiment is not None:
        page = client.search_logged_models(
            [experiment.experiment_id], max_results=MODELS, page_token=token
        )
        found += [str(model.model_id) for model in page]
        token = page.token
        if not token:
            break
    return found


def read_source_run(model_id: str) -> str:
    """Return the run that has logged a model."""
    return str(MlflowClient().get_logged_model(model_id).source_run_id)


def read_tags(run_id: str) -> dict[str, str]:
    """Return all tags of a run."""
    return dict(MlflowClient().get_run(run_id).data.tags)


def list_artifact_paths(run_id: str) -> list[str]:
    """Return the paths of all files among the artifacts of a run."""
    client = MlflowClient()
    found: list[str] = []
    due: list[str | None] = [None]
    while due:
        for entry in client.list_artifacts(run_id, due.pop()):
            (due if entry.is_dir else found).append(str(entry.path))
    return sorted(found)


def replace_artifact(run_id: str, path: str, content: bytes) -> None:
    """Give an artifact of a run another content."""
    place = Path(path)
    with TemporaryDirectory() as folder:
        file = Path(folder, place.name)
        file.write_bytes(content)
        above = place.parent.as_posix()
        MlflowClient().log_artifact(run_id, str(file), None if above == "." else above)


@contextmanager
def fetch_model(model_id: str) -> Iterator[Path | None]:
    """Fetch the files of a logged model into a folder that is deleted at the end.

    Yields:
        The folder; None where nothing was uploaded, or all of it was deleted.
    """
    with TemporaryDirectory() as folder:
        try:
            found = mlflow.artifacts.download_artifacts(f"models:/{model_id}", dst_path=folder)
        except (OSError, MlflowException):
            yield None
            return
        yield Path(found)
