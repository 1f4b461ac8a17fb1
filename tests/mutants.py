"""Change the sources in small ways, and tell how many of the changes a test notices.

`make mutants` runs mutmut for one folder after another, each with the tests of that folder alone.
The changed sources stay in `mutants/<folder>`. To see a change that no test noticed:
`cd mutants/<folder> && ../../.venv/bin/mutmut show <name>`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
FOLDERS = ("gate", "intake", "champion", "datasets")
REQUIRED_SHARE = 0.9
NOTICED = ("killed", "timeout", "segfault", "caught by type check")
"""What a change that makes a test fail, run on for ever or crash is called by mutmut."""


def main() -> int:
    """Run it for some folders; return 1 where too few changes are noticed in one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", metavar="folder", help=f"of {', '.join(FOLDERS)}")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    if unknown := set(options.folders) - set(FOLDERS):
        parser.error(f"no such folder: {', '.join(sorted(unknown))}; allowed: {', '.join(FOLDERS)}")
    lines, survivors, short = [], [], False
    for folder in options.folders or FOLDERS:
        place = lay_out(folder)
        # In a process of its own: mutmut keeps its state in modules, and ends where it fails.
        process = multiprocessing.Process(target=mutate, args=(place, folder, options.processes))
        process.start()
        process.join()
        if process.exitcode:
            sys.exit(f"{folder}: mutmut failed, exit code {process.exitcode}.")
        statuses = read_statuses(place)
        line, share = describe(folder, statuses)
        lines.append(line)
        survivors += [name for name, status in statuses.items() if status not in NOTICED]
        short |= share < REQUIRED_SHARE
    print("\nNot noticed by any test:", *sorted(survivors), sep="\n  ")
    print(f"\n{'folder':<12}{'mutants':>9}{'noticed':>9}{'left':>7}{'share':>8}", *lines, sep="\n")
    return int(short)


def lay_out(folder: str) -> Path:
    """Make the folder that mutmut works in: links to what it copies from there."""
    place = PROJECT / "mutants" / folder
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for name in ("src", "tests", "conf", "airflow", "pyproject.toml"):
        (place / name).symlink_to(PROJECT / name)
    return place


def mutate(place: Path, folder: str, processes: int) -> None:
    """Run mutmut in `place`; its settings are those of `pyproject.toml`, for one folder."""
    os.chdir(place)
    # Hypothesis draws the same examples each time, so that two runs give the same.
    os.environ["CI"] = "true"
    from mutmut.__main__ import _run
    from mutmut.configuration import config

    config().only_mutate = [f"src/image_classification/{folder}/*.py"]
    config().pytest_add_cli_args_test_selection.append(f"tests/{folder}")
    _run([], processes)


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
    counts = Counter(status in NOTICED for status in statuses.values())
    share = counts[True] / max(len(statuses), 1)
    line = f"{folder:<12}{len(statuses):>9}{counts[True]:>9}{counts[False]:>7}{share:>8.1%}"
    return line, share


if __name__ == "__main__":
    sys.exit(main())
