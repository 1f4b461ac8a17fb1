"""Two runs that promote at once, in two processes, against a real MLflow server."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import BrokenBarrierError
from typing import Any

import mlflow
import pytest
import requests
from mlflow import MlflowClient

from image_classification import tracking
from image_classification.champion import ledger, registry
from image_classification.champion.release import Release
from image_classification.champion.statement import DecisionRun
from image_classification.datasets import LedgerDataset
from image_classification.errors import ChampionMovedError
from image_classification.gate import verdict
from image_classification.local.services import find_port

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

MODEL, EXPERIMENT = "cells", "race"
ROUNDS = 3
PATIENCE_S = 300
SLOWNESS_S = 0.5
ANSWER = """
import mlflow

class Answer(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[str]) -> list[str]:
        return model_input

mlflow.models.set_model(Answer())
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server with a store of its own."""
    folder, port = tmp_path_factory.mktemp("server"), find_port(25000)
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--workers", "2"),
        *("--serve-artifacts", "--artifacts-destination", str(folder / "artifacts")),
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(address, process, folder / "log")
            yield address
        finally:
            process.terminate()
            process.wait()


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(f"{address}/health", timeout=5).ok:
                return
        except (requests.ConnectionError, requests.Timeout):
            time.sleep(0.2)
    raise AssertionError(f"MLflow did not answer:\n{log.read_text()[-2000:]}")


def make_policy() -> Any:
    return {
        "mode": "auto",
        "golden_tolerance": 0.001,
        "lease_minutes": 20.0,
        "maximum_run_age_hours": 36.0,
    }


def make_decision(champion: str | None) -> dict[str, Any]:
    """Return a decision to promote over a champion."""
    role = {"metrics": {"accuracy": 0.9}}
    return {
        "verdict": verdict.PROMOTE,
        "mode": "auto",
        "reason": "by a test",
        "challenger": {**role, "version": ""},
        "champion": {**role, "version": champion} if champion else None,
        "champion_fault": "",
        "tests": None,
        "checks": [],
        "facts": None,
        "images": 10,
        "patients": 2,
    }


def register(code: Path, name: str) -> tuple[str, str]:
    """Register a model; return its MLflow run and its version."""
    run_id = tracking.open_run(tracking.open_experiment(EXPERIMENT), f"retraining/{name}", name, {})
    with tracking.resume_run(run_id):
        logged = mlflow.pyfunc.log_model(name="model", python_model=str(code), pip_requirements=[])
    return run_id, str(registry.register_challenger(MODEL, logged.model_id, {}).version)


def slow_down() -> None:
    """Let time pass between the look at the alias and its move: both processes have looked."""
    set_alias = MlflowClient.set_registered_model_alias

    def set_late(client: MlflowClient, *arguments: Any) -> None:
        time.sleep(SLOWNESS_S)
        set_alias(client, *arguments)

    MlflowClient.set_registered_model_alias = set_late  # type: ignore[method-assign]


def promote(
    server: str, folder: str, run_id: str, version: str, before: str | None, barrier: Any
) -> str:
    """Promote a version as a run of `retraining` does, at the same moment as another process."""
    tracking.connect(server)
    release = Release(MODEL, LedgerDataset(filepath=folder), make_policy(), DecisionRun(run_id))
    if barrier:
        barrier.wait(PATIENCE_S)
    try:
        return release.promote(version, make_decision(before))
    except ChampionMovedError as error:
        return f"lost: {error}"


def test_of_two_promotions_at_once_exactly_one_wins_and_the_other_says_so(
    server: str, tmp_path: Path
) -> None:
    code, folder = tmp_path / "answer.py", str(tmp_path / "ledger")
    code.write_text(ANSWER)
    tracking.connect(server)
    mlflow.create_experiment(EXPERIMENT)
    before: str | None = None
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(2, slow_down) as pool:
        for number in range(ROUNDS):
            pair = [register(code, f"{number}-{side}") for side in ("left", "right")]
            barrier = manager.Barrier(2)
            jobs = [(server, folder, *each, before, barrier) for each in pair]
            try:
                outcomes = pool.starmap_async(promote, jobs, chunksize=1).get(3 * PATIENCE_S)
            except BrokenBarrierError:
                pytest.fail("the two processes did not meet")

            versions = [version for _, version in pair]
            won = [text.startswith("promoted v") for text in outcomes]
            assert sorted(won) == [False, True]
            winner, loser = versions[won.index(True)], versions[won.index(False)]
            assert registry.find_champion(MODEL) == winner
            lost = outcomes[won.index(False)]
            assert f"found version {winner}. Nothing was moved." in lost

            entries = ledger.sort_entries(LedgerDataset(filepath=folder).load().values())
            latest = {entry["version"]: entry for entry in entries[-2:]}
            assert latest[winner]["event"] == verdict.PROMOTED
            assert latest[winner]["champion_before"] == before
            assert latest[loser]["event"] == verdict.LOST_RACE
            assert latest[loser]["champion_after"] == winner
            tags = registry.get_version(MODEL, loser).tags
            assert tags["decision"] == verdict.LOST_RACE
            # The task of the one that lost is tried again.
            again = pool.apply(promote, (*jobs[won.index(False)][:5], None))
            assert again.startswith("lost: ")
            assert registry.find_champion(MODEL) == winner
            assert len(LedgerDataset(filepath=folder).load()) == len(entries) == 2 * (number + 1)
            before = winner
