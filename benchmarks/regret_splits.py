"""What the splits cost: the learning curve over patients, and regret by validation patients.

    python benchmarks/regret_splits.py        # of the nights that regret.py has trained

Half of the patients kept back stand in for more validation patients, some known from each night on;
the other half alone tell the truth, for every row of the table.
"""

from __future__ import annotations

import argparse
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from regret import locate
from regret_policies import NEVER, SHIPPED, Nights, Policy, live
from regret_sequences import list_sequences
from regret_training import Played

BINS = (0, 8, 12, 16, 24, 32, 48)
SHARES = (0.25, 0.5, 1.0, 2.0, 3.0)
"""Of the validation patients that a night has."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path(".local/benchmarks/regret"))
    cache = parser.parse_args().cache
    paths = [locate(one, cache) for one in list_sequences(quick=False, real=True)]
    sequences = [pickle.loads(path.read_bytes()) for path in paths if path.exists()]  # noqa: S301 - own
    clean = [one for one in sequences if one.sequence.faults == "none"]
    show_curve(clean)
    show_shares(sequences)


def show_curve(sequences: list[Played]) -> None:
    """Print accuracy on the images kept back, by the number of patients trained on."""
    rows = [
        (played.sequence.source, night["patients"], 1 - played.accuracies[night["version"]])
        for played in sequences
        for night in played.nights
        if night["version"] is not None
    ]
    table = pd.DataFrame(rows, columns=["source", "patients", "error"])
    for source, own in table.groupby("source"):
        slope, height = np.polyfit(np.log(own["patients"]), np.log(own["error"]), 1)
        print(f"\n{source}: error = {np.exp(height):.3f} * patients ^ {slope:.2f}")
        groups = own.groupby(pd.cut(own["patients"], BINS), observed=True)["error"]
        for interval, errors in groups:
            print(
                f"| {interval.left + 1} to {interval.right} | {len(errors)} | "
                f"{1 - errors.mean():.4f} | {errors.std():.4f} |"
            )


def show_shares(sequences: list[Played]) -> None:
    """Print mean regret of the shipped rule, by the validation patients it sees."""
    rows = []
    for played in sequences:
        for share in SHARES:
            nights, seen = widen(played, share)
            usual = live(nights, Policy("", {"custom": NEVER}, None))
            outcome = live(
                nights,
                Policy("", SHIPPED["improvement"]),
                usual.champions[:1] and usual.champions[0],
            )
            if outcome.regrets:
                rows.append((played.sequence.kind, share, seen, np.mean(outcome.regrets)))
    table = pd.DataFrame(rows, columns=["kind", "share", "patients", "regret"])
    summary = table.groupby(["kind", "share"]).agg(
        sequences=("regret", "size"), patients=("patients", "mean"), regret=("regret", "mean")
    )
    summary["regret"] *= 100
    print("\n" + summary.round(2).to_string())


def widen(played: Played, share: float) -> tuple[Nights, float]:
    """Return the nights with another share of validation patients, and how many there are at last.

    Args:
        played: a sequence.
        share: of its validation patients; above 1, patients kept back are added.
    """
    random = np.random.default_rng(played.sequence.seed)
    kept = random.permutation(np.unique(played.kept_back["patient"]))
    extra, truth = kept[: len(kept) // 2], kept[len(kept) // 2 :]
    own = random.permutation(np.unique(played.validation["patient"]))
    known = set(own[: max(1, round(min(share, 1) * len(own)))])
    added = extra[: round(max(share - 1, 0) * len(own))]
    batches = {name: number % len(played.nights) for number, name in enumerate(added)}
    more = played.kept_back["patient"].isin(added).to_numpy()
    told = played.kept_back["patient"].isin(truth).to_numpy()
    arriving = played.kept_back[more].assign(
        batch=[batches[name] for name in played.kept_back["patient"][more]]
    )
    widened = replace(
        played,
        kept_back=played.kept_back[told].reset_index(drop=True),
        kept_back_answers=played.kept_back_answers[:, told],
        validation=pd.concat([played.validation, arriving], ignore_index=True),
        validation_answers=np.concatenate(
            [played.validation_answers, played.kept_back_answers[:, more]], axis=1
        ),
    )
    return Nights(widened, frozenset(known | set(added))), len(known) + len(added)


if __name__ == "__main__":
    main()
