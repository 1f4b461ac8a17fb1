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
    # An environment, and a run, may change one key of a section and leave the rest in force.
    "merge_strategy": {"parameters": "soft"},
}
"""Which files are read, how environments are laid over one another, and what may be called."""


class ReadOnceConfigLoader(OmegaConfigLoader):
    """Kedro's loader, which reads and resolves all files again whenever a hook asks for a value."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # Before the first value is read, which Kedro does as it makes the loader.
        self._known: dict[str, dict[str, Any]] = {}
        super().__init__(*arguments, **options)

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return the configuration of a kind, a copy: whoever asks may change it."""
        if key not in self._known:
            self._known[key] = super().__getitem__(key)
        return deepcopy(self._known[key])

    def __setitem__(self, key: str, value: Any) -> None:
        """Let a value hold that is given explicitly, from now on."""
        self._known.pop(key, None)
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        """Let the files hold again."""
        self._known.pop(key, None)
        super().__delitem__(key)
