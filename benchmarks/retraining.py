"""A night under Airflow against the same night in one process: what the orchestration costs.

    python benchmarks/retraining.py --data cell_images.zip
    python benchmarks/retraining.py --quick        # synthetic cells

The same batch is delivered into two empty storages. In one, the DAG `retraining` runs in a real
Airflow with a real MLflow server, from its trigger to its end; in the other, one fresh process runs
`kedro run --pipelines retraining`. Both must come to the same: index, split, network, predictions
and decision.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from measuring import PROJECT, add_options, alternate, compare, keep

from image_classification.datasets import delivery
from image_classification.local.airflow_api import AirflowClient
from image_classification.local.services import Stack, find_port
from image_classification.local.synthetic import make_cells

DAG_ID = "retraining"
PATIENTS, QUICK_PATIENTS, CELLS = 100, 40, 20
GOAL = 1.10


class Night:
    """Images, and the two ways to train on them."""

    def __init__(self, images: Path, parameters: Mapping[str, Any]) -> None:
        self.images = images
        self.parameters = dict(parameters)
        self.results: dict[str, dict[str, Any]] = {}
        self.tasks: list[dict[str, Any]] = []

    def run_airflow(self) -> float:
        """Let the DAG run on an empty storage; return the seconds from its trigger to its end."""
        stack = Stack("retraining-benchmark", PROJECT)
        shutil.rmtree(stack.folder, ignore_errors=True)
        self._deliver(stack.storage)
        stack.start(find_port(5700), find_port(8700))
        try:
            client = AirflowClient(stack.airflow_url, "admin", stack.password)
            client.wait_for_dag(DAG_ID)
            client.unpause(DAG_ID)
            run_id = client.trigger(DAG_ID, self.parameters)
            state = client.follow(DAG_ID, run_id, lambda _: None)
            if state != "success":
                raise SystemExit(f"{DAG_ID}, {run_id}: {state}. See {stack.folder}")
            run = client.get_run(DAG_ID, run_id)
            self.tasks = client.list_tasks(DAG_ID, run_id)
        finally:
            stack.stop()
        (folder,) = (stack.storage / "runs" / DAG_ID).iterdir()
        self._check(folder, "Airflow")
        shutil.rmtree(stack.folder)
        began, ended = (datetime.fromisoformat(run[key]) for key in ("queued_at", "end_date"))
        return (ended - began).total_seconds()

    def run_kedro(self) -> float:
        """Run the pipeline in one process on an empty storage; return its seconds."""
        with tempfile.TemporaryDirectory() as folder:
            storage = Path(folder) / "storage"
            self._deliver(storage)
            changes = [f"training.{name}={value}" for name, value in self.parameters.items()]
            command = [sys.executable, "-m", "kedro", "run", "--pipelines", DAG_ID]
            environment = os.environ | {"IMAGE_CLASSIFICATION_STORAGE": str(storage)}
            environment.pop("MLFLOW_TRACKING_URI", None)
            began = time.perf_counter()
            subprocess.run(
                [*command, *(["--params", ",".join(changes)] if changes else [])],
                cwd=PROJECT,
                env=environment,
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            seconds = time.perf_counter() - began
            self._check(storage / "runs" / "local", "kedro run")
        return seconds

    def _deliver(self, storage: Path) -> None:
        incoming = storage / "incoming"
        incoming.mkdir(parents=True)
        delivery.deliver(
            delivery.Source(self.images), str(incoming), "night", labelled_by="benchmark"
        )

    def _check(self, folder: Path, side: str) -> None:
        self.results[side] = read_results(folder)
        first = next(iter(self.results.values()))
        if different := [key for key in first if first[key] != self.results[side][key]]:
            raise SystemExit(f"{side} came to another result: {', '.join(different)} differ.")


def read_results(folder: Path) -> dict[str, Any]:
    """Return what a run came to, without times and ids.

    Args:
        folder: of the run, below `runs/`.
    """
    decision = json.loads((folder / "decision.json").read_text())
    splits = pd.read_parquet(folder / "image_splits.parquet")
    splits = splits.sort_values("image_id")[["image_id", "label", "split"]]
    with zipfile.ZipFile(folder / "network.keras") as network:
        weights = hashlib.sha256(network.read("model.weights.h5")).hexdigest()
    return {
        "index": json.loads((folder / "data_summary.json").read_text())["data_digest"],
        "split": hashlib.sha256(splits.to_csv(index=False).encode()).hexdigest(),
        "network": weights,
        "validation predictions": (folder / "validation_predictions.csv").read_text(),
        "decision": (decision["verdict"], decision["reason"], decision["challenger"]["metrics"]),
    }


def summarise_tasks(tasks: list[dict[str, Any]]) -> dict[str, float]:
    """Return the seconds of each task that ran, the longest first."""
    ran = [(task["task_id"], task["duration"]) for task in tasks if task["duration"]]
    return dict(sorted(ran, key=lambda item: -item[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser, rounds=1)
    parser.add_argument("--data", type=Path, help="a folder or zip of images; synthetic without it")
    parser.add_argument("--epochs", type=int, help="instead of those of the parameters")
    arguments = parser.parse_args()
    parameters = {"epochs": arguments.epochs} if arguments.epochs else {}
    with tempfile.TemporaryDirectory() as folder:
        images = arguments.data
        if images is None:
            images = Path(folder) / "cells"
            patients = QUICK_PATIENTS if arguments.quick else PATIENTS
            make_cells(images, range(1, 1 + patients), CELLS)
        night = Night(images, parameters)
        measured = alternate(night.run_airflow, night.run_kedro, arguments.rounds)
    line = compare(
        "a night under Airflow, from trigger to end",
        "`kedro run --pipelines retraining` in one process",
        measured,
        unit="s",
        goal=GOAL,
        better="at most",
    )
    tasks = summarise_tasks(night.tasks)
    print("\n".join(f"{name:<28} {seconds:7.1f} s" for name, seconds in tasks.items()))
    first = night.results["Airflow"]
    print(f"Both came to the same: index {first['index'][:12]}, network {first['network'][:12]},")
    print(f"  {first['decision'][1]}")
    data = arguments.data.name if arguments.data else "synthetic"
    keep("retraining", [line], {"task_seconds": tasks}, arguments.to, data=data, **parameters)


if __name__ == "__main__":
    main()
