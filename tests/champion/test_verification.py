"""Is the champion what was judged, and does it answer? With real files, and real processes."""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from registry_store import MODEL, Store, open_run, register

from image_classification import tracking
from image_classification.champion import consumer, package, registry, verification
from image_classification.errors import RegistryError, SignatureError, VerificationError

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


@pytest.fixture(scope="module")
def registered(
    shared_store: Store, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str, dict[str, Any]]:
    """Two versions, and what a fresh process found of the first, whose second answer is off.

    The process is started where a module of the wrong place would be imported first.
    """
    folder = tmp_path_factory.mktemp("starter")
    shared_store.put_back("empty")
    (folder / "answer.py").write_text(ANSWER)
    run_id = open_run("first")
    with tracking.resume_run(run_id):
        code = str(folder / "answer.py")
        logged = mlflow.pyfunc.log_model(name="model", python_model=code, pip_requirements=[])
    CELLS.to_parquet(folder / consumer.GOLDEN_CELLS)
    tracking.attach_file(logged.model_id, folder / consumer.GOLDEN_CELLS)
    first = str(registry.register_challenger(MODEL, logged.model_id, {}).version)
    second = register("second")[1]
    MlflowClient().set_registered_model_alias(MODEL, "champion", first)
    (folder / "mlflow.py").write_text("raise SystemExit('from the wrong place')")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PYTHONPATH", str(folder))
        found = verification.consume_version(f"models:/{MODEL}/{first}", 3)
    shared_store.keep("two versions")
    return first, second, found


@pytest.fixture(autouse=True)
def _connect(shared_store: Store, registered: tuple[str, str, dict[str, Any]]) -> None:
    shared_store.put_back("two versions")


@pytest.fixture
def run_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let a fresh process run this script instead of the consumer's."""

    def consume(code: str, timed_calls: int = 0) -> dict[str, Any]:
        (tmp_path / "script.py").write_text(code)
        monkeypatch.setattr(consumer, "__file__", str(tmp_path / "script.py"))
        monkeypatch.setattr(package, "fetch_files", lambda *_: nullcontext(tmp_path / "model"))
        return verification.consume_version("models:/cells/7", timed_calls)

    return consume


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


def test_an_isolated_process_loads_times_and_asks_the_registered_model(registered: Any) -> None:
    first, _, found = registered
    assert found["model_id"] == registry.find_model_id(MODEL, first)
    assert found["golden_cells"] == 2
    assert found["golden_difference"] == 0.25
    assert found["load_s"] > 0
    assert found["latency_ms"] > 0
    assert 0 < found["size_mb"] < 1


def test_a_model_that_cannot_be_loaded_is_an_error_that_says_why(run_script: Any) -> None:
    lines = "\\n".join(f"line {number}" for number in range(1, 8))
    with pytest.raises(VerificationError, match="cannot be used in a fresh process") as caught:
        run_script(f"raise SystemExit('{lines}')")
    # The last five lines: a traceback may be long.
    assert str(caught.value).splitlines()[1:] == [f"line {number}" for number in range(3, 8)]
    with pytest.raises(MlflowException, match="no-model"):
        consumer.consume_model(Path("no-model"), 0)


def test_a_process_that_ends_without_an_answer_is_an_error(run_script: Any) -> None:
    with pytest.raises(VerificationError, match="models:/cells/7 cannot be used"):
        run_script("")


def test_a_process_that_fails_after_it_answered_is_an_error(run_script: Any) -> None:
    with pytest.raises(VerificationError, match="models:/cells/7 cannot be used"):
        run_script("import sys; open(sys.argv[2], 'w').write('{}'); sys.exit(1)")


@pytest.mark.parametrize(
    "script",
    ["os.mkfifo(answer)", "os.symlink('/proc/self/stat', answer)", "open(answer, 'w').write('{')"],
)
def test_what_is_no_answer_is_not_waited_for_or_followed(run_script: Any, script: str) -> None:
    with pytest.raises(VerificationError, match=r"models:/cells/7 (cannot be used|gave no whole)"):
        run_script(f"import os, sys; answer = sys.argv[2]; {script}")


