"""The images that a run works on, and those that a model version was made from."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Never

import pandas as pd
from kedro.io import AbstractDataset, DatasetError

from image_classification import tracking
from image_classification.champion import registry
from image_classification.datasets.dataset import FilesystemDataset
from image_classification.datasets.file import write_whole
from image_classification.errors import RegistryError

logger = logging.getLogger(__name__)


class RunImagesDataset(FilesystemDataset[pd.DataFrame, pd.DataFrame]):
    """A table of the images of one run; its splits are named as inputs of the MLflow run.

    It is saved as a Parquet file, and as the artifact ``data/<file>`` of the run: what a model was
    trained on is known for as long as the model is.
    """

    def load(self) -> pd.DataFrame:
        """Read the table."""
        return pd.read_parquet(io.BytesIO(self._filesystem.cat_file(self._root)))

    def save(self, data: pd.DataFrame) -> None:
        """Write the table, and name it in the active MLflow run if there is one."""
        write_whole(self._filesystem, self._root, data.to_parquet(index=False))
        tracking.log_images(data)


@dataclass(frozen=True)
class RegisteredImages:
    """What a model version was made from, and how it was judged.

    Attributes:
        version: the model version.
        images: its images with their splits; None where its run keeps no table of them.
        tags: of the version.
        run_id: of its MLflow run, which no version of another registry has.
    """

    version: str
    images: pd.DataFrame | None
    tags: Mapping[str, str]
    run_id: str = ""

    @property
    def validation_accuracy(self) -> float | None:
        """Its accuracy on validation when it was judged; None if it was never judged."""
        text = self.tags.get(registry.REFERENCE_TAG)
        return None if text is None else float(text)


class RegisteredImagesDataset(AbstractDataset[Never, RegisteredImages | None]):
    """The images of the model version that an alias points to; None if it points to none."""

    def __init__(
        self, *, model_name: str, alias: str, metadata: dict[str, Any] | None = None
    ) -> None:
        """Make the dataset.

        Args:
            model_name: the registered model.
            alias: `champion` or `challenger`.
            metadata: ignored by Kedro, kept for people and plugins.
        """
        self._model_name = model_name
        self._alias = alias
        self.metadata = metadata

    def load(self) -> RegisteredImages | None:
        """Fetch the table that the version's run has kept."""
        found = registry.find_version(self._model_name, self._alias)
        if found is None:
            return None
        version = str(found.version)
        try:
            images = registry.read_images(self._model_name, version)
        except RegistryError as error:
            logger.warning("%s", error)
            images = None
        return RegisteredImages(version, images, dict(found.tags), str(found.run_id or ""))

    def save(self, data: Never) -> Never:  # noqa: ARG002
        """Refuse: a run names its images by `RunImagesDataset`."""
        raise DatasetError("The images of a registered version cannot be changed.")

    def _exists(self) -> bool:
        return registry.find_version(self._model_name, self._alias) is not None

    def _describe(self) -> dict[str, Any]:
        return {"model_name": self._model_name, "alias": self._alias}
