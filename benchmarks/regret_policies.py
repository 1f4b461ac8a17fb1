"""Policies as data, and what each makes of the stored nights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np
from regret_training import Played
from scipy import stats
from simulated_night import Night, draw_night, mix_models
from stored_predictions import CLASS_NAMES, make_predictions, read_parameters

from image_classification.gate.comparison import bootstrap_gain, measure_mcnemar
from image_classification.gate.improvement import check_improvement
from image_classification.gate.measure import measure_predictions
from image_classification.gate.policy import settle_improvement
from image_classification.gate.posterior import SPREAD, measure_spread
from image_classification.gate.prediction import tabulate_predictions
from image_classification.gate.rule import check_floors, check_guardrails

POSITIVE_CLASS = "Parasitized"
SHIPPED: dict[str, Any] = read_parameters()["promotion"]
MINIMUM_PATIENT_IMAGES = SHIPPED["guardrails"]["minimum_patient_images"]

NEWEST, BEST, NEVER = "always the newest", "best possible", "never again"
SEQUENTIAL, EMPIRICAL = "evidence added up", "prior of past gains"
TIGHTER = {"maximum_sensitivity_fall": 0.01, "maximum_calibration_error_rise": 0.02}
"""Guardrails that were in force before."""

BEFORE = "surely better, 98 % (before)"
LOSSES = (
    *(
        (loss, patients, 0.0)
        for loss, patients in ((0.001, 5), (0.002, 5), (0.003, 10), (0.005, 5))
    ),
    *((loss, 10, 0.003) for loss in (0.001, 0.002, 0.003, 0.005)),
    *(
        (0.003, patients, gain)
        for patients, gain in ((5, 0.005), (10, 0.005), (20, 0.003), (20, 0.01))
    ),
)
"""Of the rule `expected_loss`: largest loss, imagined patients, their gain."""


@dataclass(frozen=True)
class Policy:
    """A row of the table.

    Attributes:
        improvement: of the gate's policy; or, for rules that the gate does not have, `custom` and
            its numbers.
        guardrails: of the gate's policy; None for none.
        floors: of the gate's policy; None for none.
    """

    name: str
    improvement: Mapping[str, Any]
    guardrails: Mapping[str, Any] | None = field(default_factory=lambda: SHIPPED["guardrails"])
    floors: Mapping[str, Any] | None = field(default_factory=lambda: SHIPPED["floors"])


def superior(confidence: float, significance: float = 0.05, patients: int = 10) -> dict[str, Any]:
    section = {
        "confidence": confidence,
        "significance": significance,
        "minimum_patients": patients,
    }
    return SHIPPED["improvement"] | {"rule": "superiority", "superiority": section}


def not_worse(margin: float, confidence: float) -> dict[str, Any]:
    section = {"margin": margin, "confidence": confidence}
    return SHIPPED["improvement"] | {"rule": "non_inferiority", "non_inferiority": section}


def lose(maximum: float, prior_patients: float, prior_gain: float) -> dict[str, Any]:
    section = {
        "maximum_loss": maximum,
        "prior_patients": prior_patients,
        "prior_gain": prior_gain,
    }
    return SHIPPED["improvement"] | {"rule": "expected_loss", "expected_loss": section}


def list_policies() -> list[Policy]:
    """Return the rules that are compared, all with the shipped floors and guardrails."""
    rules: dict[str, Mapping[str, Any]] = {
        BEFORE: superior(0.98),
        **{
            f"surely better, {100 * confidence:.0f} %": superior(confidence, 1, 2)
            for confidence in (0.95, 0.9, 0.8, 0.6)
        },
        **{
            f"not worse by {100 * margin:g}, {100 * confidence:.0f} %": not_worse(
                margin, confidence
            )
            for margin, confidence in ((0.005, 0.95), (0.01, 0.95), (0.01, 0.8), (0.02, 0.95))
        },
        **{
            f"expected loss {100 * loss:g}, prior of {prior} with {100 * gain:g}": lose(
                loss, prior, gain
            )
            for loss, prior, gain in LOSSES
        },
        **{
            f"{SEQUENTIAL}, margin {100 * margin:g}": {
                "custom": SEQUENTIAL,
                "margin": margin,
                "level": 0.05,
            }
            for margin in (0.0, 0.01, 0.02)
        },
        **{
            f"{EMPIRICAL}, loss {100 * loss:g}": {"custom": EMPIRICAL, "maximum_loss": loss}
            for loss in (0.001, 0.002, 0.003)
        },
        "better on validation": {"custom": "gain"},
        NEWEST: {"custom": NEWEST},
        NEVER: {"custom": NEVER},
        BEST: {"custom": BEST},
    }
    rules = {
        f"{name} (default)" if rule == SHIPPED["improvement"] else name: rule
        for name, rule in rules.items()
    }
    bare = {NEWEST, NEVER, BEST}
    return [
        Policy(name, rule, guardrails=None) if name in bare else Policy(name, rule)
        for name, rule in rules.items()
    ]


def vary_guardrails(name: str, improvement: Mapping[str, Any]) -> list[Policy]:
    """Return a rule with every guardrail and floor, without each, and without any."""
    rails, floors = SHIPPED["guardrails"], SHIPPED["floors"]
    limits = [key for key in rails if key.startswith("maximum_")]
    return [
        Policy(name, improvement),
        Policy("as tight as before", improvement, {**rails, **TIGHTER}),
        *(Policy(f"without {key}", improvement, drop(rails, key)) for key in limits),
        Policy("without guardrails", improvement, None),
        *(
            Policy(f"without floor of {key}", improvement, floors=drop(floors, key))
            for key in floors
        ),
        Policy("without floors", improvement, floors=None),
    ]


def drop(section: Mapping[str, Any], key: str) -> dict[str, Any]:
    if key == "maximum_worst_patient_fall":
        return {**section, key: 1.0}
    return {name: value for name, value in section.items() if name != key}


class Tests(dict[str, Any]):
    """What the gate's rules take; the interval is drawn where a rule asks for it."""

    def __init__(self, gains: np.ndarray, images: np.ndarray, confidence: float) -> None:
        super().__init__(
            gain=float(gains.sum() / images.sum()),
            spread=measure_spread(gains, images),
            patients=len(gains),
            confidence=confidence,
        )
        self.gains, self.images = gains, images

    def __missing__(self, key: str) -> Any:
        if key in {"low", "high"}:
            self["low"], self["high"] = self.draw(self["confidence"])
        return self[key]

    def draw(self, confidence: float) -> tuple[float, float]:
        """Return the interval of the gain at a confidence."""
        key = (tuple(self.gains), tuple(self.images), confidence)
        return _draw_interval(*key)


