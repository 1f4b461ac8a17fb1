"""What one Airflow task costs whose node does nothing, against the plugins' own DAG.

    python benchmarks/task_cost.py            # minutes
    python benchmarks/task_cost.py --quick

Ours is a DAG of `build_dag` with this project's configuration, operators, executor and MLflow
server; the other is what `kedro airflow create` writes of the same nodes with the plugin's own
template, with kedro-mlflow as it comes, on SQLite, and Airflow's LocalExecutor. Both run in an
Airflow of their own, in turn. All times are Airflow's own records of its tasks.

The module with the nodes imports TensorFlow in both, as one that trains a network does;
`--without-tensorflow` leaves that out.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from idle_project import make_our_project, make_stock_project
from measuring import Comparison, add_options, alternate, compare, keep

from image_classification.local.airflow_api import AirflowClient
from image_classification.local.services import Stack, find_port

STOCK_DAG = "stock-idle"
NODES = 5
LENGTHS, QUICK_LENGTHS = (1, 5, 10, 20, 40), (1, 5)
CONCURRENT, QUICK_CONCURRENT = (1, 2, 4), (1, 2)
GOAL = 12


@dataclass(frozen=True)
class Measured:
    """Some DAG runs, as Airflow recorded them, in seconds.

    Attributes:
        waits: of the node tasks, from queued to started.
        works: of the node tasks, from started to ended.
        run: from the start of the first DAG run to the end of the last.
        tasks: how many ran, the first and last of ours among them.
    """

    waits: Sequence[float]
    works: Sequence[float]
    run: float
    tasks: int

    @property
    def cost(self) -> float:
        """The median node task, from queued to ended."""
        return statistics.median(
            wait + work for wait, work in zip(self.waits, self.works, strict=True)
        )


class Side:
    """An Airflow and its client."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.client = AirflowClient(stack.airflow_url, "admin", stack.password)

    def prepare(self, dag_id: str) -> None:
        """Switch a DAG on, and let it run once: the first run makes MLflow's tables."""
        self.client.wait_for_dag(dag_id)
        self.client.unpause(dag_id)
        self.measure(dag_id)

    def measure(self, dag_id: str, runs: int = 1) -> Measured:
        """Trigger runs at once, wait for all, and read Airflow's records."""
        ids = [self.client.trigger(dag_id) for _ in range(runs)]
        for run_id in ids:
            state = self.client.follow(dag_id, run_id, lambda _: None)
            if state != "success":
                raise SystemExit(
                    f"{dag_id}, {run_id}: {state}. See {self.stack.folder}/airflow/logs"
                )
        found = [self.client.get_run(dag_id, run_id) for run_id in ids]
        tasks = [task for run_id in ids for task in self.client.list_tasks(dag_id, run_id)]
        nodes = [task for task in tasks if task["task_id"].startswith("pass")]
        starts, ends = ([_read(run[key]) for run in found] for key in ("start_date", "end_date"))
        return Measured(
            [_lapse(task, "queued_when", "start_date") for task in nodes],
            [_lapse(task, "start_date", "end_date") for task in nodes],
            (max(ends) - min(starts)).total_seconds(),
            len(tasks),
        )


def measure_costs(ours: Side, stock: Side, rounds: int) -> list[Comparison]:
    """Compare the node task and the whole DAG run, both sides in turn."""
    seen: dict[str, list[Measured]] = {"ours": [], "stock": []}

    def measure(side: Side, name: str, dag_id: str) -> Callable[[], float]:
        def call() -> float:
            seen[name].append(side.measure(dag_id))
            return seen[name][-1].cost

        return call

    costs = alternate(
        measure(ours, "ours", f"chain_{NODES}"), measure(stock, "stock", STOCK_DAG), rounds
    )
    runs = tuple([measured.run for measured in seen[name]] for name in ("ours", "stock"))
    for name, measured in seen.items():
        print(f"{name}: {_split(measured)}", flush=True)
    against = "kedro-airflow's DAG, kedro-mlflow as it comes, LocalExecutor"
    better: dict[str, Any] = {"unit": "s", "better": "at least", "inverse": True}
    task, run = (
        "a task whose node does nothing, queued to ended",
        f"a DAG run of {NODES} such nodes",
    )
    return [
        compare(task, against, costs, goal=GOAL, **better),
        # Between two tasks Airflow's scheduler takes its time, for both.
        compare(run, against, (runs[0], runs[1]), goal=1, **better),
    ]


def measure_series(
    ours: Side, lengths: Sequence[int], concurrent: Sequence[int]
) -> dict[str, list[dict[str, float]]]:
    """Measure ours against the number of nodes, and of DAG runs at once."""
    by_nodes, by_runs = [], []
    for nodes in lengths:
        by_nodes.append({"nodes": nodes, **_tabulate(ours.measure(f"chain_{nodes}"))})
    for runs in concurrent:
        by_runs.append({"runs": runs, **_tabulate(ours.measure(f"chain_{NODES}", runs))})
    for row in (*by_nodes, *by_runs):
        print(row, flush=True)
    return {"cost_by_nodes": by_nodes, "cost_by_concurrent_runs": by_runs}


@contextmanager
def start(make: Callable[[Path], Stack]) -> Iterator[Side]:
    """Make a project below a temporary folder, and run its Airflow and MLflow."""
    folder = Path(tempfile.mkdtemp(prefix="task-cost-"))
    stack = make(folder / "project")
    stack.start(find_port(5600), find_port(8600))
    try:
        yield Side(stack)
    finally:
        stack.stop()
    shutil.rmtree(folder)


def _tabulate(measured: Measured) -> dict[str, float]:
    return {
        "task_s": round(measured.cost, 3),
        "wait_s": round(statistics.median(measured.waits), 3),
        "run_s": round(measured.run, 2),
        "run_s_per_task": round(measured.run / measured.tasks, 3),
    }


def _split(measured: Sequence[Measured]) -> str:
    waits = [wait for run in measured for wait in run.waits]
    works = [work for run in measured for work in run.works]
    between = statistics.median(
        (run.run - sum(run.waits) - sum(run.works)) / run.tasks for run in measured
    )
    return (
        f"queued to started {statistics.median(waits):.2f} s, started to ended "
        f"{statistics.median(works):.2f} s; {between:.2f} s of the run per task are neither"
    )


def _read(value: str) -> datetime:
    return datetime.fromisoformat(value)


def _lapse(record: Mapping[str, Any], start: str, end: str) -> float:
    return (_read(record[end]) - _read(record[start])).total_seconds()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser, rounds=3)
    parser.add_argument("--without-tensorflow", action="store_true", help="no node imports it")
    arguments = parser.parse_args()
    lengths = QUICK_LENGTHS if arguments.quick else LENGTHS
    concurrent = QUICK_CONCURRENT if arguments.quick else CONCURRENT
    rounds = min(arguments.rounds, 2) if arguments.quick else arguments.rounds
    imports = "" if arguments.without_tensorflow else "import tensorflow"
    with start(lambda folder: make_our_project(folder, lengths, imports)) as ours:
        for nodes in lengths:
            ours.client.wait_for_dag(f"chain_{nodes}")
            ours.client.unpause(f"chain_{nodes}")
        ours.prepare(f"chain_{NODES}")
        with start(lambda folder: make_stock_project(folder, NODES, imports)) as stock:
            stock.prepare(STOCK_DAG)
            comparisons = measure_costs(ours, stock, rounds)
        series = measure_series(ours, lengths, concurrent)
    keep("task_cost", comparisons, series, arguments.to, nodes=NODES, imports=imports)


if __name__ == "__main__":
    main()
