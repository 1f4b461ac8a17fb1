"""Nights of the gate, drawn from what several networks answered of images they never saw.

A simulated model is made of stored answers patient by patient: each patient's answers come from one
of the networks, drawn by lot. Models made so are equally good by construction, and yet right and
wrong on the same cells as real networks are. A made gain turns each wrong answer into a right one
with a fixed chance, and lessens the doubt of every answer by the same share, so that the better
model is as well calibrated. The verdict is `judgement.decide`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from simulated_night import (
    PAIRS,
    Night,
    Random,
    add_gain,
    draw_equal_pair,
    draw_night,
    find_share,
    mix_models,
)
from stored_predictions import CLASS_NAMES, Stored

from image_classification.gate import judgement
from image_classification.gate.comparison import bootstrap_gain, measure_mcnemar
from image_classification.gate.number import DECIMALS
from image_classification.gate.prediction import tabulate_predictions

POSITIVE_CLASS = "Parasitized"

PATIENTS = (10, 20, 40, 80)
VALIDATION_PATIENTS = 20
GAINS = (0.005, 0.01, 0.02, 0.03)
CONFIDENCES = (0.9, 0.95, 0.975, 0.98, 0.99)
INTERVALS = (0.98, 0.99)
"""Confidences at which the interval is tried with McNemar's test beside it and without."""

MADE_GAINS = (-0.005, 0.005, 0.01, 0.02)
FEW_CELLS = 20
"""Of a patient, at most: nights on which the two models differ on a handful of cells."""

YEAR = 365
MOST_NIGHTS = 100
SOON = 30
CHECKED = 100
"""Nights of each table on which the short cut is compared with the whole `judgement.decide`."""

AT_LEAST, ABOVE, MCNEMAR = "new >= old", "new > old", "McNemar alone"
BOOTSTRAP, TESTS, GATE = "bootstrap alone", "both tests", "default gate"
WITHOUT = "default gate without McNemar"
RULES = (AT_LEAST, ABOVE, MCNEMAR, BOOTSTRAP, TESTS, GATE)
YEAR_RULES = (AT_LEAST, ABOVE, GATE)

Policy = Mapping[str, Any]


def choose_superiority(policy: Policy) -> dict[str, Any]:
    """Return the policy with the rule `superiority`, its numbers beside it as they once stood."""
    improvement = policy["improvement"]
    flat = {name: improvement[name] for name in ("minimum_gain", "resamples")}
    return {**policy, "improvement": flat | improvement["superiority"]}


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

    def find_failed(self) -> set[str]:
        """Return the names of the gate's rules that are not met."""
        return {check["name"] for check in self.decide()["checks"] if not check["passed"]}


_measure_mcnemar = lru_cache(maxsize=None)(measure_mcnemar)


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
    promoted |= {MCNEMAR: 0, GATE: 0, WITHOUT: 0}
    share = find_share(stored, abs(gain))
    for _ in range(nights):
        night = draw_night(stored, patient_count, random, cells)
        better, other = draw_equal_pair(night, random)
        better = add_gain(better, night.targets, share, random)
        pair = (better, other) if gain >= 0 else (other, better)
        surely = Trial(night, *pair, policy).passes(MCNEMAR)
        promoted[MCNEMAR] += surely
        for confidence in INTERVALS:
            rule = policy["improvement"] | {"confidence": confidence}
            trial = Trial(night, *pair, {**policy, "improvement": rule})
            # The mean lies within the interval, and more confidence is never narrower.
            if trial.gain <= rule["minimum_gain"] or not trial.passes(BOOTSTRAP):
                break
            promoted[f"interval {confidence:g}"] += 1
            promoted[f"both {confidence:g}"] += surely
            if rule == policy["improvement"]:
                failed = trial.find_failed()
                promoted[GATE] += not failed
                promoted[WITHOUT] += not failed - {"mcnemar"}
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