@cache
def _draw_interval(
    gains: tuple[float, ...], images: tuple[float, ...], confidence: float
) -> tuple[float, float]:
    return bootstrap_gain(np.array(gains), np.array(images), confidence, 9999)


class Nights:
    """The nights of a played sequence as the gate sees them; what is computed is kept."""

    def __init__(self, played: Played, patients: frozenset[str] | None = None) -> None:
        """Take a sequence.

        Args:
            played: the sequence.
            patients: the only validation patients that the gate may see; None for all.
        """
        self.played = played
        self._patients = patients
        self._metrics: dict[tuple[int, int], dict[str, float]] = {}

    @cached_property
    def versions(self) -> list[tuple[int, int]]:
        """Number of the night and of the version, of each night on which one was trained."""
        nights = enumerate(self.played.nights)
        return [
            (number, night["version"]) for number, night in nights if night["state"] == "trained"
        ]

    def select(self, night: int) -> np.ndarray:
        """Return a mask of the validation images that are known on a night."""
        table = self.played.validation
        known = table["batch"].isin(self.played.nights[night]["batches"]).to_numpy()
        if self._patients is not None:
            known = known & table["patient"].isin(self._patients).to_numpy()
        return np.asarray(known)

    def can_judge(self, night: int) -> bool:
        """Return whether the validation images known on a night are of both classes."""
        return self.played.validation["label"][self.select(night)].nunique() == len(CLASS_NAMES)

    def measure(self, night: int, version: int) -> dict[str, float]:
        """Return the gate's measures of a version."""
        key = (night, version)
        if key not in self._metrics:
            chosen = self.select(night)
            first = self.played.validation_answers[version][chosen].astype(float)
            answers = np.stack([first, 1 - first], axis=1)
            table = tabulate_predictions(self.played.validation[chosen], answers, CLASS_NAMES)
            self._metrics[key] = measure_predictions(table, CLASS_NAMES, POSITIVE_CLASS)
        return self._metrics[key]

    def find_right(self, night: int, version: int) -> np.ndarray:
        """Return which of a night's validation images a version has right, 0 or 1."""
        chosen = self.select(night)
        first = self.played.validation_answers[version][chosen] >= 0.5
        labels = (self.played.validation["label"][chosen] == CLASS_NAMES[0]).to_numpy()
        return np.asarray(first == labels).astype(int)

    def compare(self, night: int, ours: int, theirs: int) -> dict[str, Any]:
        """Return as much of a comparison as the rules take."""
        table = self.played.validation[self.select(night)]
        names, own = np.unique(table["patient"].to_numpy(str), return_inverse=True)
        right = [self.find_right(night, version) for version in (ours, theirs)]
        images = np.bincount(own).astype(float)
        of_patient = [np.bincount(own, one) for one in right]
        tests = Tests(of_patient[0] - of_patient[1], images, 0.95)
        tests["names"] = names
        tests["only_challenger_right"] = int((right[0] > right[1]).sum())
        tests["only_champion_right"] = int((right[0] < right[1]).sum())
        tests["p_value"] = measure_mcnemar(
            tests["only_challenger_right"], tests["only_champion_right"]
        )
        return {
            "challenger": {"metrics": self.measure(night, ours)},
            "champion": {"metrics": self.measure(night, theirs)},
            "tests": tests,
            "slices": [
                {
                    "patient": name,
                    "images": int(count),
                    "challenger": float(mine / count),
                    "champion": float(other / count),
                }
                for name, count, mine, other in zip(names, images, *of_patient, strict=True)
                if count >= MINIMUM_PATIENT_IMAGES
            ],
        }


