"""Airflow parses each DAG file over and over: it must be quick and touch nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DAGS = Path(__file__).resolve().parents[2] / "dags"
HEAVY = ("tensorflow", "keras", "mlflow", "kedro", "kedro_mlflow", "numpy", "pandas", "sqlalchemy")
LONGEST_PARSE_S = 0.3

PROBE = """
import json, runpy, sys, time
import airflow.sdk
from airflow.sdk import DAG  # the module loads what is asked of it
known = set(sys.modules)
connections = []
sys.addaudithook(
    lambda event, _: connections.append(event) if event.endswith(".connect") else None
)
began_at = time.perf_counter()
runpy.run_path(sys.argv[1])
print(json.dumps({
    "seconds": time.perf_counter() - began_at,
    "modules": sorted({name.partition(".")[0] for name in set(sys.modules) - known}),
    "connections": connections,
}))
"""


def parse_in_new_process(file: Path) -> dict[str, Any]:
    """Return the seconds, the top-level modules and the connections that parsing costs."""
    answer = subprocess.run(
        [sys.executable, "-c", PROBE, str(file)],
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if name != "KEDRO_ENV"},
    )
    result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return result


def list_faults(file: Path, tries: int = 4) -> list[str]:
    """Return what is wrong with parsing a file; slowness only if it is slow at every try."""
    parse = parse_in_new_process(file)
    faults = [f"imports {name}" for name in HEAVY if name in parse["modules"]]
    faults += [f"opens {event}" for event in sorted(set(parse["connections"]))]
    seconds = [parse["seconds"]]
    while min(seconds) >= LONGEST_PARSE_S and len(seconds) < tries:
        seconds.append(parse_in_new_process(file)["seconds"])
    if min(seconds) >= LONGEST_PARSE_S:
        faults.append("is slow")
    return faults


@pytest.mark.parametrize("file", sorted(DAGS.glob("*_dag.py")), ids=lambda file: file.stem)
def test_parsing_is_quick_and_imports_and_opens_nothing_heavy(file: Path) -> None:
    assert list_faults(file) == []


def test_the_probe_finds_a_file_that_imports_connects_and_dawdles(tmp_path: Path) -> None:
    bad = tmp_path / "bad_dag.py"
    bad.write_text(
        "import sqlite3, time\n"
        "import kedro, numpy\n"
        "sqlite3.connect(':memory:').close()\n"
        f"time.sleep({LONGEST_PARSE_S})\n"
    )
    assert list_faults(bad, tries=1) == [
        "imports kedro",
        "imports numpy",
        "opens sqlite3.connect",
        "is slow",
    ]
