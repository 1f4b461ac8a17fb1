"""Who may look: Airflow's own login, for pages that a plugin adds."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends


def require_reader(dag_id: str) -> Any:
    """Return what FastAPI asks before a page: is somebody logged in who may see runs of this DAG?

    Relied on: `requires_access_dag`, which takes these arguments, reads the session's cookie or a
    bearer token, and answers 401 or 403. Airflow's own pages use it; its documentation names no way
    for a plugin's (3.3.2). We know of no issue about it. It can go when there is one.
    """
    return Depends(requires_access_dag("GET", DagAccessEntity.RUN, dag_id))
