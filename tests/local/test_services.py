from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from image_classification.configuration.project import PROJECT_VARIABLE
from image_classification.local import health
from image_classification.local.__main__ import main
from image_classification.local.ports import check_port, find_port
from image_classification.local.services import HOST, ServiceError, Stack, read_stack


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    process = subprocess.Popen(command, start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_finds_the_next_port_when_the_first_is_taken() -> None:
    with taken_port() as port:
        assert find_port(port) > port


def test_says_which_port_is_taken_and_how_to_choose_another() -> None:
    with (
        taken_port() as port,
        pytest.raises(ServiceError, match=rf"Port {port} for MLflow is taken.*MLFLOW_PORT="),
    ):
        check_port("MLflow", port)


def test_up_ends_with_the_error_and_status_1_when_a_port_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with taken_port() as port:
        assert main(["up", "--airflow-port", str(port)]) == 1
    assert f"Port {port} for Airflow is taken" in capsys.readouterr().err
    assert read_stack("main", tmp_path) is None


SERVER = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    sys.stdin.read()
"""


class SmallStack(Stack):
    """A stack whose MLflow only listens, and whose scheduler does not even that."""

    def start_service(self, name: str) -> None:
        self.started = [*getattr(self, "started", []), (name, self.mlflow_port)]
        serves = [sys.executable, "-S", "-c", SERVER, str(self.mlflow_port)]
        command = serves if name == "mlflow" else ["sleep", "600"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        self._children.append(process)
        self.processes[name] = (process.pid, psutil.Process(process.pid).create_time())


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallStack]:
    monkeypatch.setattr(health, "LOOK_EVERY_S", 0.01)
    stack = SmallStack("main", tmp_path)
    stack.folder.mkdir(parents=True)
    stack.logs.mkdir()
    yield stack
    children = list(stack._children)
    stack.stop()
    for child in children:
        if child.stdin is not None:
            child.stdin.close()


def test_a_port_that_another_takes_meanwhile_is_left_to_it(small: SmallStack) -> None:
    with taken_port() as port:
        small.mlflow_port = port  # free, when it was chosen
        for name in ("mlflow", "scheduler"):
            small.start_service(name)
        small._settle(["mlflow", "scheduler"], lambda: True)
        assert small.mlflow_port > port
        # Whatever was told the old port is told the new one.
        assert small.started[2:] == [
            ("mlflow", small.mlflow_port),
            ("scheduler", small.mlflow_port),
        ]
        assert set(small.running()) == {"mlflow", "scheduler"}


def test_another_port_than_a_person_has_chosen_is_not_used(small: SmallStack) -> None:
    small._choose_ports({"mlflow": find_port(25100)})
    with socket.create_server((HOST, small.mlflow_port)) as other:
        small.start_service("mlflow")
        with pytest.raises(ServiceError, match=r"Port \d+ for MLflow is taken.*MLFLOW_PORT="):
            small._settle(["mlflow"], lambda: True)
        assert small.mlflow_port == other.getsockname()[1]
        assert len(small.started) == 1


def test_of_two_starts_of_one_stack_the_later_says_so(tmp_path: Path) -> None:
    with (
        Stack("demo", tmp_path).claim(),
        pytest.raises(ServiceError, match=r"'demo' is just being started by another process"),
    ):
        Stack("demo", tmp_path).start()
    with Stack("demo", tmp_path).claim(), Stack("main", tmp_path).claim():
        pass


def test_keeps_its_secrets_and_shows_them_to_the_owner_alone(tmp_path: Path) -> None:
    stack = Stack("main", tmp_path)
    password = stack.password
    assert Stack("main", tmp_path).password == password
    assert Stack("demo", tmp_path).password != password
    for name in ("secrets.json", "passwords.json"):
        assert (stack.folder / name).stat().st_mode & 0o077 == 0


def test_binds_every_service_to_localhost(tmp_path: Path) -> None:
    environment = Stack("main", tmp_path, 5000, 8080).environment()
    assert environment["AIRFLOW__API__HOST"] == HOST
    assert environment["MLFLOW_TRACKING_URI"] == f"http://{HOST}:5000"


def test_airflow_looks_as_the_project_says_where_it_says_so(tmp_path: Path) -> None:
    assert Stack("main", tmp_path).environment()["AIRFLOW__API__THEME"] == "{}"
    project = Path(__file__).resolve().parents[2]
    (tmp_path / "airflow").mkdir()
    shutil.copy(project / "airflow" / "theme.json", tmp_path / "airflow")
    theme = json.loads(Stack("main", tmp_path).environment()["AIRFLOW__API__THEME"])
    # Airflow colours what is skipped by its pink, in a later layer of its style.
    assert all(value.endswith(" !important") for value in theme["globalCss"][":root"].values())
    assert {key.rpartition("-")[0] for key in theme["globalCss"][":root"]} == {
        "--chakra-colors-pink"
    }


def test_of_the_settings_of_another_airflow_only_connections_reach_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", "smtp://relay:25/")
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "SequentialExecutor")
    environment = Stack("main", tmp_path).environment()
    assert environment["AIRFLOW_CONN_SMTP_DEFAULT"] == "smtp://relay:25/"
    assert environment["AIRFLOW__CORE__EXECUTOR"].endswith("PreloadedLocalExecutor")


def test_gives_the_demo_data_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", "elsewhere")
    assert Stack("main", tmp_path).storage == tmp_path / "elsewhere"
    assert Stack("demo", tmp_path).storage == tmp_path / ".local" / "demo" / "storage"


def test_a_project_file_of_a_stack_is_that_of_its_services_and_commands(tmp_path: Path) -> None:
    stack = Stack("demo", tmp_path)
    assert PROJECT_VARIABLE not in stack.environment()
    stack.folder.mkdir(parents=True, exist_ok=True)
    stack.project_file.write_text("title: Digits\n")
    assert stack.environment()[PROJECT_VARIABLE] == str(stack.project_file)
    assert stack._command_environment()[PROJECT_VARIABLE] == str(stack.project_file)
    stack.stop()


def test_stops_what_it_started(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    created = psutil.Process(sleeper.pid).create_time()
    stack = Stack("main", tmp_path, processes={"mlflow": (sleeper.pid, created)})
    stack.folder.mkdir(parents=True, exist_ok=True)
    assert stack.running() == ["mlflow"]
    stack.stop()
    assert sleeper.poll() is not None
    assert stack.running() == []


def test_stops_what_a_service_has_started_in_a_session_of_its_own(tmp_path: Path) -> None:
    task = "import subprocess, time; subprocess.Popen(['sleep', '600'], start_new_session=True);"
    service = subprocess.Popen(
        [sys.executable, "-c", f"{task} print('started', flush=True); time.sleep(600)"],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert service.stdout is not None
    service.stdout.readline()
    (started,) = psutil.Process(service.pid).children()
    created = psutil.Process(service.pid).create_time()
    stack = Stack("main", tmp_path, processes={"scheduler": (service.pid, created)})
    stack.folder.mkdir(parents=True, exist_ok=True)
    try:
        stack.stop()
        service.wait()
        assert psutil.wait_procs([started], timeout=10)[1] == []
    finally:
        service.stdout.close()
        with suppress(psutil.NoSuchProcess):
            started.kill()


def test_leaves_alone_another_process_that_got_the_same_id(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    created = psutil.Process(sleeper.pid).create_time()
    stack = Stack("main", tmp_path, processes={"mlflow": (sleeper.pid, created - 3600)})
    stack.folder.mkdir(parents=True, exist_ok=True)
    assert stack.running() == []
    stack.stop()
    assert sleeper.poll() is None


def test_refuses_to_start_a_stack_that_runs(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    created = psutil.Process(sleeper.pid).create_time()
    stack = Stack("main", tmp_path, 5001, 8081)
    stack.folder.mkdir(parents=True, exist_ok=True)
    state = {"name": "main", "mlflow_port": 5001, "airflow_port": 8081}
    state["processes"] = {"mlflow": [sleeper.pid, created]}
    (stack.folder / "stack.json").write_text(json.dumps(state))
    with pytest.raises(ServiceError, match=r"runs already: .*8081.*make down STACK=main"):
        Stack("main", tmp_path).start()


def test_the_data_of_a_demonstration_that_runs_are_not_removed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sleeper: subprocess.Popen[bytes],
) -> None:
    stack = Stack("demo", tmp_path)
    stack.folder.mkdir(parents=True)
    stack.processes = {"mlflow": (sleeper.pid, psutil.Process(sleeper.pid).create_time())}
    stack.write_down()
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 1
    assert "The stack 'demo' runs already" in capsys.readouterr().err
    assert stack.folder.exists()


def test_down_says_so_when_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["down"]) == 0
    assert "does not run" in capsys.readouterr().out


def test_demo_names_a_data_folder_that_does_not_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--data", "no/such/folder"]) == 1
    assert "no/such/folder" in capsys.readouterr().err
    assert not (tmp_path / ".local" / "demo" / "airflow").exists()
