"""Simulate thousands of nights of the gate: promotions by noise, and how soon a real gain is seen.

    python benchmarks/promotion.py                                        # made-up predictions
    python benchmarks/promotion.py --data ../shared/data/cell_images.zip  # of real networks

The archive holds `<label>/<name>.png` of the NIH malaria set. The project's own network is trained
on it, cross-fitted by patient, several times over; what each network answers of patients that it
never saw is kept in the cache, and the nights are drawn from these answers, as
`promotion_simulation` says. `--only` runs some of the simulations: what McNemar's test adds to the
interval is `--only compare_tests`.

The policy is that of `conf/base/parameters_promotion.yml` with the rule `superiority`; the verdict
is `judgement.decide`'s. What the other rules cost is `regret.py`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import promotion_simulation as simulation
from promotion_report import REPORTS, draw
from promotion_simulation import (
    FEW_CELLS,
    GAINS,
    MADE_GAINS,
    PAIRS,
    PATIENTS,
    VALIDATION_PATIENTS,
    YEAR_RULES,
    Policy,
    choose_superiority,
)
from stored_predictions import (
    WEAK_EPOCHS,
    Stored,
    make_predictions,
    read_parameters,
    store_predictions,
)

from image_classification.intake.split import draw_splits


def main() -> None:
    options = parse()
    began = time.monotonic()
    policy = choose_superiority(read_parameters()["promotion"])
    stored = store_predictions(options.data, options.cache) if options.data else make_predictions()
    describe(stored, bool(options.data))
    plan = plan_all(stored, options)
    results = run_all(stored, policy, [step for step in plan if step[0] in options.only])
    for name, report in REPORTS.items():
        if name in results:
            report(results[name])
    seconds = time.monotonic() - began
    print(f"\n{seconds / 60:.1f} minutes on {os.cpu_count()} cores.")
    if options.to:
        record = {"policy": policy, "errors": stored.errors.tolist(), **results}
        options.to.write_text(json.dumps(record, indent=2))
    if options.plot and set(results) == set(REPORTS):
        source = "networks on real cells" if options.data else "made-up predictions"
        draw(results, source).savefig(options.plot, dpi=100)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="archive of <label>/<name>.png")
    parser.add_argument("--cache", type=Path, default=Path(".local/benchmarks/promotion"))
    parser.add_argument("--nights", type=int, help="independent nights, for each number")
    parser.add_argument("--trials", type=int, help="waits for a gain and years, for each number")
    parser.add_argument("--only", nargs="+", choices=REPORTS, default=list(REPORTS))
    parser.add_argument("--to", type=Path, help="a JSON file")
    parser.add_argument("--plot", type=Path, help="a PNG file")
    options = parser.parse_args()
    options.nights = options.nights or (10_000 if options.data else 1_000)
    options.trials = options.trials or (400 if options.data else 50)
    return options


def plan_all(stored: Stored, options: argparse.Namespace) -> list[tuple[str, dict[str, Any]]]:
    """Return what is to be simulated, the slowest first: name of the function and arguments."""
    real = [name for name in PAIRS if name != "equal"]
    if stored.weak is None:
        real.clear()
    nights = [
        *(("equal", count, options.nights) for count in PATIENTS),
        *((name, VALIDATION_PATIENTS, options.nights // 5) for name in real),
    ]
    return [
        *(
            ("live_year", {"rule": rule, "patient_count": count, "years": options.trials})
            for rule in reversed(YEAR_RULES)
            for count in reversed(PATIENTS)
        ),
        *(
            ("wait_for_gain", {"gain": gain, "patient_count": count, "trials": options.trials})
            for gain in GAINS
            for count in reversed(PATIENTS)
        ),
        *(
            ("try_confidences", {"gain": gain, "patient_count": count, "nights": number})
            for gain, number in ((0.0, options.nights), (0.02, options.nights // 10))
            for count in PATIENTS
        ),
        *(
            ("try_nights", {"pair": pair, "patient_count": count, "nights": number})
            for pair, count, number in nights
        ),
        *(("compare_tests", arguments) for arguments in plan_tests(options.nights)),
    ]


def plan_tests(nights: int) -> list[dict[str, Any]]:
    """Return the arguments of `compare_tests`: equal models more often, for a share so small."""
    return [
        {
            "gain": gain,
            "patient_count": count,
            "cells": cells,
            "nights": nights if gain == 0 else nights // 4,
        }
        for gain in (0.0, *MADE_GAINS)
        for cells in (None, FEW_CELLS)
        for count in (PATIENTS if gain == 0 and cells is None else PATIENTS[:2])
    ]


def run_all(
    stored: Stored, policy: Policy, plan: Sequence[tuple[str, dict[str, Any]]]
) -> dict[str, list[dict[str, Any]]]:
    """Simulate in as many processes as there are cores; the result does not depend on them."""
    results: dict[int, Any] = {}
    began = time.monotonic()
    context = multiprocessing.get_context("spawn")  # a fork of TensorFlow's threads may hang
    with ProcessPoolExecutor(os.cpu_count(), context) as pool:
        futures = {
            pool.submit(getattr(simulation, name), stored, policy, **arguments): number
            for number, (name, arguments) in enumerate(plan)
        }
        for future in as_completed(futures):
            number = futures[future]
            results[number] = future.result()
            print(
                f"{time.monotonic() - began:5.0f} s: {plan[number][0]} "
                f"{', '.join(map(str, plan[number][1].values()))}",
                file=sys.stderr,
                flush=True,
            )
    return {
        function: [results[number] for number, (name, _) in enumerate(plan) if name == function]
        for function in dict(plan)
    }


def describe(stored: Stored, real: bool) -> None:
    images = stored.images
    errors = ", ".join(f"{100 * error:.2f} %" for error in stored.errors)
    print(
        f"{len(images)} images of {images['patient'].nunique()} patients; wrong: {errors}", end=""
    )
    if stored.weak is not None:
        wrong = (stored.weak.argmax(1) != stored.targets).mean()
        print(f"; trained for {WEAK_EPOCHS} epochs: {100 * wrong:.2f} %", end="")
    if real:
        splits = draw_splits(images["patient"], read_parameters()["data_processing"])
        validation = list(splits.values()).count("validation")
        print(f"; {validation} are validation patients by their hash", end="")
    print(".")


if __name__ == "__main__":
    main()
