"""Kedro: which loader `${globals:...}` asks.

Tried with Kedro 1.7.0.

- `OmegaConfigLoader._register_globals_resolver`: OmegaConf's resolvers are one for the process, and
  Kedro sets this one as a loader is made. A loader that reads a file after another one was made, as
  of another environment, would take that one's globals. It can go when Kedro sets it at each read.
"""

from __future__ import annotations

from kedro.config import OmegaConfigLoader


def answer_globals(loader: OmegaConfigLoader) -> None:
    """Let ``${globals:name}`` be a value of this loader from now on."""
    loader._register_globals_resolver()
