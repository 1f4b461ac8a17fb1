"""Simulate thousands of nights of the gate: promotions by noise, and how soon a real gain is seen.

    python benchmarks/promotion.py                                        # made-up predictions
    python benchmarks/promotion.py --data ../shared/data/cell_images.zip  # of real networks

The archive holds `<label>/<name>.png` of the NIH malaria set. The project's own network is trained
on it, cross-fitted by patient, several times over; what each network answers of patients that it
never saw is kept in the cache, and the nights are drawn from these answers. A simulated model is
made of them patient by patient: each patient's answers come from one of the networks, drawn by lot.
Models made so are equally good by construction, and yet right and wrong on the same cells as real
networks are. A made gain turns each wrong answer into a right one with a fixed chance, and lessens
the doubt of every answer by the same share, so that the better model is as well calibrated.

The policy is that of `conf/base/parameters_promotion.yml`; the verdict is `judgement.decide`'s.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats
from stored_predictions import (
    CLASS_NAMES,
    WEAK_EPOCHS,
    Stored,
    make_predictions,
    read_parameters,
    store_predictions,
)

from image_classification.gate import judgement
from image_classification.gate.comparison import bootstrap_gain, measure_mcnemar
from image_classification.gate.number import DECIMALS
from image_classification.gate.prediction import tabulate_predictions
from image_classification.intake.index import split_patients

POSITIVE_CLASS = "Parasitized"

PATIENTS = (10, 20, 40, 80)
VALIDATION_PATIENTS = 20
GAINS = (0.005, 0.01, 0.02, 0.03)
CONFIDENCES = (0.9, 0.95, 0.975, 0.98, 0.99)
INTERVALS = (0.98, 0.985, 0.99)
"""Confidences at which the interval is tried with McNemar's test beside it and without."""

MADE_GAINS = (-0.005, 0.005, 0.01, 0.02)
FEW_CELLS = (5, 20)
"""Of a patient, at most: nights on which the two models differ on a handful of cells."""

YEAR = 365
MOST_NIGHTS = 100
SOON = 30
CHECKED = 100
"""Nights of each table on which the short cut is compared with the whole `judgement.decide`."""

AT_LEAST, ABOVE, MCNEMAR = "new >= old", "new > old", "McNemar alone"
BOOTSTRAP, TESTS, GATE = "bootstrap alone", "both tests", "default gate"
RULES = (AT_LEAST, ABOVE, MCNEMAR, BOOTSTRAP, TESTS, GATE)
YEAR_RULES = (AT_LEAST, ABOVE, GATE)
COLOURS = {
    AT_LEAST: "#c44e52",
    ABOVE: "#dd8452",
    MCNEMAR: "#937860",
    BOOTSTRAP: "#8172b3",
    TESTS: "#4c72b0",
    GATE: "#55a868",
}
RANGE = "\N{EN DASH}"

Policy = Mapping[str, Any]
Random = np.random.Generator


@dataclass(frozen=True)
class Night:
    """The validation images of a night, or of a year of nights.

    Attributes:
        images: as in `Stored`.
        patients: number of the patient of each image, from 0.
        targets: number of the class of each image.
        probabilities: ``(models, images, classes)``.
        weak: ``(images, classes)`` or None.
    """

    images: pd.DataFrame
    patients: np.ndarray
    targets: np.ndarray
    probabilities: np.ndarray
    weak: np.ndarray | None

    @property
    def patient_count(self) -> int:
        """How many patients there are."""
        return int(self.patients.max()) + 1


def draw_night(
    stored: Stored, patient_count: int, random: Random, cells: int | None = None
) -> Night:
    """Return the images of so many patients, drawn without replacement.

    Args:
        stored: of all patients.
        patient_count: how many patients.
        random: what draws.
        cells: so many images of each patient at most, drawn too; None for all.
    """
    names = np.sort(stored.images["patient"].unique().astype(str))
    chosen = random.choice(names, patient_count, replace=False)
    rows = np.flatnonzero(stored.images["patient"].isin(chosen))
    if cells is not None:
        rows = random.permutation(rows)
        rank = stored.images["patient"].iloc[rows].groupby(stored.images["patient"]).cumcount()
        rows = np.sort(rows[(rank < cells).to_numpy()])
    images = stored.images.iloc[rows].reset_index(drop=True)
    return Night(
        images,
        # In the order that the gate's groups come in, so that both bootstraps draw the same.
        np.unique(images["patient"].to_numpy(str), return_inverse=True)[1],
        stored.targets[rows],
        stored.probabilities[:, rows],
        None if stored.weak is None else stored.weak[rows],
    )


