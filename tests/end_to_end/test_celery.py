"""Nights through Celery, Redis and PostgreSQL, all data in a bucket, beside those of `kedro run`.

Where this machine can have them, the workers are on two hosts that share nothing, and hosts get
lost during the second night. Elsewhere there is one worker and one night.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import psutil
import psycopg2
import pytest
from bucket import make_bucket, serve_store
from celery_stack import CeleryStack, find_missing
from hosts import Network, find_obstacle
from hosts_stack import HostsStack
from mlflow import MlflowClient
from nights import DAG_ID, PROJECT, Nights
from sessions import kedro_run
from storage_root import put_in_force
from terminal import call

from image_classification import tracking
from image_classification.champion import registry
from image_classification.datasets import LedgerDataset
from image_classification.datasets.delivery import Source, deliver
from image_classification.datasets.file import open_filesystem, read_file
from image_classification.intake.index import settle_index
from image_classification.local.airflow_api import AirflowClient
from image_classification.local.services import HOST
from image_classification.local.synthetic import make_cells
from image_classification.orchestration.run_name import name_run

MISSING = find_missing()
OBSTACLE = find_obstacle()
MODEL = "test-classifier"
PATIENCE_S = 90
COST_S = 60
"""So much later at most than a host is lost, another one begins anew with its task."""

TIMES = ["first_seen", "recorded_at"]
"""Columns of the index that differ between two intakes of the same images."""

TIMED = re.compile("_s$|_ms$|_per_second$|_mb$|seconds|pace")
"""Metrics that differ between two runs of the same network."""

SECOND = {"training": {"epochs": 6}, "promotion": {"improvement": {"minimum_gain": -1.0}}}
SECOND_FORM = {"epochs": 6, "minimum_gain": -1.0}
"""What the second night changes: it trains long enough to be cut short, and promotes."""

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(MISSING) and not os.environ.get("CI"),
        reason=f"not on this machine: {', '.join(MISSING)} "
        "(Debian: apt-get install redis-server postgresql)",
    ),
]
on_hosts = pytest.mark.skipif(bool(OBSTACLE), reason=OBSTACLE)


@dataclass(frozen=True)
class Night:
    """What a run of `retraining` left."""

    index: pd.DataFrame
    splits: pd.DataFrame
    decision: dict[str, Any]
    metrics: dict[str, float]
    champion: str | None


@dataclass
class CeleryNights:
    """DAG runs on Celery, and the processes that a worker had forked before."""

    nights: Nights
    stack: CeleryStack
    pool: list[psutil.Process]
    left: list[Night] = field(default_factory=list)
    tasks: list[dict[str, dict[str, Any]]] = field(default_factory=list)
    lost_at: dict[str, datetime] = field(default_factory=dict)

    def finish(self, run_id: str) -> None:
        """Wait for a night; keep what it left."""
        client = self.nights.client
        assert client.follow(DAG_ID, run_id, lambda _: None, timeout_s=600) == "success"
        self.tasks.append({one["task_id"]: one for one in client.list_tasks(DAG_ID, run_id)})
        folder = name_run(DAG_ID, run_id)
        self.left.append(look(self.stack.root, folder, self.stack.mlflow_url))

    def find_task(self, run_id: str, task_id: str) -> dict[str, Any]:
        """Return a task, once it runs."""
        client = self.nights.client

        def find() -> dict[str, Any] | None:
            tasks = client.list_tasks(DAG_ID, run_id)
            running = (one for one in tasks if one["state"] == "running")
            return next((one for one in running if one["task_id"] == task_id), None)

        return wait_for(find, f"{task_id} never ran", 300, pause_s=0.5)  # Airflow has other work

    def read_log(self, run_id: str, task_id: str) -> str:
        """Return what the first try of a task has logged so far, as Airflow's page shows it."""
        path = f"/dags/{DAG_ID}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/logs/1"
        lines = self.nights.ask(f"{path}?map_index=-1&full_content=true")["content"]
        return "\n".join(str(line.get("event")) for line in lines)


def wait_for(find: Callable[[], Any], fault: str, patience_s: float, pause_s: float = 0.1) -> Any:
    """Return what is found, once it is there."""
    deadline = time.monotonic() + patience_s
    while not (found := find()):
        assert time.monotonic() < deadline, fault
        time.sleep(pause_s)
    return found


