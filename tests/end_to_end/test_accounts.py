"""Who may do what in the Airflow and the MLflow of a stack, tried with each account."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from nights import DAG_ID, Nights

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

MODEL = "test-classifier"
STRANGER = "mallory"
PASSWORD = "a-password-of-hers"  # noqa: S105 - of the account that the test makes


def ask_airflow(nights: Nights, user: str, method: str, path: str, body: Any = None) -> int:
    """Return the status of Airflow's answer to a user."""
    url = nights.stack.airflow_url
    password = nights.stack.accounts.read_airflow_password(user)
    login = {"username": user, "password": password}
    token = requests.post(f"{url}/auth/token", json=login, timeout=30)
    token.raise_for_status()
    headers = {"Authorization": f"Bearer {token.json()['access_token']}"}
    return requests.request(
        method, f"{url}/api/v2{path}", json=body, headers=headers, timeout=30
    ).status_code


@pytest.mark.parametrize(
    ("user", "reads", "triggers", "reads_connections", "writes_variables"),
    [
        ("viewer", 200, 403, 403, 403),
        ("user", 200, 422, 403, 403),
        ("tasks", 200, 422, 403, 403),
        ("op", 200, 422, 200, 201),
        ("admin", 200, 422, 200, 201),
    ],
)
def test_airflow_refuses_what_the_role_of_a_user_does_not_hold(
    nights: Nights,
    user: str,
    reads: int,
    triggers: int,
    reads_connections: int,
    writes_variables: int,
) -> None:
    assert ask_airflow(nights, user, "GET", f"/dags/{DAG_ID}/dagRuns") == reads
    # A run with a field out of its range is refused for that by whoever may trigger one.
    run = {"logical_date": None, "conf": {"image_size_px": 1}}
    asked = ask_airflow(nights, user, "POST", f"/dags/{DAG_ID}/dagRuns", run)
    assert asked == triggers or (triggers == 422 and asked == 400)
    assert ask_airflow(nights, user, "GET", "/connections") == reads_connections
    variable = {"key": f"tried-by-{user}", "value": "1"}
    assert ask_airflow(nights, user, "POST", "/variables", variable) == writes_variables


def test_a_viewer_answers_no_question_and_clears_nothing(nights: Nights) -> None:
    path = "/dags/review/dagRuns/review__blank/taskInstances/ask_reviewer/-1/hitlDetails"
    answer = {"chosen_options": ["Accept"], "params_input": {"reason": "mine"}}
    assert ask_airflow(nights, "viewer", "PATCH", path, answer) == 403
    run_id = nights.runs[0]["dag_run_id"]
    clear = {"dry_run": False}
    assert (
        ask_airflow(nights, "viewer", "POST", f"/dags/{DAG_ID}/dagRuns/{run_id}/clear", clear)
        == 403
    )


def test_airflow_and_mlflow_answer_nobody_without_a_login(nights: Nights) -> None:
    assert requests.get(f"{nights.stack.airflow_url}/api/v2/dags", timeout=30).status_code == 401
    for path in ("", "api/2.0/mlflow/experiments/search?max_results=1", "get-artifact?path=a"):
        answer = requests.get(f"{nights.stack.mlflow_url}/{path}", timeout=30)
        assert answer.status_code == 401, path


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("runs/update", {"run_id": "{run}", "status": "FAILED"}),
        ("runs/set-tag", {"run_id": "{run}", "key": "decision", "value": "promoted"}),
        ("runs/delete", {"run_id": "{run}"}),
        ("experiments/delete", {"experiment_id": "1"}),
        (
            "model-versions/create",
            {"name": MODEL, "source": "runs:/{run}/model", "run_id": "{run}"},
        ),
        ("registered-models/alias", {"name": MODEL, "alias": "champion", "version": "1"}),
        ("model-versions/set-tag", {"name": MODEL, "version": "1", "key": "a", "value": "b"}),
        ("users/create", {"username": "another", "password": PASSWORD}),
        ("users/update-admin", {"username": "viewer", "is_admin": True}),
        ("users/update-password", {"username": "tasks", "password": PASSWORD}),
    ],
)
def test_mlflow_lets_a_viewer_and_a_stranger_change_nothing_of_ours(
    nights: Nights, mallory: Mallory, path: str, body: dict[str, Any]
) -> None:
    run = nights.ask_mlflow(f"api/2.0/mlflow/model-versions/get?name={MODEL}&version=1").json()
    run_id = run["model_version"]["run_id"]
    body = {
        key: value.format(run=run_id) if isinstance(value, str) else value
        for key, value in body.items()
    }
    method = "PATCH" if path in ("users/update-admin", "users/update-password") else "POST"
    for login in (("viewer", nights.stack.accounts.read_mlflow_password("viewer")), mallory.login):
        url = f"{nights.stack.mlflow_url}/api/2.0/mlflow/{path}"
        answer = requests.request(method, url, json=body, auth=login, timeout=30)
        assert answer.status_code == 403, answer.text


