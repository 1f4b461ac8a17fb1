"""MLflow and Airflow on this machine: start, wait until healthy, stop.

Everything of a stack lies under one folder (`.local/<name>`) and binds to localhost. The data of
the stack `main` is the project's; `demo` and `replay` have data of their own.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
import requests

from image_classification.errors import ImageClassificationError
from image_classification.local.accounts import Accounts, make_private_folder

STACKS = ("main", "demo", "replay")
HOST = "127.0.0.1"
HEALTH_TIMEOUT_S = 180
STOP_TIMEOUT_S = 20
AIRFLOW_COMPONENTS: dict[str, tuple[str, ...]] = {
    "api-server": (),
    "scheduler": ("--skip-serve-logs",),
    "dag-processor": (),
    "triggerer": ("--skip-serve-logs",),
}
"""The services, each with its options. Airflow's log servers would listen on every interface; on
one machine the api-server reads the log files, and nothing needs those servers."""

MLFLOW_APP = "image-classification"
"""MLflow's basic-auth app, which opens no file but its artifacts; see `vendor/mlflow_server.py`."""

MODEL_SOURCES = r"^(models:/|runs:/|mlflow-artifacts:/|(file://)?{}/artifacts/)"
"""Where the files of a model version may lie. MLflow looks besides whether they are its run's."""


class ServiceError(ImageClassificationError):
    """A service cannot be started or reached."""


