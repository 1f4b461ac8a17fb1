"""Kedro: private names of sessions and of file datasets.

Tried with Kedro 1.7.0 and kedro-datasets 9.6.0.

- `KedroSession._store`: the record of a session. `KedroSession.create` starts git twice to fill it;
  it can go when a session can be made without that.
- `_fs` and `_filepath` of a file dataset: where its file lies. They can go when datasets tell.
- `kedro.io.core.generate_timestamp`: the id of a session.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from kedro.framework.session import KedroSession
from kedro.io.core import generate_timestamp


def make_session(
    session_class: type[KedroSession],
    project_path: Path,
    env: str | None,
    runtime_params: dict[str, Any],
) -> Any:
    """Make a session as `KedroSession.create` does, without asking git for what nobody reads."""
    session = session_class(session_id=generate_timestamp(), project_path=project_path)
    facts = {"session_id": session.session_id, "env": env, "runtime_params": runtime_params}
    session._store.update(facts)
    return session


def locate_file(dataset: Any) -> str:
    """Return where the file of a dataset lies, as its filesystem names it."""
    return str(dataset._filepath.as_posix())


def digest_file(dataset: Any) -> str:
    """Return the sha256 of the file of a dataset, 64 hexadecimal digits."""
    with dataset._fs.open(locate_file(dataset), "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
