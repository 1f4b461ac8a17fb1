"""How often a promotion is told to be wrong: of models as good, and of models that are worse.

    python benchmarks/hindsight.py

Patients are drawn, not photographed: the gain of the promoted model differs from patient to
patient, and on some cells the two models differ by chance. New patients arrive night after night,
and each night looks back on the promotion, as the nightly run does. Intervals are of percentiles,
which are quick; those of the nightly run also correct for bias and skewness.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from image_classification.gate.hindsight import WRONG_PROMOTION, name_outcome
from image_classification.gate.verdict import PROMOTED

CONF = Path(__file__).resolve().parents[1] / "conf" / "base" / "parameters_hindsight.yml"
TRIALS, RESAMPLES, SEED = 400, 500, 7
CELLS = 100
"""Of a patient."""

SPREAD, DIFFERING = 0.014, 0.04
"""Of the gain over patients (Student's t, four degrees of freedom), and the share of cells on which
two networks as good as one another differ by chance."""


def simulate(
    confidences: list[float], patients_a_night: int, nights: int, loss: float, minimum: int
) -> list[float]:
    """Return the share of promotions that are told to be wrong on some night, by confidence."""
    random = np.random.default_rng(SEED)
    told = np.zeros(len(confidences))
    count = patients_a_night * nights
    for _ in range(TRIALS):
        effect = random.standard_t(4, count) * SPREAD - loss
        differing = random.binomial(CELLS, DIFFERING, count)
        chance = 2 * random.binomial(differing, 0.5) - differing
        gain = effect + chance / CELLS
        wrong = np.zeros(len(confidences), bool)
        for known in range(patients_a_night, count + 1, patients_a_night):
            if known < minimum:
                continue
            means = gain[:known][random.integers(0, known, (RESAMPLES, known))].mean(axis=1)
            for place, confidence in enumerate(confidences):
                low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
                outcome = name_outcome(PROMOTED, low, high, 0.0)
                wrong[place] |= outcome == WRONG_PROMOTION
        told += wrong
    return [float(share) for share in told / TRIALS]


def main() -> None:
    """Print a table."""
    rule = yaml.safe_load(CONF.read_text())["hindsight"]
    confidences = [0.95, 0.98, 0.99]
    print("promoted model worse by | patients a night | " + " | ".join(map(str, confidences)))
    for loss in (0.0, 0.005, 0.01, 0.02):
        for patients in (2, 5):
            shares = simulate(
                confidences, patients, rule["maximum_decisions"], loss, rule["minimum_patients"]
            )
            cells = " | ".join(f"{100 * share:.1f} %" for share in shares)
            print(f"{100 * loss:g} points | {patients} | {cells}", flush=True)


if __name__ == "__main__":
    main()