def mix_models(night: Night, random: Random) -> np.ndarray:
    """Return the answers of a simulated model: of each patient those of a model drawn by lot."""
    drawn = random.integers(len(night.probabilities), size=night.patient_count)
    return night.probabilities[drawn[night.patients], np.arange(len(night.patients))]


def draw_equal_pair(night: Night, random: Random) -> tuple[np.ndarray, np.ndarray]:
    """Return challenger and champion, two models of which a coin per patient says which is which.

    Their expected difference is 0 for every patient, whatever the two answered.
    """
    first, second = random.choice(len(night.probabilities), 2, replace=False)
    swapped = random.integers(2, size=night.patient_count)[night.patients].astype(bool)
    one, other = night.probabilities[first], night.probabilities[second]
    return (
        np.where(swapped[:, None], other, one),
        np.where(swapped[:, None], one, other),
    )


def add_gain(
    probabilities: np.ndarray, targets: np.ndarray, share: float, random: Random
) -> np.ndarray:
    """Return the answers of a better model: each wrong answer is right with the chance `share`.

    An answer made right trades the probabilities of the category and the label. Then all doubt,
    the probability of what is not the category, is multiplied by ``1 - share``, as the errors are:
    where a share of wrong answers equals the doubt, it still does.

    Args:
        probabilities: ``(n, classes)``.
        targets: number of the class of each image, ``(n,)``.
        share: of the wrong answers, 0 to 1; a gain over the share of wrong answers.
        random: what draws.
    """
    better = probabilities.copy()
    called = better.argmax(axis=1)
    mended = np.flatnonzero((called != targets) & (random.random(len(targets)) < share))
    label, category = better[mended, targets[mended]], better[mended, called[mended]]
    better[mended, targets[mended]], better[mended, called[mended]] = category, label
    called = better.argmax(axis=1)
    better *= 1 - share
    better[np.arange(len(called)), called] += share
    return better


def find_share(stored: Stored, gain: float) -> float:
    """Return the share of wrong answers to make right, for an expected gain over all images.

    Raises:
        ValueError: the models are not wrong so often.
    """
    error = float(stored.errors.mean())
    if gain > error:
        raise ValueError(f"A gain of {gain} cannot be made of a share of wrong answers of {error}.")
    return gain / error


class Trial:
    """Challenger and champion on a night's images, judged by each rule."""

    def __init__(
        self, night: Night, challenger: np.ndarray, champion: np.ndarray, policy: Policy
    ) -> None:
        self.night, self.policy = night, policy
        self.challenger, self.champion = challenger, champion
        ours, theirs = (
            (answers.argmax(axis=1) == night.targets).astype(int)
            for answers in (challenger, champion)
        )
        self.difference = ours - theirs

    @property
    def gain(self) -> float:
        """Of accuracy, as seen on the night's images."""
        return float(self.difference.mean())

    def passes(self, rule: str) -> bool:
        """Return whether a rule would promote the challenger."""
        match rule:
            case "new >= old":
                return self.gain >= 0
            case "new > old":
                return self.gain > 0
            case "McNemar alone":
                only_ours, only_theirs = ((self.difference == sign).sum() for sign in (1, -1))
                p_value = _measure_mcnemar(int(only_ours), int(only_theirs))
                return p_value <= self.policy["improvement"]["significance"]
            case "bootstrap alone":
                return self.lower_bound > self.policy["improvement"]["minimum_gain"]
            case "both tests":
                return self.passes(MCNEMAR) and self.passes(BOOTSTRAP)
        # The whole gate takes ten times as long as the tests that it asks for, so they come first.
        return self.passes(TESTS) and self.decide()["promote"]

    @cached_property
    def lower_bound(self) -> float:
        """Lower end of the interval of the gain, over patients."""
        night, rule = self.night, self.policy["improvement"]
        gains, images = (
            np.bincount(night.patients, weights).astype(float)
            for weights in (self.difference, np.ones(len(night.patients)))
        )
        low, _ = bootstrap_gain(gains, images, rule["confidence"], rule["resamples"])
        return round(low, DECIMALS)

    def decide(self) -> dict[str, Any]:
        """Return the decision of the project's gate."""
        tables = [
            tabulate_predictions(self.night.images, answers, CLASS_NAMES).assign(model_version=name)
            for name, answers in (("2", self.challenger), ("1", self.champion))
        ]
        return judgement.decide(*tables, CLASS_NAMES, POSITIVE_CLASS, self.policy)