@dataclass(frozen=True)
class Outcome:
    """What a policy made of a sequence.

    Attributes:
        champions: version after each night on which one was trained, from the first champion on.
        regrets: of accuracy on the images kept back, for the same nights.
        losses: of each promotion but the first, what the new champion is worse there (below 0:
            better).
    """

    champions: list[int]
    regrets: list[float]
    losses: list[float]


def live(nights: Nights, policy: Policy, since: int | None = None) -> Outcome:
    """Let a policy decide night by night.

    Args:
        nights: of a sequence.
        policy: decides.
        since: nights before this version count for nothing; None: before the first champion.
    """
    accuracies = nights.played.accuracies
    champion: int | None = None
    memory: dict[str, Any] = {}
    champions, regrets, losses = [], [], []
    for night, version in nights.versions:
        if not nights.can_judge(night):
            pass
        elif champion is None:
            floors = policy.floors or {}
            checks = check_floors(nights.measure(night, version), floors)
            if all(check["passed"] for check in checks):
                champion = version
        elif decide(nights, policy, (night, version, champion), memory):
            losses.append(float(accuracies[champion] - accuracies[version]))
            champion = version
        if champion is not None and (since is None or version >= since):
            champions.append(champion)
            regrets.append(float(accuracies[: version + 1].max() - accuracies[champion]))
    return Outcome(champions, regrets, losses)


def decide(
    nights: Nights, policy: Policy, at: tuple[int, int, int], memory: dict[str, Any]
) -> bool:
    """Return whether a policy promotes a version on a night: `at` is night, version, champion."""
    night, version, champion = at
    accuracies = nights.played.accuracies
    custom = policy.improvement.get("custom", "")
    if custom in {NEWEST, NEVER, BEST}:
        better = accuracies[version] > accuracies[champion]
        return bool({NEWEST: True, NEVER: False, BEST: better}[custom])
    comparison = nights.compare(night, version, champion)
    if custom:
        better = CUSTOM[custom](comparison["tests"], policy.improvement, memory, champion)
    else:
        rule = settle_improvement(policy.improvement)
        comparison["tests"]["confidence"] = rule["confidence"]
        better = all(check["passed"] for check in check_improvement(comparison, rule))
    return bool(better and all(check["passed"] for check in check_others(comparison, policy)))


def check_others(comparison: Mapping[str, Any], policy: Policy) -> Iterator[Any]:
    """Yield the checks of the floors and the guardrails."""
    if policy.floors is not None:
        yield from check_floors(comparison["challenger"]["metrics"], policy.floors)
    if policy.guardrails is not None:
        yield from check_guardrails(comparison, policy.guardrails)


# ---- rules that the gate does not have


