"""Who may look: the login of Airflow."""

from __future__ import annotations

import airflow_home  # noqa: F401 - before Airflow is imported
from fastapi import FastAPI
from fastapi.testclient import TestClient

from image_classification.vendor.airflow.login import require_reader


def test_a_page_behind_it_answers_nobody_without_a_login() -> None:
    from airflow.api_fastapi.app import create_auth_manager, init_auth_manager

    init_auth_manager()
    assert create_auth_manager()
    app = FastAPI(dependencies=[require_reader("retraining")])
    app.get("/")(lambda: "secret")
    stranger = TestClient(app)
    assert stranger.get("/").status_code == 401
    forged = stranger.get("/", headers={"Authorization": "Bearer forged"})
    assert forged.status_code in (401, 403)
    assert "secret" not in forged.text
