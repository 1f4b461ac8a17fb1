"""The configuration, read once in a session."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from kedro.config import OmegaConfigLoader

from image_classification.configuration.resolvers import RESOLVERS

LOADER_ARGUMENTS: dict[str, Any] = {
    "base_env": "base",
    "default_run_env": "local",
    "config_patterns": {
        "airflow": ["airflow.yml"],
        "mlflow": ["mlflow.yml"],
    },
    "custom_resolvers": RESOLVERS,
    # An environment, and a run, may change one key of a section, at any depth; the rest stays.
    "merge_strategy": {"parameters": "soft"},
}
"""Which files are read, how environments are merged, and which functions they may call."""


class ReadOnceConfigLoader(OmegaConfigLoader):
    """Kedro's loader, but each file is read once: Kedro's reads all again for every question."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # Must be there first: Kedro's loader reads a value while it is made.
        self._known: dict[str, dict[str, Any]] = {}
        super().__init__(*arguments, **options)

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return the configuration of a kind, such as "catalog": a copy, which may be changed."""
        if key not in self._known:
            self._known[key] = super().__getitem__(key)
        return deepcopy(self._known[key])

    def __setitem__(self, key: str, value: Any) -> None:
        """Use this value from now on, not that of the files."""
        self._known.pop(key, None)
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        """Use the values of the files again."""
        self._known.pop(key, None)
        super().__delitem__(key)