def judge_sequentially(
    tests: Tests, numbers: Mapping[str, Any], memory: dict[str, Any], champion: int
) -> bool:
    """Add up the gains of patients that are new since this champion, each counted once.

    Asymptotic confidence sequence, valid at any stopping time: Waudby-Smith I., Arbour D.,
    Sinha R., Kennedy E. H. and Ramdas A. (2024), Annals of Statistics 52:2613, their (8),
    one-sided, narrowest at 20 patients.
    """
    if memory.get("champion") != champion:
        memory |= {"champion": champion, "seen": {}}
    gains = tests.gains / tests.images
    memory["seen"] |= {
        name: gain
        for name, gain in zip(tests["names"], gains, strict=True)
        if name not in memory["seen"]
    }
    values = np.array(list(memory["seen"].values()))
    count, level = len(values), 2 * numbers["level"]
    if count < 2:
        return False
    rho = np.sqrt((-2 * np.log(level) + np.log(-2 * np.log(level) + 1)) / 20)
    grown = count * rho**2 + 1
    width = max(values.std(ddof=1), 1e-3) * np.sqrt(
        2 * grown / (count * rho) ** 2 * np.log(1 + np.sqrt(grown) / level)
    )
    return bool(tests["gain"] >= 0 and values.mean() - width > -numbers["margin"])


def judge_by_past(tests: Tests, numbers: Mapping[str, Any], memory: dict[str, Any], _: int) -> bool:
    """Take the prior from the gains of the nights before: empirical Bayes.

    Mean and spread of the true gains by moments: Morris C. N. (1983), JASA 78:47; two nights of no
    gain, one point apart, are added, so that the first nights have a prior.
    """
    error = max(tests["spread"], SPREAD / 2) ** 2 / max(1, tests["patients"] - 1)
    past = memory.setdefault("past", [])
    gains = np.array([0.005, -0.005, *(gain for gain, _ in past)])
    mean = float(gains.mean())
    between = max(gains.var(ddof=1) - np.mean([0.0, 0.0, *(e for _, e in past)]), 0.002**2)
    past.append((tests["gain"], error))
    weight = between / (between + error)
    centre, scale = mean + weight * (tests["gain"] - mean), np.sqrt(weight * error)
    z = centre / scale
    loss = scale * (stats.norm.pdf(z) - z * stats.norm.sf(z))
    return bool(centre >= 0 and loss <= numbers["maximum_loss"])


CUSTOM: dict[str, Callable[[Tests, Mapping[str, Any], dict[str, Any], int], bool]] = {
    SEQUENTIAL: judge_sequentially,
    EMPIRICAL: judge_by_past,
    "gain": lambda tests, *_: bool(tests["gain"] >= 0),
}


# ---- a year among equal models

YEARS, YEAR, YEAR_PATIENTS = 4, 365, 20


def count_moves(policy: Policy) -> float | None:
    """Return how often a rule moves in a year in which no challenger is better than another.

    The models are made up, equally good by construction: `stored_predictions.make_predictions`.
    The rule alone decides. None for rules that know more than two models can tell.
    """
    custom = policy.improvement.get("custom", "")
    if custom in {NEVER, BEST}:
        return None
    stored = make_predictions()
    moves = 0
    for year in range(YEARS):
        random = np.random.default_rng([year, YEAR])
        night = draw_night(stored, YEAR_PATIENTS, random)
        images = np.bincount(night.patients).astype(float)
        memory: dict[str, Any] = {}
        champion, number = find_right(night, random), 0
        for _ in range(YEAR):
            challenger = find_right(night, random)
            gains = np.bincount(night.patients, challenger - champion)
            if decide_between(gains, images, challenger - champion, policy, memory, number):
                champion, number, moves = challenger, number + 1, moves + 1
    return moves / YEARS


def find_right(night: Night, random: np.random.Generator) -> np.ndarray:
    """Return which images a made-up model has right."""
    return np.asarray(mix_models(night, random).argmax(axis=1) == night.targets).astype(int)


def decide_between(
    gains: np.ndarray,
    images: np.ndarray,
    difference: np.ndarray,
    policy: Policy,
    memory: dict[str, Any],
    champion: int,
) -> bool:
    custom = policy.improvement.get("custom", "")
    if custom == NEWEST:
        return True
    tests = Tests(gains, images, 0.95)
    tests["names"] = range(len(gains))
    tests["only_challenger_right"] = int((difference > 0).sum())
    tests["only_champion_right"] = int((difference < 0).sum())
    tests["p_value"] = measure_mcnemar(tests["only_challenger_right"], tests["only_champion_right"])
    if custom:
        return CUSTOM[custom](tests, policy.improvement, memory, champion)
    rule = settle_improvement(policy.improvement)
    tests["confidence"] = rule["confidence"]
    return all(check["passed"] for check in check_improvement({"tests": tests}, rule))
