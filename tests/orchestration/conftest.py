"""Airflow for the tests."""

from __future__ import annotations

from collections.abc import Iterator

import airflow_home  # noqa: F401 - before Airflow is imported
import pytest
from shortcuts import quick_sessions


@pytest.fixture(scope="module")
def sessions_read_once() -> Iterator[None]:
    """Let the sessions of a module read the configuration once."""
    with quick_sessions():
        yield