@dataclass
class Stack:
    """One MLflow server and one Airflow, and where they keep things.

    Attributes:
        name: of `STACKS`.
        project_path: the folder that holds `conf/` and `dags/`.
        mlflow_port: on localhost.
        airflow_port: on localhost.
        processes: what was started, by name: process id and creation time, so that another
            process that got the same id later is never touched.
    """

    name: str
    project_path: Path
    mlflow_port: int = 0
    airflow_port: int = 0
    processes: dict[str, tuple[int, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Kept, so that Python does not warn about services that outlive this process.
        self._children: list[subprocess.Popen[bytes]] = []

    @property
    def folder(self) -> Path:
        """Where the services keep their state and logs."""
        return self.project_path / ".local" / self.name

    @property
    def storage(self) -> Path:
        """The storage root of the data."""
        if self.name == "main":
            root = os.environ.get("IMAGE_CLASSIFICATION_STORAGE", "data")
            return self.project_path / root
        return self.folder / "storage"

    @property
    def logs(self) -> Path:
        """The folder with a log file per service."""
        return self.folder / "logs"

    @property
    def mlflow_url(self) -> str:
        """The address of MLflow."""
        return f"http://{HOST}:{self.mlflow_port}"

    @property
    def airflow_url(self) -> str:
        """The address of Airflow."""
        return f"http://{HOST}:{self.airflow_port}"

    @property
    def accounts(self) -> Accounts:
        """Who may log in to both."""
        return Accounts(self.folder)

    @property
    def password(self) -> str:
        """The password of Airflow's user `admin`, made at the first start."""
        return self.accounts.read_airflow_password("admin")

    def start(self, ports: tuple[int, int] | None = None) -> None:
        """Start all services and wait until they are healthy.

        Args:
            ports: of MLflow and Airflow; None for the first free ones from 5000 and 8080.

        Raises:
            ServiceError: a stack of this name runs already, a port is taken, or a service did
                not become healthy.
        """
        running = read_stack(self.name, self.project_path)
        if running and running.running():
            raise ServiceError(
                f"The stack '{self.name}' runs already: Airflow at {running.airflow_url}, MLflow "
                f"at {running.mlflow_url}. Stop it first: make down STACK={self.name}"
            )
        self.mlflow_port, self.airflow_port = ports or (find_port(5000), find_port(8080))
        for service, port in (("MLflow", self.mlflow_port), ("Airflow", self.airflow_port)):
            check_port(service, port)
        if not self.storage.exists():  # else it may be open for those who deliver
            make_private_folder(self.storage)
        for folder in (self.folder, self.logs, self.storage / "mlflow"):
            make_private_folder(folder)
        try:
            self._start_all()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the services that this stack started, and what these have started; nothing else."""
        alive = [process for process in map(_find_process, self.processes.values()) if process]
        descended = {each for process in alive for each in _list_descendants(process)}
        for process in alive:
            _signal_group(process, signal.SIGTERM)
        _, stubborn = psutil.wait_procs(alive, timeout=STOP_TIMEOUT_S)
        descended |= {each for process in stubborn for each in _list_descendants(process)}
        for process in stubborn:
            _signal_group(process, signal.SIGKILL)
        # A task runs in a session of its own, and would go on after its service has ended.
        for process in descended:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for child in self._children:
            child.wait()
        self._children.clear()
        self.processes = {}
        self._state_file.unlink(missing_ok=True)
        if self.accounts.file.exists():
            self.accounts.write_login({"IMAGE_CLASSIFICATION_STORAGE": str(self.storage)})

    def running(self) -> list[str]:
        """Return the names of the services that run."""
        return [name for name, known in self.processes.items() if _find_process(known)]

    def environment(self) -> dict[str, str]:
        """Return the environment in which Airflow, Kedro and MLflow find this stack."""
        airflow = self.accounts.configure_airflow() | {
            "CORE__DAGS_FOLDER": str(self.project_path / "dags"),
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__EXECUTOR": "image_classification.orchestration.executor.PreloadedLocalExecutor",
            "CORE__PARALLELISM": "4",
            "CORE__EXECUTION_API_SERVER_URL": f"{self.airflow_url}/execution/",
            "API__HOST": HOST,
            "API__PORT": str(self.airflow_port),
            "API__BASE_URL": self.airflow_url,
            "API__WORKERS": "1",
            "DAG_PROCESSOR__REFRESH_INTERVAL": "30",
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            # A supervisor may have read all that its task wrote before the task's process ends. It
            # then sleeps for so many seconds before it looks again, and keeps its worker busy.
            "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        ours = self.accounts.log_tasks_in() | {
            "AIRFLOW_HOME": str(self.folder / "airflow"),
            "IMAGE_CLASSIFICATION_STORAGE": str(self.storage),
            "MLFLOW_TRACKING_URI": self.mlflow_url,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        if self.name != "main":
            ours["IMAGE_CLASSIFICATION_INCOMING"] = str(self.storage / "incoming")
            ours["IMAGE_CLASSIFICATION_IMAGES"] = str(self.storage / "images")
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not (name.startswith("AIRFLOW") or name == "PYTHONDONTWRITEBYTECODE")
            or name.startswith("AIRFLOW_CONN_")  # where notices go
        }
        return inherited | {f"AIRFLOW__{name}": value for name, value in airflow.items()} | ours

    def _start_all(self) -> None:
        self._start_mlflow()
        self._migrate_database()
        for component, options in AIRFLOW_COMPONENTS.items():
            if component != "scheduler":
                self._spawn(component, ["airflow", component, *options])
        self._wait_for_mlflow()
        self.accounts.open_mlflow(self.mlflow_url)
        # The last one: its tasks log in to MLflow.
        self._spawn("scheduler", ["airflow", "scheduler", *AIRFLOW_COMPONENTS["scheduler"]])
        self._wait_for_airflow()
        self.accounts.write_login(self._command_environment())

    def _start_mlflow(self) -> None:
        store = self.storage / "mlflow"
        sources = MODEL_SOURCES.format(re.escape(str(store)))
        # The server runs no task, and learns no key of Airflow.
        environment = {
            name: value
            for name, value in self.environment().items()
            if not name.startswith(("AIRFLOW", "MLFLOW_TRACKING_"))
        }
        self._spawn(
            "mlflow",
            [
                *("mlflow", "server", "--host", HOST, "--port", str(self.mlflow_port)),
                *("--workers", "1", "--backend-store-uri", f"sqlite:///{store}/mlflow.db"),
                *("--app-name", MLFLOW_APP, "--serve-artifacts"),
                *("--artifacts-destination", str(store / "artifacts")),
                *("--default-artifact-root", "mlflow-artifacts:/"),
            ],
            environment
            | self.accounts.configure_mlflow()
            | {
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                "MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX": sources,
            },
        )

    def _command_environment(self) -> dict[str, str]:
        """Return what the commands of this project need to find the stack and to log in."""
        login = self.accounts.log_tasks_in()
        return {
            "IMAGE_CLASSIFICATION_STORAGE": str(self.storage),
            "MLFLOW_TRACKING_URI": self.mlflow_url,
            **{name: login[name] for name in login if name.startswith("MLFLOW_")},
        }

    def _spawn(
        self, name: str, command: list[str], environment: Mapping[str, str] | None = None
    ) -> None:
        with (self.logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [_find_program(command[0]), *command[1:]],
                cwd=self.project_path,
                env=self.environment() if environment is None else environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o077,
            )
        self._children.append(process)
        self.processes[name] = (process.pid, psutil.Process(process.pid).create_time())
        self._state_file.write_text(
            json.dumps(asdict(self) | {"project_path": str(self.project_path)})
        )

    def _migrate_database(self) -> None:
        log_path = self.logs / "migrate.log"
        with log_path.open("wb") as log:
            done = subprocess.run(
                [_find_program("airflow"), "db", "migrate"],
                cwd=self.project_path,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode:
            raise ServiceError(f"Airflow's database was not made. See {log_path}")

    def _wait_for_mlflow(self) -> None:
        def healthy() -> bool:
            return requests.get(f"{self.mlflow_url}/health", timeout=5).ok

        self._wait("MLflow", ["mlflow"], healthy)

    def _wait_for_airflow(self) -> None:
        def healthy() -> bool:
            url = f"{self.airflow_url}/api/v2/monitor/health"
            parts = requests.get(url, timeout=5).json()
            wanted = ("metadatabase", "scheduler", "dag_processor", "triggerer")
            return all(parts[part]["status"] == "healthy" for part in wanted)

        self._wait("Airflow", list(AIRFLOW_COMPONENTS), healthy)

    def _wait(self, service: str, processes: list[str], healthy: Callable[[], bool]) -> None:
        deadline = time.monotonic() + HEALTH_TIMEOUT_S
        while time.monotonic() < deadline:
            for name in processes:
                if name not in self.running():
                    raise ServiceError(
                        f"{service}: '{name}' stopped. The end of {self.logs / name}.log:\n"
                        f"{_read_tail(self.logs / f'{name}.log')}"
                    )
            try:
                if healthy():
                    return
            except (requests.RequestException, KeyError, ValueError):
                pass  # not listening yet
            time.sleep(0.5)
        raise ServiceError(f"{service} was not healthy after {HEALTH_TIMEOUT_S} s. See {self.logs}")

    @property
    def _state_file(self) -> Path:
        return self.folder / "stack.json"


def read_stack(name: str, project_path: Path) -> Stack | None:
    """Return the stack of this name as it was last started, or None if it was stopped."""
    path = Stack(name, project_path).folder / "stack.json"
    if not path.exists():
        return None
    state = json.loads(path.read_text())
    processes = {name: (pid, created) for name, (pid, created) in state["processes"].items()}
    return Stack(
        state["name"], project_path, state["mlflow_port"], state["airflow_port"], processes
    )


def find_port(first: int) -> int:
    """Return the first free port on localhost from `first` on."""
    for port in range(first, first + 200):
        if _is_free(port):
            return port
    raise ServiceError(f"No free port on localhost from {first} to {first + 199}.")


def check_port(service: str, port: int) -> None:
    """Check that a port on localhost is free.

    Raises:
        ServiceError: it is taken.
    """
    if not _is_free(port):
        raise ServiceError(
            f"Port {port} for {service} is taken by another program. Stop that, or choose another: "
            f"make up {service.upper()}_PORT=<port>"
        )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _find_process(known: tuple[int, float]) -> psutil.Process | None:
    pid, created = known
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - created) < 1
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def _list_descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _signal_group(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _find_program(name: str) -> str:
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else name


def _read_tail(path: Path, lines: int = 20) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
