"""MLflow and Airflow on this machine: start, wait until healthy, stop.

Everything of a stack lies under one folder (`.local/<name>`) and binds to localhost. The data of
the stack `main` is the project's; `demo` and `replay` have data of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar

import psutil
from filelock import FileLock

from image_classification.configuration.project import PROJECT_FILE, PROJECT_VARIABLE
from image_classification.local.accounts import Accounts, make_private_folder
from image_classification.local.airflow_settings import AIRFLOW_COMPONENTS, configure_airflow
from image_classification.local.beginning import hold, require_fitness
from image_classification.local.database import Database
from image_classification.local.health import is_airflow_healthy, is_mlflow_healthy, wait_until
from image_classification.local.mlflow_settings import configure_mlflow, make_command
from image_classification.local.ports import (
    PortTakenError,
    ServiceError,
    check_port,
    find_port,
    is_served,
)
from image_classification.machine.environment import clean_for_services
from image_classification.machine.place import locate
from image_classification.machine.process import end_families, locate_command
from image_classification.machine.stack import (
    HOST,
    STACK_VARIABLE,
    STATE_FILE,
    WATCHER,
    StackState,
    find_process,
    locate_stack,
    read_state,
    write_state,
)

MLFLOW, DATABASE, API_SERVER, SCHEDULER = "mlflow", "postgres", "api-server", "scheduler"

PORTS = {
    MLFLOW: ("MLflow", "mlflow_port", 5000),
    DATABASE: ("PostgreSQL", "database_port", 5433),
    API_SERVER: ("Airflow", "airflow_port", 8080),
}
"""Of each service with a port: what people call it, the attribute, and the first that is tried."""

STOP_TIMEOUT_S = 20


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
        restarts: what had died and was started again: when (ISO 8601, UTC), and its name.
        database_port: on localhost, where Airflow's database is a server.
        is_watched: whether what dies is started again.
    """

    name: str
    project_path: Path
    mlflow_port: int = 0
    airflow_port: int = 0
    processes: dict[str, tuple[int, float]] = field(default_factory=dict)
    restarts: list[tuple[str, str]] = field(default_factory=list)
    database_port: int = 0
    is_watched: ClassVar[bool] = True

    def __post_init__(self) -> None:
        # Kept, so that Python does not warn about services that outlive this process.
        self._children: list[subprocess.Popen[bytes]] = []
        self._lock = FileLock(self.folder.with_name(f"{self.name}.lock"))
        self._chosen: set[str] = set()

    @property
    def folder(self) -> Path:
        """Where the services keep their state and logs."""
        return locate_stack(self.name, self.project_path)

    @property
    def storage(self) -> Path:
        """The storage root of the data."""
        if self.name == "main":
            root = os.environ.get("IMAGE_CLASSIFICATION_STORAGE") or "data"
            return Path(locate(root, self.project_path))
        return self.folder / "storage"

    @property
    def project_file(self) -> Path:
        """The project file of this stack alone; there is none where its data is the project's."""
        return self.folder / PROJECT_FILE

    @property
    def logs(self) -> Path:
        """The folder with a log file per service."""
        return self.folder / "logs"

    @property
    def host(self) -> str:
        """Where the services listen."""
        return HOST

    @property
    def mlflow_url(self) -> str:
        """The address of MLflow."""
        return f"http://{self.host}:{self.mlflow_port}"

    @property
    def airflow_url(self) -> str:
        """The address of Airflow."""
        return f"http://{self.host}:{self.airflow_port}"

    @property
    def accounts(self) -> Accounts:
        """Who may log in to both."""
        return Accounts(self.folder)

    @property
    def database(self) -> Database:
        """Where Airflow keeps its runs."""
        return Database(self.folder)

    @property
    def password(self) -> str:
        """The password of Airflow's user `admin`, made at the first start."""
        return self.accounts.read_airflow_password("admin")

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Let no other process start this stack meanwhile.

        Raises:
            ServiceError: it runs already, or another process is starting it.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with hold(self._lock, self.name):
            running = read_stack(self.name, self.project_path)
            if running and running.running():
                raise ServiceError(
                    f"The stack '{self.name}' runs already: Airflow at {running.airflow_url}, "
                    f"MLflow at {running.mlflow_url}. Stop it first: make down STACK={self.name}"
                )
            yield

    def start(self, mlflow_port: int | None = None, airflow_port: int | None = None) -> None:
        """Start all services and wait until they are healthy.

        Args:
            mlflow_port: None for the first free one from 5000.
            airflow_port: None for the first free one from 8080.

        Raises:
            ServiceError: this machine will not do, a stack of this name runs already or is being
                started, a port that was asked for is taken, or a service did not become healthy.
        """
        with self.claim():
            require_fitness(self.project_path, self.storage, self.folder)
            self._choose_ports({MLFLOW: mlflow_port, API_SERVER: airflow_port})
            if not self.storage.exists():  # else it may be open for those who deliver
                make_private_folder(self.storage)
            for folder in (self.folder, self.logs, self.storage / "mlflow"):
                make_private_folder(folder)
            try:
                self._start_all()
            except BaseException:
                self.stop()
                raise

    def _choose_ports(self, wanted: Mapping[str, int | None]) -> None:
        for service, (title, attribute, first) in PORTS.items():
            if port := wanted.get(service):
                check_port(title, port)
                self._chosen.add(service)
            elif service != DATABASE or self.database.is_server:
                port = find_port(first)
            setattr(self, attribute, port or 0)

    def stop(self) -> None:
        """Stop the services that this stack started, and what these have started; nothing else."""
        self._stop_watcher()
        self._end(self.processes)
        for child in self._children:
            child.wait()
        self._children.clear()
        self.processes = {}
        (self.folder / STATE_FILE).unlink(missing_ok=True)
        if self.accounts.file.exists():
            storage = {"IMAGE_CLASSIFICATION_STORAGE": str(self.storage)}
            self.accounts.write_login(storage | self._name_project())

    def _end(self, names: Iterable[str]) -> None:
        """Stop services, and what these have started."""
        known = (find_process(self.processes[name]) for name in names)
        end_families([process for process in known if process], STOP_TIMEOUT_S)

    def _stop_watcher(self) -> None:
        """Stop what would start the others again, and learn what it has started."""
        state = read_state(self.name, self.project_path)
        watcher = find_process(state.processes.get(WATCHER, (0, 0.0))) if state else None
        if watcher is not None:
            watcher.kill()
            psutil.wait_procs([watcher], timeout=STOP_TIMEOUT_S)
            state = read_state(self.name, self.project_path)
        if state is not None:
            self.processes |= state.processes

    def running(self) -> list[str]:
        """Return the names of the services that run."""
        return [name for name, known in self.processes.items() if find_process(known)]

    def environment(self) -> dict[str, str]:
        """Return the environment in which Airflow, Kedro and MLflow find this stack."""
        airflow = (
            self.accounts.configure_airflow()
            | self.database.configure(self.database_port)
            | configure_airflow(self.project_path, self.airflow_url)
        )
        ours = self.accounts.log_tasks_in() | {
            "AIRFLOW_HOME": str(self.folder / "airflow"),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.folder / "airflow" / "logs"),
            "IMAGE_CLASSIFICATION_STORAGE": str(self.storage),
            "MLFLOW_TRACKING_URI": self.mlflow_url,
            STACK_VARIABLE: str(self.folder),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        if self.name != "main":
            ours["IMAGE_CLASSIFICATION_INCOMING"] = str(self.storage / "incoming")
            ours["IMAGE_CLASSIFICATION_IMAGES"] = str(self.storage / "images")
        ours |= self._name_project()
        inherited = clean_for_services(os.environ)
        return inherited | {f"AIRFLOW__{name}": value for name, value in airflow.items()} | ours

    def _name_project(self) -> dict[str, str]:
        exists = self.project_file.exists()
        return {PROJECT_VARIABLE: str(self.project_file)} if exists else {}

    def _start_all(self) -> None:
        from image_classification import tracking  # noqa: PLC0415 - the watcher needs no MLflow

        # Now, not by the server: what is killed meanwhile leaves no half of a store.
        tracking.prepare_store(f"sqlite:///{self.storage / 'mlflow' / 'mlflow.db'}")
        self.start_service(MLFLOW)
        if self.database.is_server:
            self.database.make()
            self.start_service(DATABASE)
            self._settle([DATABASE], lambda: True)
        self._migrate_database()
        self._settle([MLFLOW], lambda: is_mlflow_healthy(self.mlflow_url))
        self.accounts.open_mlflow(self.mlflow_url)
        # The scheduler comes last: its tasks log in to MLflow, and are told where Airflow is.
        before = [component for component in AIRFLOW_COMPONENTS if component != SCHEDULER]
        for component in before:
            self.start_service(component)
        self._settle(before, lambda: True)
        self.start_service(SCHEDULER)
        components = list(AIRFLOW_COMPONENTS)
        self._wait("Airflow", components, lambda: is_airflow_healthy(self.airflow_url))
        self.accounts.write_login(self._command_environment())
        if self.is_watched:
            module = "image_classification.local.watcher"
            self._spawn(WATCHER, [sys.executable, "-m", module, self.name])

    def _settle(self, names: list[str], healthy: Callable[[], bool]) -> None:
        """Wait until a service answers at its port, and it is ours that does.

        Where another program has taken the port since it was chosen, start it at the next one.

        Args:
            names: the service, and those that were told its port.
            healthy: tells whether the service is.

        Raises:
            ServiceError: it was not healthy in time, or a person has chosen the port.
        """
        title, attribute, _ = PORTS[names[0]]
        while True:
            port: int = getattr(self, attribute)
            try:
                self._wait(title, names, lambda: self._serves(names[0]) and healthy())
            except PortTakenError:
                if names[0] in self._chosen:
                    check_port(title, port)  # says what to do
                    raise
                self._end(names)
                setattr(self, attribute, find_port(port + 1))
                print(f"  Port {port} was taken meanwhile: {title} starts at the next one")
                for name in names:
                    self.start_service(name)
            else:
                return

    def _serves(self, name: str) -> bool:
        _, attribute, _ = PORTS[name]
        return is_served(find_process(self.processes[name]), self.host, getattr(self, attribute))

    def start_service(self, name: str) -> None:
        """Start one service, for the first time or again."""
        if name == MLFLOW:
            self._start_mlflow()
        elif name == DATABASE:
            self._spawn(DATABASE, self.database.command(self.database_port))
        else:
            self._spawn(name, ["airflow", name, *AIRFLOW_COMPONENTS[name]])

    def _start_mlflow(self) -> None:
        store = self.storage / "mlflow"
        # The server runs no task, and learns no key of Airflow.
        environment = {
            name: value
            for name, value in self.environment().items()
            if not name.startswith(("AIRFLOW", "MLFLOW_TRACKING_"))
        }
        self._spawn(
            MLFLOW,
            make_command(store, self.host, self.mlflow_port),
            environment | self.accounts.configure_mlflow() | configure_mlflow(store),
        )

    def _command_environment(self) -> dict[str, str]:
        """Return what the commands of this project need to find the stack and to log in."""
        login = self.accounts.log_tasks_in()
        return {
            "IMAGE_CLASSIFICATION_STORAGE": str(self.storage),
            "MLFLOW_TRACKING_URI": self.mlflow_url,
            **self._name_project(),
            **{name: login[name] for name in login if name.startswith("MLFLOW_")},
        }

    def _spawn(
        self, name: str, command: list[str], environment: Mapping[str, str] | None = None
    ) -> None:
        with (self.logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [locate_command(command[0]), *command[1:]],
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
        self.write_down()

    def write_down(self) -> None:
        """Write down what runs, for `stop`, the watcher and the command `doctor`."""
        kept = {each.name: getattr(self, each.name) for each in fields(StackState)}
        write_state(StackState(**kept))

    def _migrate_database(self) -> None:
        log_path = self.logs / "migrate.log"
        with log_path.open("wb") as log:
            done = subprocess.run(
                [locate_command("airflow"), "db", "migrate"],
                cwd=self.project_path,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode:
            raise ServiceError(f"Airflow's database was not made. See {log_path}")

    def _wait(self, service: str, processes: list[str], healthy: Callable[[], bool]) -> None:
        wait_until(service, processes, healthy, self.running, self.logs)


def read_stack(name: str, project_path: Path) -> Stack | None:
    """Return the stack of this name as it was last started, or None if it was stopped."""
    state = read_state(name, project_path)
    if state is None:
        return None
    stack = Stack(name, project_path)
    for each in fields(StackState):
        if each.name != "folder":
            setattr(stack, each.name, getattr(state, each.name))
    return stack