_measure_mcnemar = lru_cache(maxsize=None)(measure_mcnemar)


Pair = Callable[[Night, Random], tuple[np.ndarray, np.ndarray]]


def draw_real_pair(night: Night, random: Random) -> tuple[np.ndarray, np.ndarray]:
    """Return two of the models as they are."""
    first, second = random.choice(len(night.probabilities), 2, replace=False)
    return night.probabilities[first], night.probabilities[second]


def draw_better_pair(night: Night, random: Random) -> tuple[np.ndarray, np.ndarray]:
    """Return one of the models and, as champion, the one that is really worse."""
    return night.probabilities[random.integers(len(night.probabilities))], night.weak


def draw_worse_pair(night: Night, random: Random) -> tuple[np.ndarray, np.ndarray]:
    """Return the model that is really worse and, as champion, one of the others."""
    return draw_better_pair(night, random)[::-1]


PAIRS: dict[str, Pair] = {
    "equal": draw_equal_pair,
    "two networks as they are": draw_real_pair,
    "a better challenger": draw_better_pair,
    "a worse challenger": draw_worse_pair,
}


def try_nights(
    stored: Stored, policy: Policy, pair: str, patient_count: int, nights: int
) -> dict[str, Any]:
    """Count the promotions of each rule over nights that are independent of one another.

    Raises:
        RuntimeError: the short cut to the gate's verdict gave another than the gate.
    """
    random = np.random.default_rng([patient_count, list(PAIRS).index(pair)])
    promoted, gains = dict.fromkeys(RULES, 0), []
    for number in range(nights):
        night = draw_night(stored, patient_count, random)
        trial = Trial(night, *PAIRS[pair](night, random), policy)
        gains.append(trial.gain)
        for rule in RULES:
            promoted[rule] += trial.passes(rule)
        if number < CHECKED and trial.decide()["promote"] != trial.passes(GATE):
            raise RuntimeError(f"The short cut is not the gate, on night {number} of {pair}.")
    return {
        "pair": pair,
        "patients": patient_count,
        "nights": nights,
        "promoted": promoted,
        "mean_gain": float(np.mean(gains)),
        "gain_error": float(np.std(gains) / np.sqrt(nights)),
    }


def try_confidences(
    stored: Stored, policy: Policy, gain: float, patient_count: int, nights: int
) -> dict[str, Any]:
    """Count the promotions of the gate at several levels of confidence, over the same nights.

    Args:
        stored: answers of equally good models.
        policy: of the parameters, but for its confidence.
        gain: true gain of the challenger; 0 for an equal one.
        patient_count: validation patients.
        nights: independent of one another.
    """
    random = np.random.default_rng([patient_count, round(gain * 10_000)])
    promoted = dict.fromkeys(CONFIDENCES, 0)
    for _ in range(nights):
        night = draw_night(stored, patient_count, random)
        challenger, champion = draw_equal_pair(night, random)
        if gain:
            share = find_share(stored, gain)
            challenger = add_gain(challenger, night.targets, share, random)
        for confidence in CONFIDENCES:
            rule = policy["improvement"] | {"confidence": confidence}
            trial = Trial(night, challenger, champion, {**policy, "improvement": rule})
            promoted[confidence] += trial.passes(GATE)
    return {"gain": gain, "patients": patient_count, "nights": nights, "promoted": promoted}


def compare_tests(
    stored: Stored,
    policy: Policy,
    gain: float,
    patient_count: int,
    cells: int | None,
    nights: int,
) -> dict[str, Any]:
    """Count the promotions by the interval, by McNemar's test and by both, over the same nights.

    Args:
        stored: answers of equally good models.
        policy: of the parameters.
        gain: true gain of the challenger; 0 for an equal one, below 0 for a worse one.
        patient_count: validation patients.
        cells: so many of each patient at most; None for all.
        nights: independent of one another.
    """
    random = np.random.default_rng([patient_count, round((1 + gain) * 10_000), cells or 0])
    promoted = {f"{rule} {value:g}": 0 for value in INTERVALS for rule in ("interval", "both")}
    promoted |= {MCNEMAR: 0}
    share = find_share(stored, abs(gain))
    for _ in range(nights):
        night = draw_night(stored, patient_count, random, cells)
        better, other = draw_equal_pair(night, random)
        better = add_gain(better, night.targets, share, random)
        pair = (better, other) if gain >= 0 else (other, better)
        for confidence in INTERVALS:
            rule = policy["improvement"] | {"confidence": confidence}
            trial = Trial(night, *pair, {**policy, "improvement": rule})
            promoted[f"interval {confidence:g}"] += trial.passes(BOOTSTRAP)
            promoted[f"both {confidence:g}"] += trial.passes(TESTS)
        promoted[MCNEMAR] += trial.passes(MCNEMAR)
    return {
        "gain": gain,
        "patients": patient_count,
        "cells": cells,
        "nights": nights,
        "promoted": promoted,
    }


