"""Airflow parses each DAG file over and over: it must be quick and touch nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

DAGS = Path(__file__).resolve().parents[2] / "dags"
HEAVY = ("tensorflow", "keras", "mlflow", "kedro", "kedro_mlflow", "numpy", "pandas", "sqlalchemy")
LONGEST_PARSE_S = 0.3
"""Processor seconds: how many a wall clock shows depends on what else the machine does."""

TRIES = 4
"""A file is slow if it is slow each time: the first time, its byte code may be missing."""

PROBE = """
import json, os, runpy, sys, time
sys.modules["rfc3987_syntax"] = None  # as in tests/conftest.py
import airflow.sdk
from airflow.sdk import DAG  # the module loads what is asked of it
known = set(sys.modules)

def parse(file):
    events = []
    sys.addaudithook(lambda event, _: events.append(event))
    time.sleep = lambda _: events.append("time.sleep")
    began_at = time.process_time()
    runpy.run_path(file)
    return {
        "seconds": time.process_time() - began_at,
        "modules": sorted({name.partition(".")[0] for name in set(sys.modules) - known}),
        "connections": sorted({event for event in events if event.endswith(".connect")}),
        "sleeps": "time.sleep" in events,
    }

for file, tries in json.loads(sys.argv[2]).items():
    for _ in range(tries):
        # A process for each, which finds what a parser of Airflow's finds: Airflow, nothing else.
        if os.fork() == 0:
            parsed = parse(file)
            print(json.dumps(parsed | {"file": file}), flush=True)
            os._exit(parsed["seconds"] >= float(sys.argv[1]))
        if not os.wait()[1]:
            break
"""


def parse_in_new_processes(tries: Mapping[Path, int]) -> dict[str, dict[str, Any]]:
    """Return the seconds, the top-level modules and the connections that parsing costs, by file.

    What is slow is parsed again, and the last time counts: one start of Airflow is enough for all.

    Args:
        tries: how often a file is parsed that is slow.
    """
    files = json.dumps({str(file): often for file, often in tries.items()})
    answer = subprocess.run(
        [sys.executable, "-c", PROBE, str(LONGEST_PARSE_S), files],
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if name != "KEDRO_ENV"},
    )
    lines = [json.loads(line) for line in answer.stdout.splitlines() if line.startswith("{")]
    return {Path(parse["file"]).stem: parse for parse in lines}


def list_faults(parse: dict[str, Any]) -> list[str]:
    """Return what is wrong with parsing a file."""
    return [
        *(f"imports {name}" for name in HEAVY if name in parse["modules"]),
        *(f"opens {event}" for event in parse["connections"]),
        *(["sleeps"] if parse["sleeps"] else []),
        *(["is slow"] if parse["seconds"] >= LONGEST_PARSE_S else []),
    ]


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What is wrong with each file of `dags/`, with a bad one, and with one that is empty."""
    folder = tmp_path_factory.mktemp("dags")
    bad = folder / "bad_dag.py"
    bad.write_text(
        "import sqlite3, time\n"
        "import kedro, numpy\n"
        "sqlite3.connect(':memory:').close()\n"
        "time.sleep(0.01)\n"
        "began_at = time.process_time()\n"
        f"while time.process_time() < began_at + {LONGEST_PARSE_S}: pass\n"
    )
    good = folder / "good_dag.py"
    good.touch()
    ours = dict.fromkeys(DAGS.glob("*_dag.py"), TRIES)
    parses = parse_in_new_processes({**ours, bad: 1, good: TRIES})
    return {name: list_faults(parse) for name, parse in parses.items()}


def test_parsing_is_quick_and_imports_and_opens_nothing_heavy(
    faults: dict[str, list[str]],
) -> None:
    names = [file.stem for file in DAGS.glob("*_dag.py")]
    assert {name: faults[name] for name in names} == {name: [] for name in names}


def test_the_probe_finds_a_file_that_imports_connects_and_dawdles(
    faults: dict[str, list[str]],
) -> None:
    found = ["imports kedro", "imports numpy", "opens sqlite3.connect", "sleeps", "is slow"]
    assert faults["bad_dag"] == found
    assert faults["good_dag"] == []