def test_the_process_is_told_what_to_load_and_where_and_has_an_empty_folder(
    run_script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDRO_LOGGING_CONFIG", "of this project")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cret")
    told = run_script(
        "import json, os, sys\n"
        "told = {'load_s': 0, 'arguments': sys.argv[1:], 'environment': dict(os.environ),\n"
        "        'folder': os.listdir(), 'path': sys.path, 'isolated': sys.flags.isolated}\n"
        "open(sys.argv[2], 'w').write(json.dumps(told))",
        4,
    )
    folder, _, timed_calls = told["arguments"]
    assert (folder, timed_calls) == (str(tmp_path / "model"), "4")
    assert told["folder"] == []
    assert told["isolated"] == 1
    assert str(Path(consumer.__file__).parent) not in told["path"]
    environment = told["environment"]
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert not {"KEDRO_LOGGING_CONFIG", "MLFLOW_TRACKING_PASSWORD"} & set(environment)


def test_what_this_run_has_measured_is_not_measured_again(
    registered: Any, processes: list[str]
) -> None:
    first, _, found = registered
    verification.verify_champion(MODEL, first, 0.001, measure(found))
    assert processes == []


def test_the_measured_answer_is_held_to_the_tolerance(
    registered: Any, processes: list[str]
) -> None:
    first, _, found = registered
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
    _, other, found = registered
    with pytest.raises(VerificationError, match="answers as model m-"):
        verification.verify_champion(MODEL, other, 0.001, measure(found))
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
    first, _, found = registered
    with pytest.raises(VerificationError, match="a process was started"):
        verification.verify_champion(MODEL, first, 0.001, measure(found, **change))
    assert processes == [f"models:/{MODEL}@champion"]


def test_a_fresh_process_is_asked_where_nothing_was_measured(
    registered: Any, processes: list[str]
) -> None:
    for measured in (None, {"load_s": 1.0, "latency_ms": 5.0, "size_mb": 2.0}):
        with pytest.raises(VerificationError, match="a process was started"):
            verification.verify_champion(MODEL, registered[0], 0.001, measured)
    assert len(processes) == 2


def test_files_that_were_changed_since_are_found(
    registered: Any,
) -> None:
    first, _, found = registered
    with package.fetch_files(MODEL, first) as folder:
        assert consumer.digest_files(folder) == found["files_digest"]
        (folder / "MLmodel").write_text("spoilt")
        assert consumer.digest_files(folder) != found["files_digest"]


def test_files_that_cannot_be_fetched_are_not_those_that_were_measured(
    registered: Any, processes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _, found = registered

    def fail(*_: Any) -> Any:
        raise RegistryError("the store does not answer")

    monkeypatch.setattr(package, "fetch_files", fail)
    with pytest.raises(VerificationError, match="a process was started"):
        verification.verify_champion(MODEL, first, 0.001, measure(found))


def test_what_is_measured_is_timed_and_tied_to_the_packages_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(
        verification, "consume_version", lambda *given: asked.append(given) or {"load_s": 1.0}
    )
    found = verification.measure_version(MODEL, "3")
    assert asked == [("models:/cells/3", verification.TIMED_CALLS)]
    assert found == {"load_s": 1.0, "environment": verification.digest_environment()}


def test_a_version_without_golden_cells_is_loaded_and_said_not_to_be_asked(
    registered: Any, processes: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    first, _, found = registered
    verification.verify_champion(MODEL, first, 0.001, measure(found, golden_difference=None))
    assert "keeps no golden images" in caplog.text


def test_a_process_that_takes_too_long_is_an_error(
    run_script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "CONSUMER_TIMEOUT_S", 0.01)
    with pytest.raises(VerificationError, match=r"did not answer within 0\.01 s"):
        run_script("import time; time.sleep(60)")


def test_the_environment_is_known_by_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    known = verification.digest_environment()
    verification.digest_environment.cache_clear()
    monkeypatch.setattr(sys, "version", "4.0")
    assert verification.digest_environment() != known
    verification.digest_environment.cache_clear()


def test_a_model_that_is_not_what_was_signed_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise SignatureError("It is not what was signed.")

    monkeypatch.setattr(package, "fetch_files", refuse)
    monkeypatch.setattr(subprocess, "run", lambda *_: pytest.fail("it was run"))
    with pytest.raises(VerificationError, match="It is not what was signed"):
        verification.consume_version("models:/cells/1")