def wait_for_gain(
    stored: Stored, policy: Policy, gain: float, patient_count: int, trials: int
) -> dict[str, Any]:
    """Count the nights until a challenger that is truly better is promoted.

    Champion and validation patients stay from night to night, the challenger is new each night.
    A trial that takes longer than `MOST_NIGHTS` counts as `MOST_NIGHTS + 1`.
    """
    random = np.random.default_rng([patient_count, round(gain * 10_000)])
    share = find_share(stored, gain)
    waits, shown = [], []
    for _ in range(trials):
        night = draw_night(stored, patient_count, random)
        champion, wait = mix_models(night, random), 0
        while True:
            wait += 1
            better = add_gain(mix_models(night, random), night.targets, share, random)
            trial = Trial(night, better, champion, policy)
            shown.append(trial.gain)
            if wait > MOST_NIGHTS or trial.passes(GATE):
                break
        waits.append(wait)
    return {"gain": gain, "patients": patient_count, "waits": waits, "shown": float(np.mean(shown))}


def live_year(
    stored: Stored, policy: Policy, rule: str, patient_count: int, years: int
) -> dict[str, Any]:
    """Count a year's promotions where no challenger is truly better than another."""
    random = np.random.default_rng([patient_count, YEAR])
    promotions, flattery = [], []
    for _ in range(years):
        night = draw_night(stored, patient_count, random)
        champions = run_nights(night, policy, rule, random)
        promotions.append(len(champions) - 1)
        flattery.append(champions[-1] - measure_accuracy(night, night.probabilities))
    return {
        "rule": rule,
        "patients": patient_count,
        "promotions": promotions,
        "flattery": float(np.mean(flattery)),
    }


def run_nights(
    night: Night, policy: Policy, rule: str, random: Random, nights: int = YEAR
) -> list[float]:
    """Return the accuracy of each champion in turn, the first one included."""
    champion = mix_models(night, random)
    accuracies = [measure_accuracy(night, champion)]
    for _ in range(nights):
        challenger = mix_models(night, random)
        if Trial(night, challenger, champion, policy).passes(rule):
            champion = challenger
            accuracies.append(measure_accuracy(night, champion))
    return accuracies


def measure_accuracy(night: Night, answers: np.ndarray) -> float:
    return float((answers.argmax(axis=-1) == night.targets).mean())


def main() -> None:
    options = parse()
    began = time.monotonic()
    policy = read_parameters()["promotion"]
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
        for cells in (None, *FEW_CELLS)
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
            pool.submit(globals()[name], stored, policy, **arguments): number
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
        splits = split_patients(
            pd.Series(images["patient"].unique()), read_parameters()["data_processing"]
        )
        print(f"; {(splits == 'validation').sum()} are validation patients by their hash", end="")
    print(".")


def report_nights(results: Sequence[Mapping[str, Any]]) -> None:
    report_equal(results)
    report_real(results)


def report_equal(results: Sequence[Mapping[str, Any]]) -> None:
    rows = [result for result in results if result["pair"] == "equal"]
    print("\n### Two equally good models: nights on which the challenger is promoted\n")
    print("| rule | " + " | ".join(f"{row['patients']} patients" for row in rows) + " |")
    print("|---|" + "---:|" * len(rows))
    for rule in RULES:
        print(f"| {rule} | " + " | ".join(format_share(row, rule) for row in rows) + " |")
    yearly = [f"{YEAR * row['promoted'][GATE] / row['nights']:.0f}" for row in rows]
    print("| default gate, of 365 such nights | " + " | ".join(yearly) + " |")
    print("| mean gain, points | ", end="")
    means = [f"{100 * row['mean_gain']:+.3f} ± {100 * row['gain_error']:.3f}" for row in rows]
    print(" | ".join(means) + " |")
    print(f"\n{rows[0]['nights']} nights each; 95 % interval of Clopper and Pearson; ± one error.")


