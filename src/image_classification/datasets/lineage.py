"""The images that one run works on, known to MLflow."""

from __future__ import annotations

import io

import pandas as pd

from image_classification import tracking
from image_classification.datasets.file import FilesystemDataset, write_whole


class RunImagesDataset(FilesystemDataset[pd.DataFrame, pd.DataFrame]):
    """A table of the images of one run, its splits named as inputs of the MLflow run.

    Saved as a Parquet file, and with the run as the artifact ``data/<file>``, so that what a
    model was trained on is known as long as the model is.
    """

    def load(self) -> pd.DataFrame:
        """Read the table."""
        return pd.read_parquet(io.BytesIO(self._filesystem.cat_file(self._root)))

    def save(self, data: pd.DataFrame) -> None:
        """Write the table, and name it in the MLflow run that is active, if one is."""
        write_whole(self._filesystem, self._root, data.to_parquet(index=False))
        tracking.log_images(data)
