"""How a DAG run is called where Airflow's id of it cannot stand: in folders, tags and addresses."""

from __future__ import annotations

import hashlib
import re

_DATE = r"[a-z_]+__\d{4}-\d\d-\d\dT\d\d%s\d\d%s\d\d(\.\d+)?%s00%s00(_[A-Za-z0-9]+)?"

MADE_BY_AIRFLOW = re.compile(_DATE % (":", ":", r"\+", ":"))
"""The id of a DAG run that Airflow has chosen, as in ``scheduled__2026-11-22T02:00:00+00:00``."""

WRITTEN_BY_AIRFLOW = re.compile(_DATE % ("-", "-", "-", "-"))
"""The folder of such a run."""


def name_run(dag_id: str, dag_run_id: str) -> str:
    """Return the name of a DAG run among all: its folder in the catalog, its tag in MLflow."""
    return f"{dag_id}/{name_folder(dag_run_id)}"


def name_folder(dag_run_id: str) -> str:
    """Return the name of a DAG run's folder; ids that differ in a sign have different ones.

    The ids that Airflow makes itself, and those of plain signs, are readable as they are. What else
    would be written alike, or as one of those, gets eight digits of its hash.
    """
    plain = re.sub(r"[^A-Za-z0-9_.-]", "-", dag_run_id)
    if MADE_BY_AIRFLOW.fullmatch(dag_run_id):
        return plain
    if plain == dag_run_id and plain.strip(".") and not WRITTEN_BY_AIRFLOW.fullmatch(plain):
        return plain
    return f"{plain}~{hashlib.sha256(dag_run_id.encode()).hexdigest()[:8]}"
