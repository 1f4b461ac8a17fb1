"""Two laboratories whose nights run at once in one Airflow and one MLflow, beside ours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests
from laboratories import BLOOD, ENVIRONMENT, LEAVES, Project, deliver
from nights import Nights

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

BOTH = (BLOOD, LEAVES)
PATIENCE_S = 900
PROGRAM = str(Path(sys.executable).with_name("image-classification"))
TEXTS = (".json", ".html", ".csv", ".yml", ".md", ".txt", ".log")


def ask_mlflow(nights: Nights, path: str, **body: Any) -> dict[str, Any]:
    answer = nights.ask_mlflow(f"api/2.0/mlflow/{path}", body or None)
    answer.raise_for_status()
    content: dict[str, Any] = answer.json()
    return content


@pytest.fixture(scope="module")
def runs(nights: Nights) -> dict[Project, dict[str, Any]]:
    """The DAG run of each, triggered at once."""
    ours = sorted((nights.stack.storage / "ledger").iterdir())
    for project in BOTH:
        deliver(project, nights.stack.storage / project.scope / "incoming")
        nights.client.wait_for_dag(project.dag_id)
        nights.client.unpause(project.dag_id)
    triggered = {project: nights.client.trigger(project.dag_id) for project in BOTH}
    for project, run_id in triggered.items():
        nights.client.follow(project.dag_id, run_id, lambda _: None, timeout_s=PATIENCE_S)
    assert sorted((nights.stack.storage / "ledger").iterdir()) == ours
    return {
        project: nights.client.get_run(project.dag_id, run_id)
        for project, run_id in triggered.items()
    }


def test_both_run_at_once_and_each_has_a_champion_of_its_own(
    nights: Nights, runs: dict[Project, dict[str, Any]]
) -> None:
    began, ended = zip(
        *((run["start_date"], run["end_date"]) for run in runs.values()), strict=True
    )
    assert max(began) < min(ended)
    for project, run in runs.items():
        assert run["state"] == "success", run["note"]
        assert run["note"].startswith("promoted v1: first champion")
        assert f"/nights/{project.scope}/" in run["note"]
        found = ask_mlflow(nights, f"registered-models/get?name={project.model}")
        aliases = {each["alias"]: each["version"] for each in found["registered_model"]["aliases"]}
        assert aliases == {"champion": "1", "challenger": "1"}


def test_each_storage_has_its_own_ledger_and_index_and_nothing_of_the_other(
    nights: Nights, runs: dict[Project, dict[str, Any]]
) -> None:
    for project, other in (BOTH, BOTH[::-1]):
        storage = nights.stack.storage / project.scope
        entries = [json.loads(file.read_text()) for file in sorted((storage / "ledger").glob("0*"))]
        assert {entry["model"] for entry in entries} == {project.model}
        assert {
            entry["airflow_run"].partition("/")[0] for entry in entries if "airflow_run" in entry
        } == {project.dag_id}
        index = pd.concat(map(pd.read_parquet, (storage / "index" / "images").glob("*.parquet")))
        assert set(index["label"]) == set(project.classes)
        assert list((storage / "pages").glob("*.html"))
        strangers = [path for path in find_files(storage) if mentions(path, other)]
        assert strangers == []


def find_files(storage: Path) -> list[Path]:
    return [path for path in storage.rglob("*") if path.is_file()]


def mentions(path: Path, project: Project) -> bool:
    """Tell whether a file, or its name, tells of a project."""
    names = (project.scope, project.model_name)
    text = path.read_text(errors="replace") if path.suffix in TEXTS else ""
    return any(name in f"{path.parts[-4:]} {text}" for name in names)


def test_each_experiment_has_its_own_run_and_ours_none_of_theirs(
    nights: Nights, runs: dict[Project, dict[str, Any]]
) -> None:
    def read_dags(experiment: str) -> set[str]:
        found = ask_mlflow(nights, f"experiments/get-by-name?experiment_name={experiment}")
        ids = [found["experiment"]["experiment_id"]]
        ran = ask_mlflow(nights, "runs/search", experiment_ids=ids, max_results=100)["runs"]
        tags = [{tag["key"]: tag["value"] for tag in run["data"]["tags"]} for run in ran]
        return {each["airflow.run"].partition("/")[0] for each in tags}

    for project in BOTH:
        assert read_dags(f"{project.scope}-image_classification") == {project.dag_id}
    assert not read_dags("image_classification") & {project.dag_id for project in BOTH}


def test_the_page_of_each_night_is_shown_below_its_own_name(
    nights: Nights, runs: dict[Project, dict[str, Any]]
) -> None:
    url = nights.stack.airflow_url
    login = {"username": "admin", "password": nights.stack.password}
    token = requests.post(f"{url}/auth/token", json=login, timeout=30).json()["access_token"]
    for project, run in runs.items():
        address = f"{url}/nights/run/{project.dag_id}/{run['dag_run_id']}"
        page = requests.get(address, headers={"Authorization": f"Bearer {token}"}, timeout=30)
        assert page.ok, page.text
        assert f"/nights/{project.scope}/" in page.url
        assert project.model in page.text or project.name.title() in page.text


def test_a_version_goes_to_production_by_one_command(
    nights: Nights, runs: dict[Project, dict[str, Any]]
) -> None:
    login = nights.stack.accounts.log_tasks_in()
    environment = nights.stack.environment() | login
    environment.pop("KEDRO_ENV", None)
    done = subprocess.run(
        [PROGRAM, "copy-version", "1", "--from", ENVIRONMENT, "--to", "production"],
        cwd=nights.stack.folder / "laboratories" / BLOOD.name,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"v1 of {ENVIRONMENT}, champion of {ENVIRONMENT} since" in done.stdout
    name = f"{BLOOD.name}-production-{BLOOD.model_name}"
    found = ask_mlflow(nights, f"registered-models/get?name={name}")["registered_model"]
    assert {each["alias"]: each["version"] for each in found["aliases"]} == {"champion": "1"}
    storage = nights.stack.storage / f"{BLOOD.name}-production"
    steps = [json.loads(file.read_text()) for file in sorted((storage / "ledger").glob("0*"))]
    assert [entry["step"] for entry in steps] == ["intended", "done"]
    assert steps[0]["event"] == "brought in"
    given = sorted((nights.stack.storage / BLOOD.scope / "ledger").glob("0*"))
    assert json.loads(given[-1].read_text())["event"] == "handed on"
