"""Files that MLflow keeps, too: kedro-mlflow's dataset, also where the storage is no folder."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kedro_mlflow.io import artifacts

from image_classification import tracking
from image_classification.vendor.kedro import fetch_file, is_local_file


class MlflowArtifactDataset(artifacts.MlflowArtifactDataset):
    """kedro-mlflow's dataset: what is saved also becomes an artifact of the MLflow run.

    kedro-mlflow (2.0.3) names the file to MLflow, which reads it as a local one. A file of an
    object store is fetched into a temporary folder first.
    """

    def __new__(cls, **arguments: Any) -> Any:
        """Make the dataset that saves both, a subclass of that of the file."""
        made = super().__new__(cls, **arguments)
        if not is_local_file(made):
            made.__class__ = _send_by_a_folder(type(made))
        return made


def _send_by_a_folder(kind: type[Any]) -> type[Any]:
    """Return a class of datasets as `kind`, whose file MLflow gets from a temporary folder."""

    class Sent(kind):
        _logging_activated: bool

        def _save(self, data: Any) -> None:
            is_tracked, self._logging_activated = self._logging_activated, False
            try:
                super()._save(data)
            finally:
                self._logging_activated = is_tracked
            if not is_tracked:
                return
            with TemporaryDirectory() as folder:
                file = fetch_file(self, Path(folder))
                tracking.log_file(file, self.artifact_path, self.run_id)

    Sent.__name__, Sent.__qualname__ = kind.__name__, kind.__qualname__
    return Sent
