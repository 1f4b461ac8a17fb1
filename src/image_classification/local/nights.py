"""Nights of retraining in a real Airflow, with a real MLflow: the demonstration and the replay."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pandas as pd

from image_classification import figures, tracking, words
from image_classification.champion import registry
from image_classification.champion.lineage import read_facts
from image_classification.champion.record import read_entry
from image_classification.commands.project import look_at, render_project
from image_classification.configuration import names
from image_classification.configuration.plain import PlainConfiguration
from image_classification.configuration.project import PROJECT_VARIABLE
from image_classification.configuration.scope import read_data_scope, read_scope
from image_classification.datasets import delivery
from image_classification.gate.measure import MEASURES
from image_classification.local.accounts import make_private_folder
from image_classification.local.airflow_api import AirflowClient
from image_classification.local.ports import ServiceError
from image_classification.local.services import Stack
from image_classification.local.synthetic import make_cells

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

PIPELINE = "retraining"
FIRST_PATIENTS, FURTHER_PATIENTS, CELLS = 80, 40, 20
SHOWN = tuple(measure.name for measure in MEASURES if measure.shown_first)
"""Measures that are printed and kept in the history."""

SKIPPED = "skipped: "
"""How the note of a night begins that had too few images, or too few new ones."""

WAITING, STOPPED = "waiting for more", "nothing trained"
"""What the history says of a night without a decision."""


@dataclass(frozen=True)
class Night:
    """Images that arrive together; `deliver` puts them into an incoming folder as one batch."""

    title: str
    deliver: Callable[[str], str]


def plan_nights(data: Path | None, nights: int) -> list[Night]:
    """Plan what arrives each night.

    Args:
        data: a folder with one sub-folder per class, or a zip of one, released by the dates in
            the names; None for synthetic cells.
        nights: how many.

    Raises:
        DataError: there is no such folder or zip, or it holds no class folders.
    """
    if data is None:
        return [_plan_synthetic(night) for night in range(nights)]
    source = delivery.Source(data)
    return [
        Night(
            f"{len(files)} images of {data.name}, {_name_days(files)}",
            lambda incoming, name=f"night-{number}", files=files: delivery.deliver(  # type: ignore[misc]
                source, incoming, name, files=files
            ),
        )
        for number, files in enumerate(delivery.split_by_date(source.files, nights), 1)
    ]


def run_nights(
    project_path: Path, stack_name: str, data: Path | None, nights: int, model_name: str | None
) -> pd.DataFrame:
    """Let images arrive and retrain, night after night; print what came of it.

    Args:
        project_path: the folder that holds `conf/` and `dags/`.
        stack_name: `demo` or `replay`; what it left is removed first.
        data: images, a folder or the published zip; None for synthetic cells.
        nights: how many.
        model_name: the registered model; None for the one of the project.

    Returns:
        The history, a row per night, as it is written beside the stack's data.

    Raises:
        DataError: `data` holds no images of two classes.
        ServiceError: a service did not start, or a run failed.
    """
    began = time.monotonic()
    plan = plan_nights(data, nights)
    stack = Stack(stack_name, project_path)
    with stack.claim():
        if stack.folder.exists():
            _say("Removing the data of the last time")
            shutil.rmtree(stack.folder)
        if data is not None:
            _propose_project(data, stack)
        configured = PlainConfiguration()["parameters"]  # puts the words of the project in force
        model_name = model_name or str(configured["registered_model_name"])
        _say("Starting MLflow and Airflow")
        stack.start()
    try:
        print(f"  MLflow   {stack.mlflow_url}\n  Airflow  {stack.airflow_url}")
        client = AirflowClient(stack.airflow_url, "admin", stack.password)
        client.wait_for_dag(_name_dag())
        client.unpause(_name_dag())
        os.environ.update(stack.accounts.log_tasks_in())
        tracking.connect(stack.mlflow_url)
        history = pd.DataFrame(
            [
                _run_night(client, stack, number, night, model_name)
                for number, night in enumerate(plan, 1)
            ]
        )
        _print_registry(model_name)
    finally:
        _say("Stopping MLflow and Airflow")
        stack.stop()
    _keep_history(history, stack)
    _print_places(stack, time.monotonic() - began)
    return history


def _name_dag() -> str:
    """Return the id of the nightly DAG in `dags/`."""
    return read_scope(PlainConfiguration().project, None).name(PIPELINE)


def _locate_incoming(stack: Stack) -> str:
    """Return where the project looks for batches, among the data of a stack."""
    scope = read_data_scope(PlainConfiguration().project, os.environ.get("KEDRO_ENV"))
    return scope.locate(str(stack.storage / "incoming"))


def _propose_project(data: Path, stack: Stack) -> None:
    """Write a project file for the stack, and put it in force, if the data has other classes."""
    classes = PlainConfiguration()["parameters"]["data_processing"]["classes"]
    guesses = look_at(delivery.Source(data))
    found = next(guess.value for guess in guesses if guess.key == "classes")
    if os.environ.get(PROJECT_VARIABLE) or classes is None or set(found) <= set(classes):
        return
    _say(f"{data.name} is not about {', '.join(classes)}: a project file is proposed for it")
    make_private_folder(stack.folder)
    stack.project_file.write_text(render_project(guesses, data), encoding="utf-8")
    os.environ[PROJECT_VARIABLE] = str(stack.project_file)
    for guess in guesses:
        print(f"  {guess.key}: {guess.value}")
    print(f"  {os.path.relpath(stack.project_file)} tells why, and is read by this stack alone")


def _plan_synthetic(night: int) -> Night:
    first = 1 if night == 0 else 1 + FIRST_PATIENTS + (night - 1) * FURTHER_PATIENTS
    count = FIRST_PATIENTS if night == 0 else FURTHER_PATIENTS
    patients = range(first, first + count)

    def deliver(incoming: str) -> str:
        with tempfile.TemporaryDirectory() as folder:
            make_cells(Path(folder), patients, CELLS, captured_on=f"201506{night + 1:02d}")
            source = delivery.Source(Path(folder))
            return delivery.deliver(
                source, incoming, f"night-{night + 1}", labelled_by="synthetic.make_cells"
            )

    return Night(
        f"synthetic images of {words.current().count_groups(count)}{', others' * (night > 0)}",
        deliver,
    )


def _name_days(files: Sequence[Any]) -> str:
    days = [delivery.read_date(file) for file in (files[0], files[-1])]
    return f"captured {days[0]} to {days[1]}" if all(days) else "drawn from all"


def _run_night(
    client: AirflowClient, stack: Stack, number: int, night: Night, model_name: str
) -> dict[str, Any]:
    _say(f"Night {number}: delivering {night.title}")
    batch = night.deliver(_locate_incoming(stack))
    print(f"  incoming/{batch}")
    dag_id = _name_dag()
    _say(f"Night {number}: triggering the DAG '{dag_id}'")
    run_id = client.trigger(dag_id)
    url = f"{client.url}/dags/{dag_id}/runs/{quote(run_id)}"
    print(f"  {url}\n")
    state = client.follow(dag_id, run_id, _print_task)
    run = client.get_run(dag_id, run_id)
    note = run.get("note") or ""
    print(f"\n  The run ended: {state}, after {_seconds(run):.0f} s")
    tasks = {task["task_id"]: task["state"] for task in client.list_tasks(dag_id, run_id)}
    # Where the training set breaks the contract, the night worked as it should. Any other failure
    # is an error.
    if state != "success" and tasks.get(names.CHECK_CONTRACT) != "failed":
        raise ServiceError(
            f"DAG run {run_id} failed: {note} See {stack.folder / 'airflow' / 'logs'}"
        )
    newest = registry.find_latest_version(model_name)
    made_by = newest.run_id if newest else None
    if made_by is None or tracking.read_tag(made_by, tracking.AIRFLOW_URL_TAG) != url:
        newest, made_by = None, None
    entry = (read_entry(made_by) if made_by else None) or {}
    if newest and entry.get("decision"):
        _print_comparison(entry["decision"], newest.version)
    print("\n  " + "\n  ".join(line for line in note.splitlines() if line))
    return _summarise(number, batch, note, newest, entry)


def _summarise(
    number: int, batch: str, note: str, newest: ModelVersion | None, entry: dict[str, Any]
) -> dict[str, Any]:
    """Return a row of the history; its measures are empty where nothing was trained."""
    outcome = note.splitlines()[0] if note else ""
    facts = read_facts(newest) if newest else {}
    decision = entry.get("decision") or {}
    measured = {
        f"{role}_{name}": ((decision.get(role) or {}).get("metrics") or {}).get(name)
        for role in ("challenger", "champion")
        for name in SHOWN
    }
    waits = WAITING if outcome.startswith(SKIPPED) else STOPPED
    return {
        "night": number,
        "batch": batch,
        "images": int(facts["images"]) if newest else None,
        "patients": int(facts["patients"]) if newest else None,
        "version": str(newest.version) if newest else None,
        **measured,
        "decision": entry.get("event", waits),
        "outcome": outcome,
    }


def _keep_history(history: pd.DataFrame, stack: Stack) -> None:
    _say("History")
    shown = ["night", "images", "patients", "version", "challenger_accuracy", "champion_accuracy"]
    table = history[[*shown, "decision"]].map(_show_value)
    print(table.rename(columns=words.current().tell_key).to_string(index=False))
    history.to_csv(stack.folder / "history.csv", index=False)
    figures.plot_history(history).savefig(stack.folder / "history.png", dpi=120)


def _show_value(value: Any) -> str:
    """Return a value of the history; a count is a float where a night has none."""
    if pd.isna(value):
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else f"{value:.4f}"
    return str(value)


def _print_task(task: dict[str, Any]) -> None:
    length = "" if task["duration"] is None else f"{task['duration']:8.1f} s"
    print(f"  {task['task_id']:<24} {task['state']:<16} {length}", flush=True)


def _print_comparison(decision: dict[str, Any], version: str) -> None:
    title = f"On the validation {words.current().groups}"
    print(f"\n  {title:<28}  {'  '.join(f'{name:>11}' for name in SHOWN)}")
    _print_row(f"challenger, version {version}", decision["challenger"]["metrics"])
    if champion := decision["champion"]:
        _print_row(f"champion, version {champion['version']}", champion["metrics"])


def _print_row(title: str, metrics: dict[str, float]) -> None:
    print(f"  {title:<28}  {'  '.join(f'{metrics[name]:>11.4f}' for name in SHOWN)}")


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
        ("the history as a picture and as a table", root / "history.png, history.csv"),
        ("plots, predictions and decision of each run", root / "storage" / "runs"),
        ("index, screenings and quarantine", root / "storage" / "index"),
        ("logs of the tasks", root / "airflow" / "logs"),
        ("logs of the services", root / "logs"),
    ):
        print(f"  {title:<44} {place}")
    print(f"  both pages again, with these runs            make up STACK={stack.name}")


def _seconds(run: dict[str, Any]) -> float:
    start, end = (datetime.fromisoformat(run[key]) for key in ("start_date", "end_date"))
    return (end - start).total_seconds()


def _say(line: str) -> None:
    print(f"\n==> {line}", flush=True)
