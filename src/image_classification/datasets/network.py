"""Networks out of the model registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Never

from kedro.io import AbstractDataset, DatasetError

from image_classification import vision
from image_classification.champion import package, registry
from image_classification.errors import RegistryError


@dataclass(frozen=True)
class RegisteredNetwork:
    """A network out of the registry: the Keras model, its classes in order, its version."""

    network: Any
    class_names: list[str]
    version: str


OpenNetwork = Callable[[], RegisteredNetwork | None]


def load_registered(model_name: str, version: str) -> RegisteredNetwork:
    """Load the network of a version.

    Raises:
        RegistryError: its files are missing or broken.
    """
    with package.open_parts(model_name, version) as parts:
        try:
            network = vision.load_network(parts.network)
        except (OSError, TypeError, ValueError, KeyError) as error:
            raise RegistryError(
                f"The network of version {version} of '{model_name}' cannot be loaded: {error}"
            ) from error
        return RegisteredNetwork(network, parts.class_names, str(version))


class RegisteredNetworkDataset(AbstractDataset[Never, RegisteredNetwork | OpenNetwork | None]):
    """The network of the model version that an alias points to.

    The packaged model carries the network as a file of its own, which can be loaded whatever has
    become of the code since.
    """

    def __init__(
        self,
        *,
        model_name: str,
        alias: str,
        required: bool = True,
        on_demand: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Make the dataset.

        Args:
            model_name: the registered model.
            alias: `champion` or `challenger`.
            required: raise if no version holds the alias; if false, return None.
            on_demand: return a function that loads the network, for a node that seldom needs it.
            metadata: ignored by Kedro, kept for people and plugins.
        """
        self._model_name = model_name
        self._alias = alias
        self._required = required
        self._on_demand = on_demand
        self.metadata = metadata

    def load(self) -> RegisteredNetwork | OpenNetwork | None:
        """Load the network.

        Raises:
            RegistryError: no version holds the alias, and one is required; or its files are
                missing or broken.
        """
        return self._open if self._on_demand else self._open()

    def _open(self) -> RegisteredNetwork | None:
        version = registry.find_version(self._model_name, self._alias)
        if version is None:
            if not self._required:
                return None
            raise RegistryError(
                f"Registered model '{self._model_name}' has no version with the alias "
                f"'{self._alias}'. Run the pipeline 'retraining' first, or set the alias in MLflow."
            )
        return load_registered(self._model_name, version.version)

    def save(self, data: Never) -> Never:  # noqa: ARG002
        """Refuse: a version is registered by logging a model."""
        raise DatasetError("A registered network cannot be saved through the catalog.")

    def _exists(self) -> bool:
        return registry.find_version(self._model_name, self._alias) is not None

    def _describe(self) -> dict[str, Any]:
        return {"model_name": self._model_name, "alias": self._alias, "required": self._required}


class RegisteredModelBase(AbstractDataset[Never, Any]):
    """What is read of a registered model as a whole; nothing is saved."""

    def __init__(self, *, model_name: str, metadata: dict[str, Any] | None = None) -> None:
        """Make the dataset.

        Args:
            model_name: the registered model.
            metadata: ignored by Kedro, kept for people and plugins.
        """
        self._model_name = model_name
        self.metadata = metadata

    def save(self, data: Never) -> Never:  # noqa: ARG002
        """Refuse: a version is registered by logging a model."""
        raise DatasetError("A registered model cannot be saved through the catalog.")

    def _describe(self) -> dict[str, Any]:
        return {"model_name": self._model_name}


class RegisteredVersionsDataset(RegisteredModelBase):
    """The versions of a registered model, oldest first: `version`, `aliases` and `tags`."""

    def load(self) -> list[dict[str, Any]]:
        """Ask the registry."""
        return [
            {
                "version": str(version.version),
                "aliases": list(version.aliases),
                "tags": dict(version.tags),
            }
            for version in registry.list_versions(self._model_name)
        ]
