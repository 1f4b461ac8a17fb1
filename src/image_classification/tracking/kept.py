"""Where MLflow keeps the datasets that the catalog sends to it."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from image_classification.errors import ConfigurationError
from image_classification.vendor.kedro import locate_file


def locate_artifact_path(catalog: Any, name: str) -> str:
    """Return the path of a dataset among the artifacts of its MLflow run.

    Args:
        catalog: the catalog, or its configuration, as ``context.config_loader["catalog"]``.
        name: of a `MlflowArtifactDataset`, as in `configuration.names`.

    Returns:
        The path, such as "plots/confusion_matrix.png" for `cm_plot`.

    Raises:
        ConfigurationError: the catalog keeps this dataset elsewhere.
    """
    entry: Any = catalog[name]
    try:
        if isinstance(entry, Mapping):
            folder, file = entry["artifact_path"], entry["dataset"]["filepath"]
        else:
            folder, file = entry.artifact_path, locate_file(entry)
    except (KeyError, AttributeError):
        kind = entry.get("type") if isinstance(entry, Mapping) else type(entry).__name__
        raise ConfigurationError(
            f"conf/*/catalog.yml: '{name}' is looked for among the artifacts of an MLflow run, and "
            "so must be a MlflowArtifactDataset with an artifact_path. "
            f"Received: {kind}."
        ) from None
    return posixpath.join(folder or "", posixpath.basename(file))
