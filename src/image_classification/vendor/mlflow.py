"""MLflow: runs entered and left without asking, models logged and versions tagged frugally.

Relied on, tried with MLflow 3.17.2:

- `mlflow.tracking.fluent._active_run_stack`: the only way to let a run be active, or not, without
  reading it or setting its status. `start_run` reads it twice and sets it running, `end_run` sets
  it again. It can go when MLflow attaches to a run that goes on.
- `mlflow.MlflowClient` as the name that `log_model` makes its client by, and `_metric_objs` of a
  run's data: `log_model` links the metrics of a run to the model, and reads the run and the whole
  history of each metric for it. They can go when it asks once.
- `log_model` hands all files of a model to `MlflowClient.log_model_artifacts`, in one folder: they
  are signed there. It can go when MLflow calls something between packaging and upload.
- `MlflowClient._get_registry_client` and its `set_model_version_tag`: the client's own reads the
  registered model before each tag, to learn whether it is a prompt, and there is none that sets
  many. It can go when there is.
- `get_artifact_repository` and its `delete_artifacts`: the client writes, lists and reads files of
  runs and models, and deletes none. They can go when it does.
- `RunInfo` and `ActiveRun`, whose constructors are not documented.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Metric, Run, RunData, RunInfo, RunStatus
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository


def list_active_runs() -> list[mlflow.ActiveRun]:
    """Return the stack of the runs that are active in this thread: to be added to, and cleared."""
    stack: Any = mlflow.tracking.fluent._active_run_stack
    runs: list[mlflow.ActiveRun] = stack.get()
    return runs


def make_active_run(run_id: str, experiment_id: str) -> mlflow.ActiveRun:
    """Return a run that is running, as `start_run` would, without asking MLflow."""
    info = RunInfo(
        run_id=run_id,
        experiment_id=experiment_id,
        user_id="",
        status=RunStatus.to_string(RunStatus.RUNNING),
        start_time=0,
        end_time=None,
        lifecycle_stage=LifecycleStage.ACTIVE,
    )
    return mlflow.ActiveRun(Run(info, RunData()))  # type: ignore[no-untyped-call]


class _FrugalClient(MlflowClient):
    """Reads a run once, and asks for no history of which the points of step 0 are known."""

    runs: ClassVar[dict[str, Run]] = {}
    find_points: ClassVar[Callable[[str, str], list[Metric] | None]]
    seal: ClassVar[Callable[[str, Path], None]]

    def get_run(self, run_id: str) -> Run:
        if run_id not in self.runs:
            self.runs[run_id] = super().get_run(run_id)
        return self.runs[run_id]

    def get_metric_history(self, run_id: str, key: str) -> list[Metric]:
        if known := type(self).find_points(run_id, key):
            return known
        newest = {point.key: point for point in self.get_run(run_id).data._metric_objs}
        if key in newest and newest[key].step == 0:
            return [newest[key]]
        history: list[Metric] = super().get_metric_history(run_id, key)
        return history

    def log_model_artifacts(
        self, model_id: str, local_dir: str, artifact_path: str | None = None
    ) -> None:
        type(self).seal(model_id, Path(local_dir))
        super().log_model_artifacts(model_id, local_dir, artifact_path)


@contextmanager
def lend_frugal_client(
    find_points: Callable[[str, str], list[Metric] | None],
    seal: Callable[[str, Path], None],
) -> Iterator[None]:
    """Let `log_model` ask for little, for a while.

    Args:
        find_points: the points of step 0 of a run's metric, where all of them are known.
        seal: called with the id and the files of a model before they are uploaded.
    """
    usual = mlflow.MlflowClient
    _FrugalClient.find_points = staticmethod(find_points)
    _FrugalClient.seal = staticmethod(seal)
    mlflow.MlflowClient = _FrugalClient  # type: ignore[misc]
    try:
        yield
    finally:
        mlflow.MlflowClient = usual  # type: ignore[misc]
        _FrugalClient.runs.clear()


def set_version_tags(model_name: str, version: str, tags: Mapping[str, str]) -> None:
    """Set tags of a model version, with one request for each."""
    client = MlflowClient()._get_registry_client()  # type: ignore[no-untyped-call]
    for key, value in tags.items():
        client.set_model_version_tag(model_name, version, key, value)


def delete_files(uri: str) -> None:
    """Delete all files below an artifact location; none is no error."""
    get_artifact_repository(uri).delete_artifacts()  # type: ignore[no-untyped-call]