def look(root: str, run: str, mlflow: str) -> Night:
    """Return what a run has left, in the bucket and as the newest one in MLflow."""
    tracking.connect(mlflow)
    filesystem, path = open_filesystem(root)

    def read(name: str) -> io.BytesIO:
        return io.BytesIO(read_file(filesystem, name))

    parts = sorted(filesystem.glob(f"{path}/index/images/*.parquet"))
    rows = pd.concat(pd.read_parquet(read(part)) for part in parts)
    splits = pd.read_parquet(read(f"{path}/runs/{run}/image_splits.parquet"))
    (newest, *_) = MlflowClient().search_runs(["1"], order_by=["attributes.start_time DESC"])
    return Night(
        settle_index(rows).drop(columns=TIMES),
        splits.drop(columns=TIMES[:1]),
        json.load(read(f"{path}/runs/{run}/decision.json")),
        {key: value for key, value in newest.data.metrics.items() if not TIMED.search(key)},
        registry.find_champion(MODEL),
    )


@pytest.fixture(scope="module")
def batches(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What arrives before the first night, and before the second."""
    later = tmp_path_factory.mktemp("later")
    make_cells(later, range(31, 41), 8, captured_on="20150602")
    return {"first": cells, "second": later}


@pytest.fixture(scope="module")
def on_celery(batches: dict[str, Path]) -> Iterator[CeleryNights]:
    """A night; the services run on, to be looked at."""
    assert not MISSING
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        data = stack.enter_context(tempfile.TemporaryDirectory())
        patch.setenv("KEDRO_ENV", "test")
        network = None if OBSTACLE else stack.enter_context(Network(PROJECT))
        stack.enter_context(serve_store(patch, network.gateway if network else HOST))
        services = CeleryStack("end-to-end-celery", PROJECT)
        if network:
            services = HostsStack("end-to-end-celery", PROJECT, network=network)
        services.data, services.root = data, f"{make_bucket()}/laboratory"
        shutil.rmtree(services.folder, ignore_errors=True)
        stack.callback(services.stop)
        services.start()
        for name, value in services.accounts.log_tasks_in().items():
            patch.setenv(name, value)
        client = AirflowClient(services.airflow_url, "admin", services.password)
        nights = CeleryNights(Nights(services, client), services, services.find_pool())
        deliver(Source(batches["first"]), f"{services.root}/incoming", "first")
        client.wait_for_dag(DAG_ID)
        client.unpause(DAG_ID)
        nights.finish(client.trigger(DAG_ID))
        yield nights


@pytest.fixture(scope="module")
def with_losses(on_celery: CeleryNights, batches: dict[str, Path]) -> CeleryNights:
    """A second night, in which three times the host at work is lost, and another one follows."""
    stack, client = on_celery.stack, on_celery.nights.client
    assert isinstance(stack, HostsStack)
    deliver(Source(batches["second"]), f"{stack.root}/incoming", "second")
    filesystem, path = open_filesystem(stack.root)
    models = stack.storage / "mlflow" / "artifacts" / "1" / "models"
    run_id = client.trigger(DAG_ID, SECOND_FORM)

    def is_training() -> bool:
        return "Epoch 2/6" in on_celery.read_log(run_id, "train_network")

    def count_models() -> int:
        return len([*models.glob("*/artifacts/*")])

    def count_entries() -> int:
        return len(filesystem.ls(f"{path}/ledger", refresh=True))

    known = count_models(), count_entries()
    amid: dict[str, Callable[[], bool]] = {
        "train_network": is_training,
        "log_model": lambda: count_models() > known[0],
        "promote_challenger": lambda: count_entries() > known[1],
    }
    for task_id, is_amid in amid.items():
        host = stack.find_host(on_celery.find_task(run_id, task_id))
        wait_for(is_amid, f"{task_id} was never at work", PATIENCE_S)
        stack.lose_host(host)
        on_celery.lost_at[task_id] = datetime.now(UTC)
        stack.start_host(host)
    on_celery.finish(run_id)
    return on_celery


@pytest.fixture(scope="module")
def in_one_process(
    batches: dict[str, Path], on_celery: CeleryNights, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], Night]:
    """The same nights by `kedro run`, in a bucket of that store: a function that returns one."""
    assert on_celery.left  # its store is open
    folder = tmp_path_factory.mktemp("kedro-run")
    root, mlflow = f"{make_bucket()}/laboratory", f"sqlite:///{folder}/mlflow.db"
    left: list[Night] = []

    def find(number: int) -> Night:
        with pytest.MonkeyPatch.context() as patch:
            put_in_force(patch, root)
            patch.setenv("IMAGE_CLASSIFICATION_CACHE", str(folder / "cache"))
            while len(left) <= number:
                patch.setenv("MLFLOW_TRACKING_URI", mlflow)
                name, params = list(zip(batches, ({}, SECOND), strict=True))[len(left)]
                deliver(Source(batches[name]), f"{root}/incoming", name)
                kedro_run(DAG_ID, **params)
                left.append(look(root, "local", mlflow))
        return left[number]

    return find


def has_tensorflow(process: psutil.Process) -> bool:
    return any("libtensorflow" in mapped.path for mapped in process.memory_maps())


def list_ended(stack: CeleryStack) -> set[str]:
    """Return the tasks that Celery has noted as ended well."""
    with closing(psycopg2.connect(stack.address)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT instance.task_id FROM task_instance AS instance JOIN celery_taskmeta AS result "
            "ON result.task_id = instance.external_executor_id WHERE result.status = 'SUCCESS'"
        )
        return {task_id for (task_id,) in cursor.fetchall()}


def compare(ours: Night, theirs: Night) -> None:
    pd.testing.assert_frame_equal(ours.index, theirs.index)
    pd.testing.assert_frame_equal(ours.splits, theirs.splits)
    for key in ("verdict", "promote", "reason", "challenger", "champion"):
        assert ours.decision[key] == theirs.decision[key], key
    assert ours.metrics == theirs.metrics
    assert ours.champion == theirs.champion


def test_every_task_that_ran_was_brought_by_celery_and_ended_well(on_celery: CeleryNights) -> None:
    ran = {name for name, task in on_celery.tasks[0].items() if task["pid"]}
    assert {"train_network", "promote_challenger", "close_run"} < ran
    assert {on_celery.tasks[0][name]["state"] for name in ran} == {"success"}
    wait_for(lambda: list_ended(on_celery.stack) >= ran, "Celery notes an end late", PATIENCE_S)


def test_tasks_are_forked_from_processes_that_have_tensorflow_from_their_parent(
    on_celery: CeleryNights,
) -> None:
    assert has_tensorflow(on_celery.stack.find_worker())
    assert len(on_celery.pool) == on_celery.stack.concurrency
    assert all(has_tensorflow(process) for process in on_celery.pool)
    # The same processes were there to the end.
    assert all(process.is_running() for process in on_celery.pool)


def test_the_scheduler_reads_the_same_configuration_and_imports_nothing(
    on_celery: CeleryNights,
) -> None:
    scheduler = psutil.Process(on_celery.stack.processes["scheduler"][0])
    assert not has_tensorflow(scheduler)


def test_index_splits_metrics_decision_and_champion_are_those_of_kedro_run(
    on_celery: CeleryNights, in_one_process: Callable[[int], Night]
) -> None:
    assert on_celery.left[0].champion == "1"
    compare(on_celery.left[0], in_one_process(0))


@on_hosts
def test_the_tasks_of_a_night_are_spread_over_hosts(on_celery: CeleryNights) -> None:
    hosts = Counter(task["hostname"] for task in on_celery.tasks[0].values() if task["pid"])
    assert len(hosts) == 2
    assert min(hosts.values()) >= 5, hosts


@on_hosts
def test_a_night_that_loses_its_hosts_comes_to_the_same(
    with_losses: CeleryNights, in_one_process: Callable[[int], Night]
) -> None:
    assert with_losses.left[1].champion == "2"
    compare(with_losses.left[1], in_one_process(1))


@on_hosts
def test_only_what_was_lost_is_done_again_within_a_minute(with_losses: CeleryNights) -> None:
    tasks = with_losses.tasks[1]
    again = {name for name, task in tasks.items() if task["try_number"] > 1}
    assert again == set(with_losses.lost_at)
    for name, lost_at in with_losses.lost_at.items():
        began = datetime.fromisoformat(tasks[name]["start_date"])
        assert (began - lost_at).total_seconds() < COST_S, name


@on_hosts
def test_what_was_begun_on_a_lost_host_is_there_once(
    with_losses: CeleryNights, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, mlflow = with_losses.stack.root, with_losses.stack.mlflow_url
    tracking.connect(mlflow)
    client = MlflowClient()
    entries = LedgerDataset(filepath=f"{root}/ledger").load().values()
    moves = [(entry["event"], entry["version"]) for entry in entries]
    assert [move for move in moves if move[0] != "interrupted"] == [
        ("promoted", "1"),
        ("promoted", "2"),
    ]
    assert len(client.search_model_versions(f"name='{MODEL}'")) == 2
    runs = client.search_runs(["1"])
    assert [run.info.status for run in runs] == ["FINISHED"] * 2
    logged = client.search_logged_models(["1"])
    assert [str(model.status) for model in logged] == ["READY"] * 2
    put_in_force(monkeypatch, root)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow)
    verified = call("ledger", "--verify")
    assert verified.exit_code == 0, verified.output
