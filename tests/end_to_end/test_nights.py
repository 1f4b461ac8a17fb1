"""The whole loop with real services, as `make up` starts them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from arrivals import deliver_cells
from laboratories import BLOOD, LEAVES
from nights import BAD, DAG_ID, PROJECT, Nights
from sessions import kedro_run, read_results
from storage_root import put_in_force, use_store

from image_classification.local.services import HOST, ServiceError, Stack
from image_classification.machine.stack import read_state
from image_classification.orchestration.run_name import name_run

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

MODEL = "test-classifier"


def ask_mlflow(nights: Nights, path: str, **body: Any) -> dict[str, Any]:
    answer = nights.ask_mlflow(f"api/2.0/mlflow/{path}", body or None)
    answer.raise_for_status()
    content: dict[str, Any] = answer.json()
    return content


def mlflow_runs(nights: Nights) -> list[dict[str, Any]]:
    runs = ask_mlflow(nights, "runs/search", experiment_ids=["1"], max_results=100)["runs"]
    nightly = [run for run in runs if tags_of(run)["airflow.run"].startswith("retraining/manual")]
    return sorted(nightly, key=lambda run: int(run["info"]["start_time"]))


def tags_of(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["data"]["tags"]}


def test_every_component_runs_and_is_healthy(nights: Nights) -> None:
    components = {"mlflow", "api-server", "scheduler", "dag-processor", "triggerer", "watcher"}
    assert set(nights.stack.running()) == components
    health = requests.get(f"{nights.stack.airflow_url}/api/v2/monitor/health", timeout=30).json()
    assert {part["status"] for part in health.values()} == {"healthy"}


def test_every_service_listens_on_localhost_alone(nights: Nights) -> None:
    started = [psutil.Process(process_id) for process_id, _ in nights.stack.processes.values()]
    family = [each for process in started for each in (process, *process.children(recursive=True))]
    sockets = [socket for process in family for socket in process.net_connections("tcp")]
    listening = {socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN}
    assert listening == {HOST}


def test_airflow_parses_every_dag_without_an_error(nights: Nights) -> None:
    errors = nights.ask("/importErrors")["import_errors"]
    assert errors == []
    dags = {dag["dag_id"] for dag in nights.ask("/dags")["dags"]}
    assert dags == {
        *("__default__", "data_processing", "training", "inference", "promotion", "retraining"),
        *("monitoring", "hindsight", "review", "rollback", "retention"),
        *(project.dag_id for project in (BLOOD, LEAVES)),
    }


def test_the_first_night_makes_the_first_champion(nights: Nights) -> None:
    assert nights.runs[0]["state"] == "success"
    skipped = {name for name, state in nights.tasks[0].items() if state == "skipped"}
    assert skipped == {*("ask_approver", "keep_champion", "refuse_challenger", "request_reviews")}
    others = {state for name, state in nights.tasks[0].items() if name not in skipped}
    assert others == {"success"}
    assert nights.runs[0]["note"].startswith("promoted v1: first champion")


def test_the_first_night_comes_to_what_one_process_comes_to(
    nights: Nights, tmp_path: Path, empty_store: Path, cells: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in_force(monkeypatch, tmp_path)
    use_store(tmp_path, empty_store)
    deliver_cells(cells, tmp_path)
    kedro_run(DAG_ID, training={"epochs": 2})
    ours = nights.stack.storage / "runs" / name_run(DAG_ID, nights.runs[0]["dag_run_id"])
    # Keras numbers the layers of a process, and writes their names into the file.
    there, here = (read_results(folder) for folder in (ours, tmp_path / "runs" / "local"))
    assert there == here | {"network": there["network"]}


def test_a_night_without_new_images_skips_training_and_says_so(nights: Nights) -> None:
    assert nights.runs[1]["state"] == "success"
    assert nights.tasks[1]["train_network"] == "skipped"
    assert nights.tasks[1]["close_run"] == "success"
    assert "skipped: No new images: version 1" in nights.runs[1]["note"]


def test_a_night_without_new_images_measures_the_champion_all_the_same(nights: Nights) -> None:
    watching = ("score_newest_days", "watch_champion", "plot_trend")
    assert {nights.tasks[1][name] for name in watching} == {"success"}
    assert "champion v1 " in nights.runs[1]["note"]
    run = mlflow_runs(nights)[1]
    assert tags_of(run)["champion_watch"] in nights.runs[1]["note"]
    assert "champion.newest_accuracy" in {metric["key"] for metric in run["data"]["metrics"]}


def test_fresh_images_bring_a_challenger_that_takes_over(nights: Nights) -> None:
    assert nights.runs[2]["state"] == "success"
    assert nights.runs[2]["note"].startswith("promoted v2")
    model = ask_mlflow(nights, f"registered-models/get?name={MODEL}")["registered_model"]
    aliases = {entry["alias"]: entry["version"] for entry in model["aliases"]}
    assert aliases == {"champion": "2", "challenger": "2"}


def test_bad_batches_are_asked_about_and_the_good_ones_beside_them_are_trained_on(
    nights: Nights,
) -> None:
    version = ask_mlflow(nights, f"model-versions/get?name={MODEL}&version=2")["model_version"]
    artifacts = f"mlflow/artifacts/**/{version['run_id']}/artifacts"
    (summary,) = nights.stack.storage.glob(f"{artifacts}/data/data_summary.json")
    batches = json.loads(summary.read_text())["batches"]
    assert {"a-fresh", "m-fresh", "z-fresh"} <= set(batches)
    assert BAD.keys().isdisjoint(batches)
    held = f"Held for a review: {', '.join(BAD)}. Answer at "
    assert held in nights.runs[2]["note"]
    assert f"- Batch '{next(iter(BAD))}' is quarantined: " in nights.runs[2]["note"]
    for name, reason in BAD.items():
        assert wait_for_question(nights, name)["state"] == "running"
        summary = nights.stack.storage / "index" / "screenings" / f"{name}.json"
        assert reason in json.loads(summary.read_text())["reasons"][0]


def wait_for_question(nights: Nights, batch: str) -> dict[str, Any]:
    """Return the run that asks about a batch, once its note says so."""
    question = f"Batch '{batch}' is held and waits for an answer: http://"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        run = nights.client.get_run("review", f"review__{batch}")
        if (run["note"] or "").startswith(question):
            break
        time.sleep(1)
    assert run["note"].startswith(question)
    return dict(run)


def test_each_dag_run_is_one_mlflow_run_and_each_links_the_other(nights: Nights) -> None:
    runs = mlflow_runs(nights)
    assert len(runs) == len(nights.runs)
    for dag_run, run in zip(nights.runs, runs, strict=True):
        assert run["info"]["status"] == "FINISHED"
        assert run["info"]["run_id"] in dag_run["note"]
        url = tags_of(run)["airflow.url"]
        assert url.startswith(f"{nights.stack.airflow_url}/dags/retraining/runs/")
        assert requests.get(url, timeout=30).ok


def test_each_training_logs_one_model_and_registers_one_version(nights: Nights) -> None:
    found = ask_mlflow(nights, "logged-models/search", experiment_ids=["1"])["models"]
    trained = [
        run
        for run, tasks in zip(mlflow_runs(nights), nights.tasks, strict=True)
        if tasks["train_network"] == "success"
    ]
    sources = [model["info"]["source_run_id"] for model in found]
    assert sorted(sources) == sorted(run["info"]["run_id"] for run in trained)
    versions = ask_mlflow(nights, "model-versions/search")["model_versions"]
    ours = [version["version"] for version in versions if version["name"] == MODEL]
    assert sorted(ours) == ["1", "2"]


def test_a_batch_that_looks_wrong_is_held_and_the_rest_of_the_night_goes_on(
    nights: Nights,
) -> None:
    assert nights.runs[3]["state"] == "success"
    assert "skipped: No new images: version 2" in nights.runs[3]["note"]
    assert "Held for a review: b-typo, blank, c-pipe, " in nights.runs[3]["note"]
    assert wait_for_question(nights, "blank")["state"] == "running"


def test_values_of_the_trigger_form_reach_kedro(nights: Nights) -> None:
    parameters = {
        entry["key"]: entry["value"] for entry in mlflow_runs(nights)[0]["data"]["params"]
    }
    assert parameters["training.epochs"] == "2"


def test_a_task_log_reaches_the_airflow_page_and_shows_progress(nights: Nights) -> None:
    run_id = nights.runs[0]["dag_run_id"]
    path = f"/dags/retraining/dagRuns/{run_id}/taskInstances/train_network/logs/1"
    text = str(nights.ask(path)["content"])
    assert "Epoch 2/2: accuracy" in text
    assert "MLflow run: http://" in text


def test_a_second_start_of_the_same_stack_is_refused(nights: Nights) -> None:
    with pytest.raises(ServiceError, match=r"runs already: .*make down STACK=end-to-end"):
        Stack("end-to-end", PROJECT).start()


def test_a_run_stops_at_once_when_the_mlflow_server_is_not_there(nights: Nights) -> None:
    environment = nights.stack.environment() | {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "kedro", "run", "--pipelines", "data_processing"]
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    assert "http://127.0.0.1:9" in done.stdout + done.stderr
    assert "does not answer" in " ".join((done.stdout + done.stderr).split())


def test_what_has_died_is_started_again_and_written_down(nights: Nights) -> None:
    psutil.Process(nights.stack.processes["triggerer"][0]).kill()
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        state = read_state(nights.stack.name, PROJECT)
        if state is not None and state.restarts and not state.list_dead():
            break
        time.sleep(1)
    assert state is not None
    assert [name for _, name in state.restarts] == ["triggerer"]
    assert state.list_dead() == []
