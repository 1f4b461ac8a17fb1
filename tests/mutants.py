"""Change the sources in small ways, and tell how many of the changes a test notices.

`make mutants` runs mutmut for one folder after another, each with the tests of that folder alone.
A whole run takes hours: `--sample 200` tries so many changes of each folder, drawn at random and
always the same ones, and tells between which bounds the share of all lies (95 %, by Wilson).
The changed sources stay in `mutants/<folder>`. To see a change that no test noticed:
`cd mutants/<folder> && ../../.venv/bin/mutmut show <name>`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
FOLDERS = ("gate", "intake", "champion", "datasets")
REQUIRED_SHARE = 0.9
SEED = 20150603
"""Which changes a sample holds."""
NOTICED = ("killed", "timeout", "segfault", "caught by type check")
"""What a change that makes a test fail, run on for ever or crash is called by mutmut."""
UNTRIED = "not checked"


def main() -> int:
    """Run it for some folders; return 1 where too few changes are noticed in one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", metavar="folder", help=f"of {', '.join(FOLDERS)}")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--sample", type=int, help="changes of each folder; all if left out")
    options = parser.parse_args()
    if unknown := set(options.folders) - set(FOLDERS):
        parser.error(f"no such folder: {', '.join(sorted(unknown))}; allowed: {', '.join(FOLDERS)}")
    lines, survivors, short = [], [], False
    for folder in options.folders or FOLDERS:
        place = lay_out(folder)
        # In a process of its own: mutmut keeps its state in modules, and ends where it fails.
        work = (place, folder, options.processes, options.sample)
        process = multiprocessing.Process(target=mutate, args=work)
        process.start()
        process.join()
        if process.exitcode:
            lines.append(f"{folder:<12}mutmut failed, exit code {process.exitcode}")
            short = True
            continue
        statuses = read_statuses(place)
        line, share = describe(folder, statuses)
        lines.append(line)
        survivors += [
            name for name, status in statuses.items() if status not in (*NOTICED, UNTRIED)
        ]
        short |= share < REQUIRED_SHARE
    print("\nNot noticed by any test:", *sorted(survivors), sep="\n  ")
    head = f"{'folder':<12}{'tried':>7}{'of':>7}{'noticed':>9}{'left':>7}{'share':>8}  95 %"
    print(f"\n{head}", *lines, sep="\n")
    return int(short)


def lay_out(folder: str) -> Path:
    """Make the folder that mutmut works in: links to what it copies from there."""
    place = PROJECT / "mutants" / folder
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for name in ("src", "tests", "conf", "airflow", "pyproject.toml"):
        (place / name).symlink_to(PROJECT / name)
    return place


def mutate(place: Path, folder: str, processes: int, count: int | None) -> None:
    """Run mutmut in `place`; its settings are those of `pyproject.toml`, for one folder.

    Args:
        place: from `lay_out`.
        folder: of `FOLDERS`.
        processes: how many changes are tried at once.
        count: how many are tried; None for all.
    """
    os.chdir(place)
    # Hypothesis draws the same examples each time, so that two runs give the same.
    os.environ["CI"] = "true"
    from mutmut import __main__ as mutmut
    from mutmut.configuration import config

    config().only_mutate = [f"src/image_classification/{folder}/*.py"]
    config().pytest_add_cli_args_test_selection.append(f"tests/{folder}")
    collect = mutmut.collect_source_file_mutation_data

    def draw(**options: Any) -> Any:
        mutants, files = collect(**options)
        return random.Random(SEED).sample(mutants, min(count or len(mutants), len(mutants))), files  # noqa: S311

    mutmut.collect_source_file_mutation_data = draw
    mutmut._run([], processes)


def read_statuses(place: Path) -> dict[str, str]:
    """Return what became of each change, by its name."""
    from mutmut.stats import status_by_exit_code

    statuses = {}
    for path in sorted((place / "mutants" / "src").rglob("*.meta")):
        codes = json.loads(path.read_text())["exit_code_by_key"]
        statuses |= {name: status_by_exit_code[code] for name, code in codes.items()}
    return statuses


def describe(folder: str, statuses: dict[str, str]) -> tuple[str, float]:
    """Return a line of the report, and the share of changes that were noticed."""
    from scipy.stats import binomtest

    counts = Counter(status in NOTICED for status in statuses.values() if status != UNTRIED)
    tried = counts.total()
    if not tried:
        sys.exit(f"{folder}: no change was tried.")
    bounds = binomtest(counts[True], tried).proportion_ci(method="wilson")
    share = counts[True] / tried
    numbers = f"{tried:>7}{len(statuses):>7}{counts[True]:>9}{counts[False]:>7}{share:>8.1%}"
    return f"{folder:<12}{numbers}  {bounds.low:.1%} to {bounds.high:.1%}", share


if __name__ == "__main__":
    sys.exit(main())
