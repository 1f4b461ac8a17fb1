"""Airflow parses each DAG file over and over: it must be quick and touch nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DAGS = Path(__file__).resolve().parents[2] / "dags"
HEAVY = ("tensorflow", "keras", "mlflow", "kedro", "kedro_mlflow", "numpy", "pandas", "sqlalchemy")
LONGEST_PARSE_S = 0.3
"""Processor seconds: how many a wall clock shows depends on what else the machine does."""

PROBE = """
import json, os, runpy, sys, time
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

for file in sys.argv[1:]:
    # A process for each, which finds what a parser of Airflow's finds: Airflow, and nothing else.
    if os.fork() == 0:
        print(json.dumps(parse(file)), flush=True)
        os._exit(0)
    os.wait()
"""


def parse_in_new_processes(files: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Return the seconds, the top-level modules and the connections that parsing costs, by file."""
    answer = subprocess.run(
        [sys.executable, "-c", PROBE, *map(str, files)],
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if name != "KEDRO_ENV"},
    )
    lines = [json.loads(line) for line in answer.stdout.splitlines() if line.startswith("{")]
    return {file.stem: parse for file, parse in zip(files, lines, strict=True)}


def list_faults(files: Sequence[Path], tries: int = 4) -> dict[str, list[str]]:
    """Return what is wrong with parsing each file; slowness only if it is slow at every try."""
    parses = parse_in_new_processes(files)
    slow = [file for file in files if parses[file.stem]["seconds"] >= LONGEST_PARSE_S]
    for _ in range(tries - 1):
        again = parse_in_new_processes(slow) if slow else {}
        slow = [file for file in slow if again[file.stem]["seconds"] >= LONGEST_PARSE_S]
    return {
        file.stem: [
            *(f"imports {name}" for name in HEAVY if name in parses[file.stem]["modules"]),
            *(f"opens {event}" for event in parses[file.stem]["connections"]),
            *(["sleeps"] if parses[file.stem]["sleeps"] else []),
            *(["is slow"] if file in slow else []),
        ]
        for file in files
    }


def test_parsing_is_quick_and_imports_and_opens_nothing_heavy() -> None:
    files = sorted(DAGS.glob("*_dag.py"))
    assert list_faults(files) == {file.stem: [] for file in files}


def test_the_probe_finds_a_file_that_imports_connects_and_dawdles(tmp_path: Path) -> None:
    bad = tmp_path / "bad_dag.py"
    bad.write_text(
        "import sqlite3, time\n"
        "import kedro, numpy\n"
        "sqlite3.connect(':memory:').close()\n"
        "time.sleep(0.01)\n"
        "began_at = time.process_time()\n"
        f"while time.process_time() < began_at + {LONGEST_PARSE_S}: pass\n"
    )
    good = tmp_path / "good_dag.py"
    good.touch()
    assert list_faults([bad, good], tries=1) == {
        "bad_dag": ["imports kedro", "imports numpy", "opens sqlite3.connect", "sleeps", "is slow"],
        "good_dag": [],
    }
