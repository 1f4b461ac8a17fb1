"""How often a training asks MLflow's server: few times, however many epochs it has."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from arrivals import deliver_cells
from dag_nights import Laboratory, quick_work
from sessions import kedro_run
from storage_root import put_in_force

from image_classification.champion import signature

if TYPE_CHECKING:
    from airflow.sdk import DAG

MOST = 30
OF_LOGGING_THE_MODEL = 12
"""MLflow's own, of which six are the histories of the six curves."""

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("airflow_database")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    stores = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    artifacts = ["--artifacts-destination", str(folder / "artifacts")]
    command = [sys.executable, "-m", "mlflow", "server", *stores, *artifacts, "--port", port]
    process = subprocess.Popen(
        [*command, "--workers", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    uri = f"http://127.0.0.1:{port}"
    try:
        _wait_for(uri)
        yield uri
    finally:
        process.terminate()
        process.wait(60)


def _wait_for(uri: str) -> None:
    for _ in range(600):
        try:
            requests.get(f"{uri}/health", timeout=1).raise_for_status()
        except requests.RequestException:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"MLflow at {uri} does not answer")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What this process has asked a server, without the artifacts: method and path."""
    found: list[str] = []
    send = requests.Session.send

    def count(self: requests.Session, request: Any, **options: Any) -> Any:
        path = request.path_url.partition("?")[0]
        if "mlflow-artifacts" not in path and not path.endswith("/artifacts/list"):
            found.append(f"{request.method} {path}")
        return send(self, request, **options)

    monkeypatch.setattr(requests.Session, "send", count)
    return found


@pytest.fixture(scope="module")
def taken_in(
    tmp_path_factory: pytest.TempPathFactory, cells: Path, server: str
) -> Iterator[tuple[Path, str]]:
    """A storage root whose images are in the index."""
    storage = tmp_path_factory.mktemp("laboratory") / "storage"
    deliver_cells(cells, storage)
    with pytest.MonkeyPatch.context() as patch:
        put_in_force(patch, storage)
        patch.setenv("MLFLOW_TRACKING_URI", server)
        kedro_run("data_processing")
        # Once in a storage's life, the versions of before are asked for: those to be signed.
        with signature.make_key():
            pass
        yield storage, server


def test_a_training_in_one_process_asks_as_little_for_two_epochs_as_for_nine(
    taken_in: tuple[Path, str], asked: list[str]
) -> None:
    counts = []
    for epochs in (2, 9):
        asked.clear()
        with quick_work():
            kedro_run("training", training={"epochs": epochs})
        counts.append(len(asked))
    assert counts[0] == counts[1] <= MOST, asked


def test_a_dag_run_asks_as_little_for_two_epochs_as_for_nine(
    taken_in: tuple[Path, str], asked: list[str], load_dag: Callable[[str], DAG]
) -> None:
    laboratory = Laboratory(taken_in[0], load_dag, [])
    counts = []
    for epochs in (2, 9):
        asked.clear()
        with quick_work():
            assert laboratory.run_dag("training", epochs=epochs).state == "success"
        counts.append(len(asked))
    assert counts[0] == counts[1] <= MOST + OF_LOGGING_THE_MODEL, asked
