"""How often a run asks the MLflow server, beyond artifacts, and that epochs do not matter.

    python benchmarks/mlflow_requests.py

Runs the pipelines `training` and `retraining` in this process, on made cells, with a real MLflow
server, for some numbers of epochs, and counts the requests.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import measuring
import requests

MOST = 30
EPOCHS = (2, 5, 10)
PATIENTS, CELLS = 40, 10
PIPELINES = ("training", "retraining")
UNCOUNTED = ("/artifacts/list", "/server-info")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    measuring.add_options(parser, rounds=1)
    options = parser.parse_args()
    counts: dict[str, list[dict[str, int]]] = {}
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as uri:
        os.environ["IMAGE_CLASSIFICATION_STORAGE"] = str(Path(folder, "storage"))
        os.environ["MLFLOW_TRACKING_URI"] = uri
        deliver(Path(folder))
        # Once in a process and once for a model, MLflow asks a little more.
        run("retraining", {"training": {"epochs": 1}})
        for pipeline in PIPELINES:
            counts[pipeline] = []
            for epochs in EPOCHS:
                with count_requests() as asked:
                    run(pipeline, {"training": {"epochs": epochs}})
                counts[pipeline].append({"epochs": epochs, "requests": sum(asked.values())})
                print(f"{pipeline}, {epochs} epochs: {sum(asked.values())} requests", flush=True)
                for path, number in asked.most_common():
                    print(f"  {number:3} {path}")
    line = measuring.compare(
        f"requests to MLflow of the pipeline training, {EPOCHS[-1]} epochs",
        f"{MOST} beyond artifacts",
        ([counts["training"][-1]["requests"]], [MOST]),
        unit="requests",
        goal=1,
        better="at most",
    )
    if any(len({row["requests"] for row in rows}) > 1 for rows in counts.values()):
        raise SystemExit(f"The number of epochs matters: {counts}")
    measuring.keep("mlflow_requests", [line], {"requests": counts}, options.to, epochs=EPOCHS)


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve MLflow on a free port."""
    from image_classification.local.services import find_port  # noqa: PLC0415

    port = str(find_port(5900))
    stores = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    artifacts = ["--artifacts-destination", str(folder / "artifacts")]
    command = [sys.executable, "-m", "mlflow", "server", *stores, *artifacts, "--port", port]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([*command, "--workers", "1"], **quiet)  # type: ignore[call-overload]
    uri = f"http://127.0.0.1:{port}"
    try:
        while not answers(uri):
            if process.poll() is not None:
                raise SystemExit("MLflow's server has ended.")
            time.sleep(0.2)
        yield uri
    finally:
        process.terminate()
        process.wait(60)


def answers(uri: str) -> bool:
    try:
        return requests.get(f"{uri}/health", timeout=1).ok
    except requests.RequestException:
        return False


def deliver(folder: Path) -> None:
    """Let made cells arrive as a batch."""
    from image_classification.local.synthetic import make_cells  # noqa: PLC0415

    batch = folder / "storage" / "incoming" / "first"
    make_cells(batch, range(1, PATIENTS + 1), CELLS)
    (batch / "_READY").touch()


def run(pipeline: str, params: dict[str, Any]) -> None:
    """Do what `kedro run --pipelines` does."""
    from kedro.framework.session import KedroSession  # noqa: PLC0415
    from kedro.framework.startup import bootstrap_project  # noqa: PLC0415

    bootstrap_project(measuring.PROJECT)
    with KedroSession.create(project_path=measuring.PROJECT, runtime_params=params) as session:
        session.run(pipeline_names=[pipeline])


@contextmanager
def count_requests() -> Iterator[Counter[str]]:
    """Count what this process asks over HTTP, without the artifacts.

    What the server can do is left out: MLflow asks again whenever it has known for some minutes.
    """
    asked: Counter[str] = Counter()
    send = requests.Session.send

    def count(self: requests.Session, request: Any, **options: Any) -> Any:
        path = request.path_url.partition("?")[0]
        if "mlflow-artifacts" not in path and not path.endswith(UNCOUNTED):
            asked[f"{request.method} {path}"] += 1
        return send(self, request, **options)

    with mock.patch.object(requests.Session, "send", count):
        yield asked


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    main()
