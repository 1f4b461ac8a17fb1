"""What each rule of the gate costs: accuracy lost on patients that nobody saw, night by night.

    python benchmarks/regret.py                                  # made cells
    python benchmarks/regret.py --data cell_images.zip           # real ones too
    python benchmarks/regret.py --data cell_images.zip --compare # the stored nights alone

A third of the patients are kept back. Sequences of nights are played over the others: by date,
reversed, in random orders, with small and large first nights, with and without bad nights, and
these with the screening passed and on. Each night is trained once, and what every version answers
is kept in the cache, so that it goes on where it was stopped, and policies are compared afterwards,
on the same nights, in seconds.

Regret is what the champion of a night is worse, on the images kept back, than the best version
there was that night.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import pickle
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from itertools import repeat
from pathlib import Path
from typing import Any

import pandas as pd
import regret_report as report
from regret_policies import (
    NEVER,
    SHIPPED,
    Nights,
    Policy,
    count_moves,
    list_policies,
    live,
    vary_guardrails,
)
from regret_sequences import Sequence, list_sequences, read_pool
from regret_training import Played, play, start_worker
from stored_predictions import read_parameters


def main() -> None:
    options = parse()
    sequences = list_sequences(options.quick, options.data is not None)
    if not options.compare:
        train_all(sequences, options)
    kept = [one for one in sequences if locate(one, options.cache).exists()]
    if missing := len(sequences) - len(kept):
        print(f"{missing} of {len(sequences)} sequences are not trained yet and left out.")
    began = time.monotonic()
    results = compare_all(kept, options.cache)
    report.show(results)
    print(f"Compared in {time.monotonic() - began:.0f} s.")
    if options.to:
        results.to_json(options.to, orient="records", indent=1)
    if options.plot:
        report.draw(results).savefig(options.plot, dpi=100)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="archive of <label>/<name>.png")
    parser.add_argument("--cache", type=Path, default=Path(".local/benchmarks/regret"))
    parser.add_argument(
        "--compare", action="store_true", help="train nothing, compare what is kept"
    )
    parser.add_argument("--quick", action="store_true", help="a few sequences")
    parser.add_argument("--to", type=Path, help="a JSON file")
    parser.add_argument("--plot", type=Path, help="a PNG file")
    return parser.parse_args()


def locate(sequence: Sequence, cache: Path) -> Path:
    """Return where a sequence is kept whose nights are all trained.

    The folder is named after what its nights depend on: images, training and intake.
    """
    parameters = read_parameters()
    ids = pd.read_parquet(cache / f"{sequence.source}.parquet", columns=["image_id"])["image_id"]
    intake = [parameters["data_processing"][name] for name in ("contract", "screening")]
    key = [sorted(ids), parameters["training"], parameters["image_size_px"], intake]
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]
    return cache / f"sequences-{digest}" / f"{sequence.name.replace(' ', '_')}.pickle"


def train_all(sequences: list[Sequence], options: argparse.Namespace) -> None:
    """Train the nights of every sequence that are not kept yet, in a process for each core."""
    for source in {options.data, None}:
        read_pool(source, options.cache)
    missing = [one for one in sequences if not locate(one, options.cache).exists()]
    began, done = time.monotonic(), len(sequences) - len(missing)
    context = multiprocessing.get_context("spawn")  # a fork of TensorFlow's threads may hang
    arguments = (options.data, options.cache)
    with ProcessPoolExecutor(os.cpu_count(), context, start_worker, arguments) as pool:
        futures = {pool.submit(play, one, options.cache): one for one in missing}
        for future in as_completed(futures):
            sequence, played = futures[future], future.result()
            path = locate(sequence, options.cache)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".part").write_bytes(pickle.dumps(played))
            path.with_suffix(".part").replace(path)
            done += 1
            print(
                f"{time.monotonic() - began:5.0f} s: {done} of {len(sequences)}, {sequence.name}: "
                + describe(played),
                flush=True,
            )


def compare_all(sequences: list[Sequence], cache: Path) -> pd.DataFrame:
    """Let every policy live every sequence; a row each: see `compare_one`, and moves a year."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), context) as pool:
        rows = [row for part in pool.map(compare_one, sequences, repeat(cache)) for row in part]
        policies = list_policies()
        moves = {
            one.name: number
            for one, number in zip(policies, pool.map(count_moves, policies), strict=True)
        }
    table = pd.DataFrame(rows)
    return table.assign(moves_a_year=table["policy"].map(moves))


def compare_one(sequence: Sequence, cache: Path) -> list[dict[str, Any]]:
    """Return what each policy makes of a sequence.

    Returns:
        `table` (rules, or guardrails), `policy`, `sequence`, `kind`, `regrets`, `losses`,
        `champions` as in `Outcome`, and `accuracies` of the champions.
    """
    played: Played = pickle.loads(locate(sequence, cache).read_bytes())  # noqa: S301 - our own
    nights = Nights(played)
    usual = live(nights, Policy("", {"custom": NEVER}, None)).champions
    since = usual[0] if usual else None
    tables = {
        "rules": list_policies(),
        "guardrails": vary_guardrails("shipped", SHIPPED["improvement"]),
    }
    rows = []
    for table, policies in tables.items():
        for policy in policies:
            outcome = live(nights, policy, since)
            rows.append(
                {"table": table, "policy": policy.name, "sequence": sequence.name}
                | {"kind": sequence.kind}
                | asdict(outcome)
                | {"accuracies": [float(played.accuracies[one]) for one in outcome.champions]}
            )
    return rows


def describe(played: Played) -> str:
    """Return the accuracies of a sequence's versions, and the nights without one."""
    words = iter(f"{accuracy:.3f}" for accuracy in played.accuracies)
    return " ".join(
        next(words) if night["state"] == "trained" else night["state"] for night in played.nights
    )


if __name__ == "__main__":
    main()
