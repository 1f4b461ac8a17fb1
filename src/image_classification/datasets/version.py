"""All versions of a registered model: their networks and their images, each fetched when asked."""

from __future__ import annotations

import pandas as pd

from image_classification.champion import registry
from image_classification.datasets.network import (
    RegisteredModelBase,
    RegisteredNetwork,
    load_registered,
)


class RegisteredModel:
    """The versions of a registered model. Nothing is fetched before it is asked for."""

    def __init__(self, name: str) -> None:
        """Prepare; the registry is not asked yet."""
        self.name = name

    def find_champion(self) -> str | None:
        """Return the version that is champion, or None."""
        return registry.find_champion(self.name)

    def identify(self, version: str) -> str:
        """Return a name of a version that no version of another registry has: with its run.

        Raises:
            RegistryError: there is no such version.
        """
        run_id = registry.get_version(self.name, version).run_id
        return f"v{version}-{str(run_id)[:8]}"

    def read_images(self, version: str) -> pd.DataFrame:
        """Return the images that a version was made from, one row each, with their splits.

        Raises:
            RegistryError: there is no such version, or its run has kept no table of images.
        """
        return registry.read_images(self.name, version)

    def open_network(self, version: str) -> RegisteredNetwork:
        """Load the network of a version.

        Raises:
            RegistryError: there is no such version, or its files are missing or broken.
        """
        return load_registered(self.name, version)


class RegisteredModelDataset(RegisteredModelBase):
    """All versions of a registered model, to be read."""

    def load(self) -> RegisteredModel:
        """Return the versions; none is fetched yet."""
        return RegisteredModel(self._model_name)