def report_real(results: Sequence[Mapping[str, Any]]) -> None:
    rows = [result for result in results if result["pair"] != "equal"]
    if not rows:
        return
    print("\n### Networks as they are: nights on which the challenger is promoted\n")
    print("| challenger | gain, points | " + " | ".join(RULES) + " |")
    print("|---|---:|" + "---:|" * len(RULES))
    for row in rows:
        shares = " | ".join(format_share(row, rule) for rule in RULES)
        print(f"| {row['pair']} | {100 * row['mean_gain']:+.2f} | {shares} |")


def format_share(row: Mapping[str, Any], rule: str) -> str:
    low, high = find_interval(row["promoted"][rule], row["nights"])
    share = row["promoted"][rule] / row["nights"]
    return f"{100 * share:.1f} % ({100 * low:.1f}{RANGE}{100 * high:.1f})"


def find_interval(count: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Clopper and Pearson, 1934, Biometrika 26:404)."""
    interval = stats.binomtest(count, total).proportion_ci(0.95, "exact")
    return interval.low, interval.high


def report_confidences(results: Sequence[Mapping[str, Any]]) -> None:
    print("\n### What the confidence of the interval buys: nights on which the gate promotes\n")
    names = [f"{100 * row['gain']:g} points, {row['patients']} patients" for row in results]
    print("| confidence | " + " | ".join(names) + " |")
    print("|---|" + "---:|" * len(names))
    for confidence in CONFIDENCES:
        shares = [f"{100 * row['promoted'][confidence] / row['nights']:.1f} %" for row in results]
        print(f"| {confidence:g} | " + " | ".join(shares) + " |")


def report_tests(results: Sequence[Mapping[str, Any]]) -> None:
    print("\n### McNemar's test beside the interval: nights on which the tests promote\n")
    rules = list(results[0]["promoted"])
    print("| true gain | patients | cells of each | nights | " + " | ".join(rules) + " |")
    print("|---:|---:|---:|---:|" + "---:|" * len(rules))
    for row in results:
        shares = " | ".join(format_share(row, rule) for rule in rules)
        print(
            f"| {100 * row['gain']:+.1f} | {row['patients']} | {row['cells'] or 'all'} "
            f"| {row['nights']} | {shares} |"
        )


def report_gains(results: Sequence[Mapping[str, Any]]) -> None:
    print("\n### A true gain: nights until the default gate promotes\n")
    print("| true gain | patients | first night | median | 90 % quantile | within 30 nights |")
    print("|---:|---:|---:|---:|---:|---:|")
    for row in sorted(results, key=lambda row: (row["gain"], row["patients"])):
        waits = np.array(row["waits"])
        first, soon = (f"{(waits <= limit).mean():.0%}" for limit in (1, SOON))
        median, late = (
            format_wait(np.quantile(waits, share, method="higher")) for share in (0.5, 0.9)
        )
        print(
            f"| {100 * row['gain']:.1f} points | {row['patients']} | {first} | {median} | {late} "
            f"| {soon} |"
        )


def format_wait(nights: float) -> str:
    return f"{nights:.0f}" if nights <= MOST_NIGHTS else f"> {MOST_NIGHTS}"


def report_years(results: Sequence[Mapping[str, Any]]) -> None:
    print("\n### A year in which no challenger is better: promotions by noise\n")
    print(f"| rule | patients | median | 5{RANGE}95 % | range | years without | flattery, points |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for row in sorted(results, key=lambda row: (RULES.index(row["rule"]), row["patients"])):
        counts = np.array(row["promotions"])
        low, median, high = np.quantile(counts, (0.05, 0.5, 0.95))
        print(
            f"| {row['rule']} | {row['patients']} | {median:.0f} | {low:.0f}{RANGE}{high:.0f} | "
            f"{counts.min()}{RANGE}{counts.max()} | {(counts == 0).mean():.0%} | "
            f"{100 * row['flattery']:+.2f} |"
        )
    print("\nFlattery: what the last champion shows on validation beyond what it is.")


REPORTS: dict[str, Callable[[Sequence[Mapping[str, Any]]], None]] = {
    "try_nights": report_nights,
    "compare_tests": report_tests,
    "try_confidences": report_confidences,
    "wait_for_gain": report_gains,
    "live_year": report_years,
}
"""Of each simulation, what prints its table."""


def draw(results: Mapping[str, Sequence[Mapping[str, Any]]], source: str) -> Figure:
    """Draw promotions of equals by rule, promotions by noise in a year, and the wait for a gain."""
    figure = Figure(figsize=(9, 8.4), layout="constrained")
    figure.suptitle(f"What the gate lets through: simulated nights ({source})")
    upper, lower = figure.subfigures(2, 1, height_ratios=(1, 1.05))
    panels = upper.subplots(1, 2)
    equal = [row for row in results["try_nights"] if row["pair"] == "equal"]
    draw_equal(panels[0], equal)
    draw_years(panels[1], results["live_year"])
    draw_waits(lower.subplots(), results["wait_for_gain"])
    return figure


def draw_equal(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    for rule, height in ((AT_LEAST, 6), (MCNEMAR, 6), (BOOTSTRAP, 7), (GATE, -14)):
        shares = np.array([row["promoted"][rule] / row["nights"] for row in rows])
        ends = np.array([find_interval(row["promoted"][rule], row["nights"]) for row in rows])
        style = {"fmt": "o-", "markersize": 4, "color": COLOURS[rule]}
        axes.errorbar(range(len(rows)), 100 * shares, 100 * np.abs(ends.T - shares), **style)
        write(axes, rule, (0, 100 * shares[0]), (0, height), color=COLOURS[rule])
    axes.axhline(5, color="black", linestyle="--", linewidth=1)
    write(axes, "5 %", (len(rows) - 0.9, 5), (0, 3))
    axes.set_xticks(range(len(rows)), [str(row["patients"]) for row in rows])
    axes.set(yscale="log", ylim=(1, 100), xlim=(-0.2, len(rows) - 0.5))
    axes.set(xlabel="validation patients", ylabel="nights promoted, %")
    axes.set_yticks((1, 2, 5, 10, 20, 50, 100))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_title("Two equally good models", fontsize=11)
    axes.grid(alpha=0.3)


def write(
    axes: Axes, text: str, place: tuple[float, float], shift: tuple[float, float], **style: Any
) -> None:
    """Write a text beside a place of the data, so many points away."""
    axes.annotate(text, place, shift, textcoords="offset points", fontsize=9, **style)


def draw_years(axes: Axes, results: Sequence[Mapping[str, Any]]) -> None:
    rows = [row for row in results if row["patients"] == VALIDATION_PATIENTS]
    rows.sort(key=lambda row: YEAR_RULES.index(row["rule"]))
    for place, row in enumerate(rows):
        counts, jitter = np.array(row["promotions"]), np.random.default_rng(0)
        spots = place + jitter.uniform(-0.25, 0.25, len(counts))
        heights = counts + jitter.uniform(-0.3, 0.3, len(counts))
        axes.plot(spots, heights, ".", color=COLOURS[row["rule"]], alpha=0.3, markersize=4)
        median = float(np.median(counts))
        axes.plot([place - 0.35, place + 0.35], [median, median], color="black", linewidth=2)
        write(axes, f"{median:g}", (place + 0.37, median), (2, -3), fontweight="bold")
    axes.set_xticks(range(len(rows)), [row["rule"] for row in rows])
    axes.set_xlim(-0.5, len(rows) - 0.3)
    axes.set(ylabel="promotions in 365 nights", yscale="symlog", ylim=(-0.5, None))
    axes.set_yticks((0, 1, 2, 5, 10, 20))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title(f"A year with nothing better ({VALIDATION_PATIENTS} patients)", fontsize=11)
    axes.grid(alpha=0.3, axis="y")


def draw_waits(axes: Axes, results: Sequence[Mapping[str, Any]]) -> None:
    nights = np.arange(1, MOST_NIGHTS + 1)
    colours = dict(zip(GAINS, ("#9ecae1", "#6baed6", "#2171b5", "#08306b"), strict=True))
    for row in sorted(results, key=lambda row: -row["gain"]):
        if row["patients"] == VALIDATION_PATIENTS:
            shares = 100 * (np.array(row["waits"])[:, None] <= nights).mean(axis=0)
            label = f"{100 * row['gain']:g} point{'s' * (row['gain'] != 0.01)}"
            axes.step(nights, shares, where="post", color=colours[row["gain"]], label=label)
    axes.set(xlabel="nights", ylabel="challengers promoted, %", ylim=(0, 102), xscale="log")
    axes.set_xticks((1, 2, 3, 5, 7, 10, 14, 20, 30, 50, 100))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_title(
        f"A truly better challenger every night ({VALIDATION_PATIENTS} patients)", fontsize=11
    )
    axes.grid(alpha=0.3)
    axes.legend(title="true gain")


if __name__ == "__main__":
    main()