class Mallory:
    """An account of MLflow, made by its admin, that does what it can."""

    login = (STRANGER, PASSWORD)

    def __init__(self, nights: Nights, outside: Path) -> None:
        self.url = nights.stack.mlflow_url
        self.outside = outside
        made = self.ask("POST", "api/2.0/mlflow/experiments/create", json={"name": "hers"})
        self.experiment = made.json()["experiment_id"]
        run = {"experiment_id": self.experiment, "start_time": 1}
        made = self.ask("POST", "api/2.0/mlflow/runs/create", json=run)
        self.run = made.json()["run"]["info"]["run_id"]
        self.ask("POST", "api/2.0/mlflow/registered-models/create", json={"name": "hers"})

    def ask(self, method: str, path: str, **how: Any) -> requests.Response:
        return requests.request(method, f"{self.url}/{path}", auth=self.login, timeout=30, **how)


@pytest.fixture(scope="module")
def mallory(nights: Nights, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mallory]:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.txt").write_text("the signing key")
    (outside / "traces.json").write_text('{"spans": "the signing key"}')
    user = {"username": STRANGER, "password": PASSWORD}
    nights.ask_mlflow("api/2.0/mlflow/users/create", user, user="admin").raise_for_status()
    yield Mallory(nights, outside)
    login = ("admin", nights.stack.accounts.read_mlflow_password("admin"))
    url = f"{nights.stack.mlflow_url}/api/2.0/mlflow/users/delete"
    requests.delete(url, json={"username": STRANGER}, auth=login, timeout=30)


@pytest.mark.parametrize("api", ["api/2.0", "ajax-api/2.0"])
@pytest.mark.parametrize("key", ["artifact_location", "artifactLocation"])
@pytest.mark.parametrize(
    "place",
    [
        "{0}",
        "file://{0}",
        "file:{0}",
        "file://localhost{0}",
        "mlflow-artifacts:/1",
        "mlflow-artifacts:/../..",
        "s3://bucket/hers",
        "runs:/1/a",
    ],
)
def test_an_experiment_lies_where_the_server_says(
    mallory: Mallory, place: str, key: str, api: str
) -> None:
    body = {"name": f"{place} {key} {api}", key: place.format(mallory.outside)}
    answer = mallory.ask("POST", f"{api}/mlflow/experiments/create", json=body)
    assert answer.status_code == 403
    assert answer.text == "This server chooses where an experiment keeps its artifacts."


@pytest.mark.parametrize(
    "path",
    [
        "{0}/secret.txt",
        "file://{0}/secret.txt",
        "../../../../../../../../../..{0}/secret.txt",
        "..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2f..{0}/secret.txt",
        "%252e%252e/%252e%252e/%252e%252e/secret.txt",
        "./..//../../../../../mlflow.db",
        "..\\..\\..\\mlflow.db",
    ],
)
def test_no_address_of_an_artifact_leads_out_of_the_artifacts(mallory: Mallory, path: str) -> None:
    asked = path.format(mallory.outside)
    for answer in (
        mallory.ask("GET", "get-artifact", params={"run_id": mallory.run, "path": asked}),
        mallory.ask("GET", f"api/2.0/mlflow-artifacts/artifacts/{asked}"),
        mallory.ask("GET", f"api/2.0/mlflow-artifacts/artifacts/{mallory.experiment}/{asked}"),
        mallory.ask("GET", "api/2.0/mlflow-artifacts/artifacts", params={"path": asked}),
        mallory.ask(
            "GET", "api/2.0/mlflow/artifacts/list", params={"run_id": mallory.run, "path": asked}
        ),
    ):
        assert "the signing key" not in answer.text
        assert "secret.txt" not in answer.json().get("files", []) if answer.ok else True


