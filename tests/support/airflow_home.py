"""A home and a database of its own for Airflow: to be imported before Airflow is."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]

# Processes that a test starts find the same home.
if "TEST_AIRFLOW_HOME" not in os.environ:
    os.environ["TEST_AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-")
    atexit.register(shutil.rmtree, os.environ["TEST_AIRFLOW_HOME"], ignore_errors=True)
os.environ.update(
    AIRFLOW_HOME=os.environ["TEST_AIRFLOW_HOME"],
    AIRFLOW__CORE__DAGS_FOLDER=str(PROJECT / "dags"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
)
