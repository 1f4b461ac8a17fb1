"""Waiting for services."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from image_classification.local import health
from image_classification.local.ports import ServiceError


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(health, "LOOK_EVERY_S", 0.01)


def test_a_service_that_does_not_listen_yet_is_waited_for(tmp_path: Path) -> None:
    answers = iter([requests.ConnectionError(), KeyError("scheduler"), False, True])

    def healthy() -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    health.wait_until("Airflow", ["scheduler"], healthy, lambda: ["scheduler"], tmp_path)
    assert next(answers, None) is None


def test_of_a_process_that_ended_the_end_of_its_log_is_told(tmp_path: Path) -> None:
    (tmp_path / "scheduler.log").write_text("\n".join(f"line {number}" for number in range(30)))
    with pytest.raises(ServiceError, match=r"(?s)Airflow: 'scheduler' stopped.*line 29") as told:
        health.wait_until("Airflow", ["scheduler"], lambda: True, list, tmp_path)
    assert "line 10\n" in str(told.value)
    assert "line 9\n" not in str(told.value)


def test_a_service_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"MLflow was not healthy after 0\.3 s"):
        health.wait_until("MLflow", ["mlflow"], lambda: False, lambda: ["mlflow"], tmp_path)


@pytest.mark.parametrize(("state", "well"), [("healthy", True), ("unhealthy", False)])
def test_airflow_is_healthy_when_all_of_its_parts_are(
    monkeypatch: pytest.MonkeyPatch, state: str, well: bool
) -> None:
    parts = {name: {"status": "healthy"} for name in ("metadatabase", "scheduler", "dag_processor")}
    answer = requests.Response()
    monkeypatch.setattr(answer, "json", lambda: {**parts, "triggerer": {"status": state}})
    monkeypatch.setattr(requests, "get", lambda *_, **__: answer)
    assert health.is_airflow_healthy("http://airflow") is well
