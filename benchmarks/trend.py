"""How often the champion's watch alarms when nothing has changed, and how soon when something has.

    python benchmarks/trend.py --figure docs/images/champion-trend.png

Patients are drawn, not photographed: each has an accuracy of its own and some images, spread as
those of the NIH malaria set. A champion is promoted with the accuracy on its validation patients
and then watched, night after night, by the code that the nights run, under the default parameters.
The figure shows two such champions; in the second's time the world changes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from image_classification import figures
from image_classification.configuration.parameters import MonitoringParameters
from image_classification.gate import trend

CONF = Path(__file__).resolve().parents[1] / "conf" / "base" / "parameters_monitoring.yml"
LEVEL, SPREAD = 0.956, 0.033
"""Accuracy over patients, mean and standard deviation: of 100 real ones, each held out in training,
without what their few images add by chance."""

IMAGES = (87.0, 0.52)
"""Of a patient: median, and standard deviation of the logarithm."""

VALIDATION_PATIENTS = 20
PATIENTS_A_NIGHT = 1.7
"""That arrive and that the champion was not trained on: five, of whom a third are never."""

NIGHTS, FALLS_AT = 120, 60
"""Of a champion; the second half is counted, and in it the accuracy has fallen."""

FIRST_NIGHT = datetime(2026, 1, 5, 2, 5, tzinfo=UTC)


def draw_patients(random: np.random.Generator, level: np.ndarray) -> pd.DataFrame:
    """Return how many `images` each patient has, and how many of them are `right`."""
    # A beta distribution of this mean and standard deviation.
    size = level * (1 - level) / SPREAD**2 - 1
    accuracy = random.beta(level * size, (1 - level) * size)
    median, sigma = IMAGES
    images = np.maximum(random.lognormal(np.log(median), sigma, len(level)).astype(int), 10)
    return pd.DataFrame({"images": images, "right": random.binomial(images, accuracy)})


def draw_arrivals(random: np.random.Generator, nights: int, fall: float) -> pd.DataFrame:
    """Return the patients of some nights, in the shape of the index; later ones worse by `fall`."""
    night = np.repeat(np.arange(nights), random.poisson(PATIENTS_A_NIGHT, nights))
    patients = draw_patients(random, LEVEL - fall * (night >= FALLS_AT))
    days = [(FIRST_NIGHT + timedelta(days=int(number))).date().isoformat() for number in night]
    names = [f"{number:05d}" for number in range(len(night))]
    return patients.assign(
        night=night, captured_on=days, first_seen="", image_id=names, patient=names
    )


def watch_champion(
    random: np.random.Generator, nights: range, fall: float, rule: MonitoringParameters
) -> pd.DataFrame:
    """Return the trend of one champion, a row for each of some nights after its first."""
    known = draw_patients(random, np.full(VALIDATION_PATIENTS, LEVEL))
    reference = float(known["right"].sum() / known["images"].sum())
    arrivals = draw_arrivals(random, nights.stop, fall)
    # A row is a patient here, not an image, and ten patients never have less than 200 images.
    by_patient: MonitoringParameters = {**rule, "minimum_images": rule["minimum_patients"]}
    rows = []
    for night in nights:
        chosen = trend.choose_newest(arrivals[arrivals["night"] <= night], [], by_patient)
        watch = judge_night(chosen, reference, rule, trend.find_shortage(chosen, by_patient))
        time = (FIRST_NIGHT + timedelta(days=night)).isoformat()
        rows.append(trend.make_row(watch, chosen["image_id"], time))
    return pd.concat(rows, ignore_index=True)


def judge_night(
    chosen: pd.DataFrame, reference: float, rule: MonitoringParameters, fault: str
) -> dict[str, Any]:
    """Return the watch record of the patients chosen."""
    facts = {
        "version": "1",
        "reference": reference,
        "images": int(chosen["images"].sum()),
        "patients": len(chosen),
        "from": str(chosen["day"].min()),
        "to": str(chosen["day"].max()),
        "fault": fault,
        "broken": False,
    }
    if fault:
        return trend.watch_nothing(facts)
    right, images = chosen["right"].to_numpy(float), chosen["images"].to_numpy(float)
    low, high = trend.bootstrap_accuracy(right, images, rule["confidence"], rule["resamples"])
    unknown = {"sensitivity": np.nan, "auc": np.nan}
    measures = {"accuracy": float(right.sum() / images.sum()), "low": low, "high": high, **unknown}
    return trend.judge_newest(facts, measures, rule)


def report(falls: Sequence[float], champions: int, rule: MonitoringParameters) -> None:
    """Print, for each fall: nights with an alert, and the night of the first one."""
    print("| fall | nights with an alert | first: half by night | 90 % by night | never |")
    print("|---|---:|---:|---:|---:|")
    for fall in falls:
        trends = [
            watch_champion(np.random.default_rng([seed, 7]), range(FALLS_AT, NIGHTS), fall, rule)
            for seed in range(champions)
        ]
        alerts = np.array([table["alert"].to_numpy(bool) for table in trends])
        waits = np.where(alerts.any(axis=1), alerts.argmax(axis=1) + 1, np.inf)
        half, most = np.quantile(waits, [0.5, 0.9], method="higher")
        never = np.isinf(waits).mean()
        print(
            f"| {100 * fall:.0f} points | {alerts.mean():.1%} | {half:.0f} | {most:.0f} "
            f"| {never:.0%} |",
            flush=True,
        )


def draw_example(rule: MonitoringParameters) -> pd.DataFrame:
    """Return the trend of two champions, the second of which falls by eight points."""
    first = watch_champion(np.random.default_rng(3), range(40), 0.0, rule)
    second = watch_champion(np.random.default_rng(5), range(40, FALLS_AT + 25), 0.08, rule)
    return pd.concat([first, second.assign(model_version="2")], ignore_index=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--champions", type=int, default=200, help="simulated for each fall")
    parser.add_argument("--figure", type=Path, help="a .png of one course")
    arguments = parser.parse_args()
    rule: MonitoringParameters = yaml.safe_load(CONF.read_text())["monitoring"]
    if arguments.figure:
        figures.plot_champion_trend(draw_example(rule)).savefig(arguments.figure, dpi=90)
    report([0.0, 0.03, 0.05, 0.08, 0.12], arguments.champions, {**rule, "resamples": 999})


if __name__ == "__main__":
    main()
