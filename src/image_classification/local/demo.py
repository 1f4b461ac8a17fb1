"""The demonstration: two nights of retraining in a real Airflow, with a real MLflow."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from image_classification import registry, tracking
from image_classification.local.airflow_api import AirflowClient
from image_classification.local.delivery import plan_deliveries
from image_classification.local.services import ServiceError, Stack

DAG_ID = "retraining"


def run_demo(project_path: Path, data: Path | None, model_name: str) -> None:
    """Take in images, retrain, take in fresh images, retrain again; print what came of it.

    Args:
        project_path: the folder that holds `conf/` and `dags/`.
        data: images, a folder or the published zip; None for synthetic cells.
        model_name: the registered model.

    Raises:
        DataError: `data` holds no images of two classes.
        ServiceError: a service did not start, or a run failed.
    """
    began = time.monotonic()
    deliveries = plan_deliveries(data)
    stack = Stack("demo", project_path)
    if stack.folder.exists():
        _say("Removing the data of the last demonstration")
        shutil.rmtree(stack.folder)
    images = stack.storage / "raw" / "cell_images"
    _say(f"Delivering {deliveries[0].name}")
    print(f"  {deliveries[0].write(images)} images")
    _say("Starting MLflow and Airflow")
    stack.start()
    try:
        print(f"  MLflow   {stack.mlflow_url}\n  Airflow  {stack.airflow_url}")
        client = AirflowClient(stack.airflow_url, "admin", stack.password)
        client.wait_for_dag(DAG_ID)
        client.unpause(DAG_ID)
        tracking.connect(stack.mlflow_url)
        _run_night(client, stack, "First night", model_name)
        _say(f"Delivering {deliveries[1].name}")
        print(f"  {deliveries[1].write(images)} images")
        _run_night(client, stack, "Second night", model_name)
        _print_registry(model_name)
    finally:
        _say("Stopping MLflow and Airflow")
        stack.stop()
    _print_places(stack, time.monotonic() - began)


def _run_night(client: AirflowClient, stack: Stack, title: str, model_name: str) -> None:
    _say(f"{title}: triggering the DAG '{DAG_ID}'")
    run_id = client.trigger(DAG_ID)
    url = f"{client.url}/dags/{DAG_ID}/runs/{quote(run_id)}"
    print(f"  {url}\n")
    state = client.follow(DAG_ID, run_id, _print_task)
    run = client.get_run(DAG_ID, run_id)
    print(f"\n  The run ended: {state}, after {_seconds(run):.0f} s")
    if state != "success":
        raise ServiceError(f"DAG run {run_id} failed. See {stack.folder / 'airflow' / 'logs'}")
    newest = registry.find_latest_version(model_name)
    if newest is not None and newest.tags.get(tracking.AIRFLOW_URL_TAG) == url:
        _print_comparison(newest.tags, newest.version)
    print(f"\n  {(run.get('note') or '').splitlines()[0]}")


def _print_task(task: dict[str, Any]) -> None:
    length = "" if task["duration"] is None else f"{task['duration']:8.1f} s"
    print(f"  {task['task_id']:<24} {task['state']:<16} {length}", flush=True)


def _print_comparison(tags: dict[str, str], version: str) -> None:
    names = ("accuracy", "auc", "sensitivity", "specificity", "f1")
    champion = tags.get("compared_with_version", "none")
    print(f"\n  On the validation patients    {'  '.join(f'{name:>11}' for name in names)}")
    _print_row(f"challenger, version {version}", [tags[f"validation_{name}"] for name in names])
    if champion != "none":
        _print_row(f"champion, version {champion}", [tags[f"champion_{name}"] for name in names])


def _print_row(title: str, values: Sequence[str]) -> None:
    print(f"  {title:<28}  {'  '.join(f'{value:>11}' for value in values)}")


def _print_registry(model_name: str) -> None:
    _say(f"The registered model '{model_name}'")
    for version in registry.list_versions(model_name):
        aliases = ", ".join(version.aliases) or "-"
        print(f"  version {version.version}  {aliases:<24} {version.tags.get('decision', '')}")
        print(f"             {version.tags.get('decision_reason', '')}")


def _print_places(stack: Stack, seconds: float) -> None:
    root = Path(os.path.relpath(stack.folder))
    _say(f"Done in {seconds / 60:.1f} minutes. Where to look")
    for title, place in (
        ("plots, predictions and decision of each run", root / "storage" / "runs"),
        ("index of images and quarantine (Parquet)", root / "storage" / "index"),
        ("logs of the tasks", root / "airflow" / "logs"),
        ("logs of the services", root / "logs"),
    ):
        print(f"  {title:<44} {place}")
    print(f"  both pages again, with these two runs        make up STACK={stack.name}")


def _seconds(run: dict[str, Any]) -> float:
    start, end = (datetime.fromisoformat(run[key]) for key in ("start_date", "end_date"))
    return (end - start).total_seconds()


def _say(line: str) -> None:
    print(f"\n==> {line}", flush=True)
