"""What parsing a DAG file costs beyond importing airflow.sdk, and what it imports.

    python benchmarks/parsing.py

Each DAG file is parsed in a fresh process, as Airflow's DAG processor does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

import measuring

HEAVY = ("kedro", "mlflow", "numpy", "pandas", "tensorflow")

PARSE = """
import json, runpy, sys, time
import airflow.sdk
began = time.perf_counter()
runpy.run_path(sys.argv[1])
seconds = time.perf_counter() - began
print(json.dumps([seconds, [name for name in sys.argv[2:] if name in sys.modules]]))
"""

IMPORT = """
import time
began = time.perf_counter()
import airflow.sdk
print(time.perf_counter() - began)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    measuring.add_options(parser, rounds=5)
    options = parser.parse_args()
    files = sorted((measuring.PROJECT / "dags").glob("*.py"))
    slowest: list[float] = []
    imports: list[float] = []
    parsed: dict[str, list[float]] = {file.stem: [] for file in files}
    for _ in range(2 if options.quick else options.rounds):
        imports.append(float(run(IMPORT)))
        for file in files:
            seconds, heavy = json.loads(run(PARSE, str(file), *HEAVY))
            if heavy:
                raise SystemExit(f"{file.name} imports {', '.join(heavy)}")
            parsed[file.stem].append(seconds)
        slowest.append(max(times[-1] for times in parsed.values()))
    line = measuring.compare(
        "the slowest DAG file, beyond importing airflow.sdk (absolute: at most 0.1 s)",
        "importing airflow.sdk",
        (slowest, imports),
        unit="s",
        goal=0.1,
        better="at most",
    )
    measuring.keep("parsing", [line], {"files": parsed}, options.to)


def run(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return answer.stdout.splitlines()[-1]


if __name__ == "__main__":
    main()
