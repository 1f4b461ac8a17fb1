"""Airflow for the tests."""

from __future__ import annotations

import airflow_home  # noqa: F401 - before Airflow is imported
