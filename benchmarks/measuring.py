"""What all benchmarks share: two things timed side by side, the machine named, results kept.

Both sides of a comparison run in turn, in one process or as one command after the other, so that a
busy machine slows both alike; the ratio of the medians is what counts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

PROJECT = Path(__file__).resolve().parents[1]
RESULTS = PROJECT / ".local" / "benchmarks"
"""A JSON file per benchmark; `report.py` makes `docs/performance.md` of them."""

PACKAGES = ("tensorflow", "keras", "mlflow", "kedro", "apache-airflow", "numpy")
CPU_FLAGS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2")


@dataclass(frozen=True)
class Comparison:
    """One line of the table.

    Attributes:
        what: is measured.
        against: what it is compared with.
        ours: median of ours.
        theirs: median of the other.
        unit: of both.
        ratio: how it is judged: `ours / theirs`, or the other way round where more is better.
        goal: of the ratio.
        better: whether a ratio should be at least or at most the goal.
        runs: how often each side was measured.
        spread: smallest and largest ratio of the single rounds.
    """

    what: str
    against: str
    ours: float
    theirs: float
    unit: str
    ratio: float
    goal: float
    better: Literal["at least", "at most"]
    runs: int
    spread: tuple[float, float]

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.ratio >= self.goal if self.better == "at least" else self.ratio <= self.goal


def time_call(call: Callable[[], Any]) -> float:
    """Return the seconds of a call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def alternate(
    ours: Callable[[], float], theirs: Callable[[], float], rounds: int
) -> tuple[list[float], list[float]]:
    """Measure both sides in turn, the first of a round changing; return what each measured."""
    measured: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            measured[side].append((ours, theirs)[side]())
    return measured


def compare(  # noqa: PLR0913 - the columns of the table
    what: str,
    against: str,
    measured: tuple[Sequence[float], Sequence[float]],
    *,
    unit: str,
    goal: float,
    better: Literal["at least", "at most"],
    inverse: bool = False,
) -> Comparison:
    """Make a line of the table.

    Args:
        what: is measured.
        against: what it is compared with.
        measured: of ours and of the other, a value per round.
        unit: of the values.
        goal: of the ratio.
        better: whether the ratio should be at least or at most the goal.
        inverse: judge `theirs / ours`: how many times less.
    """
    ours, theirs = (statistics.median(values) for values in measured)
    pairs = [
        (theirs, ours) if inverse else (ours, theirs)
        for ours, theirs in zip(*measured, strict=True)
    ]
    ratios = [above / below for above, below in pairs]
    ratio = theirs / ours if inverse else ours / theirs
    spread = (min(ratios), max(ratios))
    return Comparison(what, against, ours, theirs, unit, ratio, goal, better, len(ratios), spread)


def compare_peaks(what: str, rows: Sequence[Mapping[str, float]], key: str) -> Comparison:
    """Compare the peak memory of the largest size with that of the size before it.

    Args:
        what: is done with a number of images, for the name of the line.
        rows: a size each, rising: `images`, and the peak.
        key: of the peak, which ends in its unit: `peak_mib`, `gib`.
    """
    few, many = rows[-2:]
    return compare(
        f"peak memory of {what}, {many['images']:,} images",
        f"{few['images']:,} images",
        ([many[key]], [few[key]]),
        unit={"mib": "MiB", "gib": "GiB"}[key[-3:]],
        goal=1.1,
        better="at most",
    )


def reset_peak() -> None:
    """Forget the peak memory of this process so far: it begins with that of who started it."""
    Path("/proc/self/clear_refs").write_text("5")


def read_peak_mib() -> float:
    """Return the peak of the resident memory of this process, in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def describe_machine() -> dict[str, Any]:
    """Return what the figures depend on: processor, its flags, cores, memory, versions."""
    cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":", 1)[1].strip() for line in cpu.splitlines() if "model name" in line]
    flags = next((line.split() for line in cpu.splitlines() if line.startswith("flags")), [])
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": names[0] if names else platform.processor(),
        "flags": [flag for flag in CPU_FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def add_options(parser: argparse.ArgumentParser, rounds: int) -> None:
    """Add the options that all benchmarks have."""
    parser.add_argument("--rounds", type=int, default=rounds, help="each side is measured so often")
    parser.add_argument("--quick", action="store_true", help="as `make benchmark` runs it")
    parser.add_argument("--to", type=Path, help="the JSON file; .local/benchmarks/ without it")


def keep(
    name: str,
    comparisons: Sequence[Comparison],
    series: Mapping[str, Any] | None = None,
    to: Path | None = None,
    **options: Any,
) -> None:
    """Print the comparisons as a Markdown table, and keep them as JSON.

    Args:
        name: of the benchmark, and of the file.
        comparisons: the lines.
        series: figures against a size, for the plots.
        to: another file.
        options: what was measured: sizes, data.
    """
    print_table(comparisons)
    path = to or RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "benchmark": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "options": options,
        "comparisons": [asdict(line) | {"met": line.met} for line in comparisons],
        "series": dict(series or {}),
    }
    path.write_text(json.dumps(content, indent=2, default=str))
    print(f"\nKept in {path}")


def print_table(comparisons: Sequence[Comparison]) -> None:
    """Print Markdown."""
    machine = describe_machine()
    print(
        f"\n{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB", end=""
    )
    print(", " + ", ".join(f"{name} {machine[name]}" for name in ("python", *PACKAGES)))
    print("\n| what | against | ours | theirs | ratio | rounds | goal | |")
    print("|---|---|---:|---:|---:|---|---|---|")
    for line in comparisons:
        rounds = f"{line.runs}: {line.spread[0]:.3g} to {line.spread[1]:.3g}"
        print(
            f"| {line.what} | {line.against} | {line.ours:.4g} {line.unit} | "
            f"{line.theirs:.4g} {line.unit} | {line.ratio:.3g} | {rounds} | "
            f"{line.better} {line.goal:g} | {'met' if line.met else 'missed'} |"
        )