@pytest.mark.parametrize(
    "source",
    [
        "{0}",
        "file://{0}",
        "/etc",
        "file:etc",
        "../..",
        "s3://bucket/hers",
        "dbfs:/etc",
        "http://127.0.0.1/x",
        "mlflow-artifacts:/../..",
        "mlflow-artifacts:/1/models",
        "runs:/{1}/../../..",
        "ftp://127.0.0.1/x",
        "{0}/storage/mlflow/artifacts/",
    ],
)
def test_a_model_version_has_its_files_in_its_own_run(mallory: Mallory, source: str) -> None:
    body = {
        "name": "hers",
        "source": source.format(mallory.outside, mallory.run),
        "run_id": mallory.run,
    }
    answer = mallory.ask("POST", "api/2.0/mlflow/model-versions/create", json=body)
    assert answer.status_code == 400, answer.text


def test_a_trace_that_names_a_folder_of_the_server_is_not_read(mallory: Mallory) -> None:
    code = (
        "import mlflow, sys; mlflow.set_tracking_uri(sys.argv[1]); mlflow.set_experiment('hers')\n"
        "with mlflow.start_span('x') as span: pass\n"
        "mlflow.flush_trace_async_logging(); print(span.trace_id)"
    )
    login = {"MLFLOW_TRACKING_USERNAME": STRANGER, "MLFLOW_TRACKING_PASSWORD": PASSWORD}
    done = subprocess.run(
        [sys.executable, "-c", code, mallory.url],
        env=login | {"MLFLOW_DISABLE_TELEMETRY": "true", "HOME": str(mallory.outside)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    trace = done.stdout.split()[-1]
    tags = f"api/2.0/mlflow/traces/{trace}/tags"
    for place in (str(mallory.outside), f"file://{mallory.outside}", "mlflow-artifacts:/../../.."):
        for key, value in (
            ("mlflow.artifactLocation", place),
            ("mlflow.trace.spansLocation", "ARTIFACT_REPO"),
        ):
            mallory.ask("PATCH", tags, json={"key": key, "value": value})
        for path in (None, "secret.txt", "traces.json"):
            asked = {"request_id": trace, **({"path": path} if path else {})}
            answer = mallory.ask("GET", "ajax-api/2.0/mlflow/get-trace-artifact", params=asked)
            assert "the signing key" not in answer.text


def test_what_the_server_keeps_is_closed_to_other_users_of_the_machine(nights: Nights) -> None:
    stack = nights.stack
    for folder in (stack.folder, stack.storage, stack.logs):
        assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0, folder
    names = ("secrets.json", "passwords.json", "login.sh", "mlflow_auth.ini", "mlflow_accounts.db")
    for name in names:
        assert stat.S_IMODE((stack.folder / name).stat().st_mode) == 0o600, name


def test_no_password_is_in_any_log(nights: Nights) -> None:
    secrets = set(nights.stack.accounts.read().values())
    logs = [*nights.stack.logs.glob("*.log"), *nights.stack.folder.glob("airflow/logs/**/*.log")]
    assert len(logs) > 20
    for log in logs:
        text = log.read_text(errors="replace")
        assert not [secret for secret in secrets if secret in text], log


def test_a_shell_that_reads_the_login_file_can_use_the_commands(nights: Nights) -> None:
    login = nights.stack.accounts.login_file
    program = Path(sys.executable).with_name("image-classification")
    command = f"source {login} && KEDRO_ENV=test {program} ledger"
    done = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=nights.stack.project_path,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
    )
    assert done.returncode == 0, done.stderr
    assert ",promoted,1,,1,the policy," in done.stdout


def test_the_packaged_champion_is_fetched_through_the_server_by_an_account(
    nights: Nights, tmp_path: Path
) -> None:
    code = (
        "import mlflow, sys; mlflow.set_tracking_uri(sys.argv[1])\n"
        f"uri = 'models:/{MODEL}@champion'\n"
        "print(mlflow.artifacts.download_artifacts(uri, dst_path=sys.argv[2]))"
    )
    password = nights.stack.accounts.read_mlflow_password("viewer")
    login = {"MLFLOW_TRACKING_USERNAME": "viewer", "MLFLOW_TRACKING_PASSWORD": password}
    subprocess.run(
        [sys.executable, "-I", "-c", code, nights.stack.mlflow_url, str(tmp_path)],
        env=login | {"MLFLOW_DISABLE_TELEMETRY": "true", "HOME": str(tmp_path)},
        check=True,
        capture_output=True,
        timeout=120,
    )
    assert (tmp_path / "MLmodel").exists()
