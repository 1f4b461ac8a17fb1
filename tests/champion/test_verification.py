"""Is the champion what was judged, and does it answer? With real files, and real processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from image_classification import tracking
from image_classification.champion import consumer, registry, verification
from image_classification.errors import VerificationError

MODEL = "cells"
CELLS = pd.DataFrame(
    {
        "image_name": ["a", "b"],
        "image": [b"x", b"y"],
        "probability_Parasitized": [0.25, 0.5],
        "probability_Uninfected": 0.75,
    }
)
ANSWER = """
import mlflow

class Answer(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input.assign(probability_Parasitized=0.25, probability_Uninfected=0.75)

mlflow.models.set_model(Answer())
"""


def register_model(folder: Path, name: str) -> str:
    """Register a model that answers, with golden cells of which the second is off by 0.25."""
    (folder / f"{name}.py").write_text(f"# {name}\n{ANSWER}")
    experiment = tracking.open_experiment("experiment")
    run_id = tracking.open_run(experiment, f"retraining/{name}", name, {})
    with tracking.resume_run(run_id):
        code = str(folder / f"{name}.py")
        mlflow.pyfunc.log_model(name="model", python_model=code, pip_requirements=[])
    return str(registry.register_challenger(MODEL, run_id, {}, CELLS).version)


@pytest.fixture(scope="module")
def registered(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, str, dict[str, Any], dict[str, Any]]:
    """Two versions in a store of their own, and what a fresh process found of the first."""
    folder = tmp_path_factory.mktemp("store")
    uri = f"sqlite:///{folder}/mlflow.db"
    tracking.connect(uri)
    mlflow.create_experiment("experiment", artifact_location=str(folder / "artifacts"))
    first, second = (register_model(folder, name) for name in ("first", "second"))
    MlflowClient().set_registered_model_alias(MODEL, "champion", first)
    found = verification.consume_version(f"models:/{MODEL}/{first}", 3)
    return uri, first, {"version": second}, found


@pytest.fixture(autouse=True)
def _connect(registered: tuple[str, str, dict[str, Any], dict[str, Any]]) -> None:
    tracking.connect(registered[0])


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that a fresh process was started for."""
    started: list[str] = []

    def consume(uri: str, timed_calls: int = 0) -> dict[str, Any]:
        started.append(uri)
        raise VerificationError("a process was started")

    monkeypatch.setattr(verification, "consume_version", consume)
    return started


def measure(found: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return what this run has measured, of golden cells that are answered as stored."""
    environment = verification.digest_environment()
    return {**found, "environment": environment, "golden_difference": 0.0, **changes}


def test_a_fresh_process_loads_times_and_asks_the_registered_model(registered: Any) -> None:
    _, first, _, found = registered
    assert found["model_id"] == registry.find_model_id(MODEL, first)
    assert found["golden_cells"] == 2
    assert found["golden_difference"] == 0.25
    assert found["load_s"] > 0
    assert found["latency_ms"] > 0
    assert 0 < found["size_mb"] < 1


def test_a_model_that_cannot_be_loaded_is_an_error_that_says_why() -> None:
    with pytest.raises(VerificationError, match=r"(?s)models:/cells/7 cannot be used.*cells"):
        verification.consume_version("models:/cells/7")


def test_what_this_run_has_measured_is_not_measured_again(
    registered: Any, processes: list[str]
) -> None:
    _, first, _, found = registered
    verification.verify_champion(MODEL, first, 0.001, measure(found))
    assert processes == []


def test_the_measured_answer_is_held_to_the_tolerance(
    registered: Any, processes: list[str]
) -> None:
    _, first, _, found = registered
    off = measure(found, golden_difference=0.0011)
    with pytest.raises(VerificationError, match=r"differs by 0\.0011, allowed: 0\.001"):
        verification.verify_champion(MODEL, first, 0.001, off)
    verification.verify_champion(MODEL, first, 0.001, measure(found, golden_difference=0.001))
    nothing = measure(found, golden_difference=float("nan"))
    with pytest.raises(VerificationError, match="differs by nan"):
        verification.verify_champion(MODEL, first, 0.001, nothing)
    assert processes == []


def test_the_measured_answer_must_be_of_the_version_that_was_promoted(
    registered: Any, processes: list[str]
) -> None:
    _, _, other, found = registered
    with pytest.raises(VerificationError, match="answers as model m-"):
        verification.verify_champion(MODEL, other["version"], 0.001, measure(found))
    assert processes == []


@pytest.mark.parametrize(
    "change",
    [
        {"files_digest": "of other files"},
        {"files_digest": ""},
        {"environment": "of other packages"},
        {"environment": None},
    ],
)
def test_a_fresh_process_is_asked_where_anything_differs_from_what_was_measured(
    registered: Any, processes: list[str], change: dict[str, Any]
) -> None:
    _, first, _, found = registered
    with pytest.raises(VerificationError, match="a process was started"):
        verification.verify_champion(MODEL, first, 0.001, measure(found, **change))
    assert processes == [f"models:/{MODEL}@champion"]


def test_a_fresh_process_is_asked_where_nothing_was_measured(
    registered: Any, processes: list[str]
) -> None:
    for measured in (None, {"load_s": 1.0, "latency_ms": 5.0, "size_mb": 2.0}):
        with pytest.raises(VerificationError, match="a process was started"):
            verification.verify_champion(MODEL, registered[1], 0.001, measured)
    assert len(processes) == 2


def test_files_that_were_changed_since_are_found(
    registered: Any, processes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first, _, found = registered
    with registry.fetch_files(MODEL, first) as folder:
        assert consumer.digest_files(folder) == found["files_digest"]
        (folder / "MLmodel").write_text("spoilt")
        assert consumer.digest_files(folder) != found["files_digest"]


def test_the_digest_sees_names_and_contents_and_not_what_loading_leaves(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "a").write_text("one")
    digest = consumer.digest_files(tmp_path)
    (tmp_path / "code" / "a.pyc").write_text("byte code")
    (tmp_path / consumer.DOWNLOAD_NOTE).write_text("model_version: '3'")
    assert consumer.digest_files(tmp_path) == digest
    (tmp_path / "a").rename(tmp_path / "b")
    assert consumer.digest_files(tmp_path) != digest


def test_the_process_is_isolated_from_the_folder_and_the_path_of_its_starter(
    registered: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A module of this name would be imported first, and is on neither path.
    (tmp_path / "mlflow.py").write_text("raise SystemExit('from the wrong place')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = verification.consume_version(f"models:/{MODEL}/{registered[1]}")
    assert found["golden_cells"] == 2
    assert found["latency_ms"] is None  # asked, not timed


def test_a_process_that_takes_too_long_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "CONSUMER_TIMEOUT_S", 0.01)
    with pytest.raises(VerificationError, match=r"did not answer within 0\.01 s"):
        verification.consume_version("models:/cells/1")


def test_the_environment_is_known_by_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    known = verification.digest_environment()
    verification.digest_environment.cache_clear()
    monkeypatch.setattr(sys, "version", "4.0")
    assert verification.digest_environment() != known
    verification.digest_environment.cache_clear()
