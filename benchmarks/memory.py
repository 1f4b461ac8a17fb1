"""Memory of the whole stack at rest: Airflow's components, the executor's workers, and MLflow.

    python benchmarks/memory.py

Proportional set size (PSS): a page that several processes share, as workers share what was imported
before the fork, is counted once, in parts. Read from Linux's `smaps_rollup`.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import psutil
from idle_project import make_our_project
from measuring import add_options, compare, keep

from image_classification.local.airflow_api import AirflowClient
from image_classification.local.services import Stack, find_port

GOAL_MIB = 3 * 1024
REST_S = 15


def measure_stack(stack: Stack) -> dict[str, list[float]]:
    """Return the PSS in MiB of each process, by the service that it belongs to."""
    measured = defaultdict(list)
    for name, (pid, _) in stack.processes.items():
        process = psutil.Process(pid)
        for member in (process, *process.children(recursive=True)):
            measured[name].append(read_pss(member.pid))
    return dict(measured)


def read_pss(pid: int) -> float:
    """Return a process's proportional set size in MiB; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser, rounds=3)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="memory-"))
    stack = make_our_project(folder / "project", [1])
    stack.start(find_port(5800), find_port(8800))
    try:
        client = AirflowClient(stack.airflow_url, "admin", stack.password)
        client.wait_for_dag("chain_1")
        client.unpause("chain_1")
        client.follow("chain_1", client.trigger("chain_1"), lambda _: None)  # one task has run
        rounds = []
        for _ in range(arguments.rounds):
            time.sleep(1 if arguments.quick else REST_S)
            rounds.append(measure_stack(stack))
    finally:
        stack.stop()
    shutil.rmtree(folder)
    for name, values in rounds[-1].items():
        each = " + ".join(f"{value:.0f}" for value in values)
        print(f"{name:<14} {sum(values):7.0f} MiB = {each}")
    sums = [sum(map(sum, measured.values())) for measured in rounds]
    line = compare(
        "PSS of the whole stack at rest",
        "3 GiB",
        (sums, [GOAL_MIB] * len(sums)),
        unit="MiB",
        goal=1,
        better="at most",
    )
    series = {
        name: statistics.median(sum(measured[name]) for measured in rounds) for name in rounds[0]
    }
    keep("memory", [line], {"mib_by_service": series}, arguments.to)


if __name__ == "__main__":
    main()
