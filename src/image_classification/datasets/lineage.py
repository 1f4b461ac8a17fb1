"""The images that one run works on, known to MLflow."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
from kedro.io import AbstractDataset

from image_classification import tracking
from image_classification.datasets.file import open_filesystem, write_whole


class RunImagesDataset(AbstractDataset[pd.DataFrame, pd.DataFrame]):
    """A table of the images of one run, its splits named as inputs of the MLflow run.

    Saved as a Parquet file, and with the run as the artifact ``data/<file>``, so that what a
    model was trained on is known as long as the model is.
    """

    def __init__(
        self,
        *,
        filepath: str,
        credentials: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Make the dataset of the file `filepath`, a local path or an fsspec URL."""
        self._filesystem, self._path = open_filesystem(filepath, credentials)
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Read the table."""
        return pd.read_parquet(io.BytesIO(self._filesystem.cat_file(self._path)))

    def save(self, data: pd.DataFrame) -> None:
        """Write the table, and name it in the MLflow run that is active, if one is."""
        write_whole(self._filesystem, self._path, data.to_parquet(index=False))
        tracking.log_images(data)

    def _exists(self) -> bool:
        return bool(self._filesystem.exists(self._path))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._path, "filesystem": type(self._filesystem).__name__}
