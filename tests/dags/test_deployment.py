"""What is deployed while a night runs."""

from __future__ import annotations

from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from image_classification.orchestration import code

if TYPE_CHECKING:
    from dag_nights import Laboratory


pytestmark = pytest.mark.usefixtures("airflow_database")


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """No image: none is looked at."""
    return tmp_path_factory.mktemp("cells")


def test_a_task_that_finds_another_configuration_than_the_run_began_with_does_nothing(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found = chain(["as it began"], repeat("as it is now"))
    monkeypatch.setattr(code, "digest_configuration", lambda *_: next(found))
    night = laboratory.spend_night("monitoring")
    assert night.state == "failed"
    assert night.tasks_that_are("failed") == {"score_newest_days"}
    assert night.tasks["close_run"] == "success"
    assert "The configuration of this task is not what the run began with" in caplog.text
    assert "Clear the whole run" in caplog.text
    assert night.mlflow_run.info.status == "FAILED"
    written = {file.name for file in laboratory.folder_of(night).iterdir() if file.is_file()}
    assert written == {"code.json"}
