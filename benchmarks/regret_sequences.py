"""Sequences of nights: which patients arrive when, and what is wrong with some of the batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter
from screening import turn_hue
from stored_predictions import CLASS_NAMES, read_images, read_parameters

from image_classification import vision
from image_classification.intake import statistic
from image_classification.intake.split import draw_splits
from image_classification.local.synthetic import make_cells

Random = np.random.Generator
Pixels = np.ndarray

KEPT_BACK = 1 / 3
"""Of the patients: no night sees them."""

REAL_NIGHTS, MADE_NIGHTS = 8, 6
MADE_POOL, MADE_CELLS, MADE_PATIENTS = 240, 30, 120
SMALL_FIRST, LARGE_FIRST = 0.12, 0.4
"""Share of the patients that the first night brings."""

FIRST_FAULT, FAULT_SHARE = 1, 0.5
"""Of an adverse sequence: the first night that may be bad, from 0; and how many are, from there."""


@dataclass(frozen=True)
class Pool:
    """Labelled images, in memory.

    Attributes:
        name: `real` or `made`.
        images: `image_id`, `image_name`, `patient`, `label`, `captured_on`; a row per image.
        pixels: ``(n, size, size, 3)`` uint8.
        statistics: of each image, as the screening takes them.
    """

    name: str
    images: pd.DataFrame
    pixels: Pixels
    statistics: np.ndarray


@dataclass(frozen=True)
class Fault:
    """What is wrong with one night.

    Attributes:
        labels: which labels of the batch are wrong, as a mask over its images.
        pixels: what the images of the batch look like instead.
        recipe: changes of the training's parameters.
        one_patient: only the first patient of the batch arrives.
    """

    labels: Callable[[pd.Series, Random], np.ndarray] | None = None
    pixels: Callable[[Pixels, Random], Pixels] | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    one_patient: bool = False


def swap(share: float) -> Fault:
    return Fault(labels=lambda labels, random: random.random(len(labels)) < share)


def blur(width: float) -> Callable[[Pixels, Random], Pixels]:
    return lambda pixels, _: np.stack([gaussian_filter(one, (width, width, 0)) for one in pixels])


FAULTS: dict[str, Fault] = {
    "5 % of the labels swapped": swap(0.05),
    "10 % of the labels swapped": swap(0.1),
    "20 % of the labels swapped": swap(0.2),
    "40 % of the labels swapped": swap(0.4),
    "one class labelled as the other": Fault(
        labels=lambda labels, _: (labels == CLASS_NAMES[0]).to_numpy()
    ),
    "another stain": Fault(pixels=turn_hue(40)),
    "blur": Fault(pixels=blur(2.0)),
    "one patient": Fault(one_patient=True),
    "two epochs": Fault(recipe={"epochs": 2}),
    "ten times the learning rate": Fault(recipe={"learning_rate": 0.03}),
}
DECAY = "slow decay"
DECAY_STEP = 0.04
"""Of the labels, more each night, are swapped in a slow decay."""


@dataclass(frozen=True)
class Sequence:
    """What decides a sequence of nights; everything else follows from it.

    Attributes:
        source: `real` or `made`.
        order: `date`, `reversed` or `random`.
        first: share of the patients that the first night brings.
        faults: `none`, `mixed` or `decay`.
        screened: batches that the screening holds do not join.
        seed: of the patients kept back, the order, the splits and the faults.
    """

    source: str
    order: str
    first: float
    faults: str
    screened: bool
    seed: int

    @property
    def kind(self) -> str:
        """The rows of the table that it counts in."""
        if self.faults == "none":
            return f"{self.source}, clean"
        return f"{self.source}, {'adverse' if self.faults == 'mixed' else DECAY}"

    @property
    def name(self) -> str:
        """What tells it from the others, in words."""
        size = "small" if self.first == SMALL_FIRST else "large"
        way = "screened" if self.screened else "passed"
        return f"{self.source} {self.order} {size} {self.faults} {way} {self.seed}"


@dataclass(frozen=True, eq=False)
class Batch:
    """What arrives one night.

    Attributes:
        rows: places in the pool.
        labels: as delivered.
        fault: name; "" for none.
        recipe: changes of the night's training.
        looks: what its images look like, "" for as they are; part of their identity.
        pixels: of `rows`, as delivered.
    """

    rows: np.ndarray
    labels: np.ndarray
    fault: str
    recipe: Mapping[str, Any]
    looks: str
    pixels: Pixels


@dataclass(frozen=True)
class Plan:
    """A sequence, laid out.

    Attributes:
        batches: night by night.
        kept_back: places of the images in the pool that no night sees.
        split: of each image of the pool: train, validation or test.
    """

    batches: list[Batch]
    kept_back: np.ndarray
    split: np.ndarray


def list_sequences(quick: bool, real: bool) -> list[Sequence]:
    """Return the sequences: of the real images at least twelve, of made cells thirty."""
    real_ones = list_kind("real", *((2, 1, 0) if quick else (12, 5, 1))) if real else []
    made_ones = list_kind("made", *((2, 1, 0) if quick else (12, 9, 3)))
    return sorted([*real_ones, *made_ones], key=lambda one: (one.seed % 100, one.source))


def list_kind(source: str, clean: int, mixed: int, decay: int) -> list[Sequence]:
    """Return the sequences of one source; adverse ones with the screening passed, and with it on.

    The orders are by date, reversed and random; small and large first nights take turns.
    """

    def order(number: int) -> str:
        named = ["date", "reversed"] if source == "real" else []
        return named[number // 2] if number < 2 * len(named) else "random"

    def first(number: int) -> float:
        return (SMALL_FIRST, LARGE_FIRST)[number % 2]

    return [
        *(
            Sequence(source, order(number), first(number), "none", screened=False, seed=number)
            for number in range(clean)
        ),
        *(
            Sequence(source, "random", first(number), faults, screened=screened, seed=100 + number)
            for faults, count in (("mixed", mixed), ("decay", decay))
            for number in range(count)
            for screened in (False, True)
        ),
    ]


def read_pool(data: Path | None, cache: Path) -> Pool:
    """Return the pool of an archive's images, or of made cells; decoded once, then kept."""
    parameters = read_parameters()
    pattern, size_px = parameters["data_processing"]["name_pattern"], parameters["image_size_px"]
    name = "real" if data else "made"
    images_path, arrays_path = cache / f"{name}.parquet", cache / f"{name}.npz"
    if not arrays_path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory() as folder:
            images, contents = read_images(data or draw_cells(Path(folder)), pattern)
        images["captured_on"] = images["image_name"].str.extract(pattern)["captured_on"]
        pixels = vision.decode_images(contents, size_px)
        images.to_parquet(images_path)
        statistics = statistic.describe_pixels(pixels).to_numpy()
        np.savez(arrays_path, pixels=pixels, statistics=statistics)
    with np.load(arrays_path) as arrays:
        return Pool(name, pd.read_parquet(images_path), arrays["pixels"], arrays["statistics"])


def draw_cells(folder: Path) -> Path:
    """Return an archive of made cells."""
    from shutil import make_archive  # noqa: PLC0415 - only where they are not kept yet

    make_cells(folder / "cells", range(1, MADE_POOL + 1), MADE_CELLS)
    return Path(make_archive(str(folder / "cells"), "zip", folder / "cells"))


def lay_out(sequence: Sequence, pool: Pool) -> Plan:
    """Return the nights of a sequence."""
    random = np.random.default_rng([sequence.seed, 3 * (sequence.source == "made")])
    patients = random.permutation(np.sort(pool.images["patient"].unique()))
    if sequence.source == "made":
        patients = patients[:MADE_PATIENTS]
    kept = round(len(patients) * KEPT_BACK)
    arriving = order_patients(patients[kept:], sequence.order, pool.images)
    rule = read_parameters()["data_processing"] | {"split_salt": f"regret {sequence.seed}"}
    nights = REAL_NIGHTS if sequence.source == "real" else MADE_NIGHTS
    first = max(1, round(len(arriving) * sequence.first))
    groups = [arriving[:first], *np.array_split(arriving[first:], nights - 1)]
    faults = choose_faults(sequence, nights, random)
    return Plan(
        [
            make_batch(pool, list(group), fault, np.random.default_rng([sequence.seed, night]))
            for night, (group, fault) in enumerate(zip(groups, faults, strict=True))
        ],
        np.flatnonzero(pool.images["patient"].isin(patients[:kept])),
        pool.images["patient"].map(draw_splits(pool.images["patient"], rule)).to_numpy(str),
    )


def order_patients(patients: np.ndarray, order: str, images: pd.DataFrame) -> list[str]:
    """Return the patients in the order of their arrival."""
    if order == "random":
        return list(patients)
    dates = images.groupby("patient")["captured_on"].min().fillna("")
    return sorted(patients, key=lambda name: (dates[name], name), reverse=order == "reversed")


def choose_faults(sequence: Sequence, nights: int, random: Random) -> list[tuple[str, Fault]]:
    """Return the name and fault of each night; every kind comes equally often over the seeds."""
    nothing = ("", Fault())
    chosen = [nothing] * nights
    if sequence.faults == "decay":
        for night in range(FIRST_FAULT, nights):
            share = DECAY_STEP * (night - FIRST_FAULT + 1)
            chosen[night] = (f"{DECAY}, {100 * share:.0f} % of the labels", swap(share))
    elif sequence.faults == "mixed":
        bad = random.random(nights - FIRST_FAULT).argsort() + FIRST_FAULT
        names = list(FAULTS)
        count = round((nights - FIRST_FAULT) * FAULT_SHARE)
        for number, night in enumerate(sorted(bad[:count])):
            name = names[((sequence.seed - 100) * count + number) % len(names)]
            chosen[night] = (name, FAULTS[name])
    return chosen


def make_batch(pool: Pool, patients: list[str], fault: tuple[str, Fault], random: Random) -> Batch:
    """Return what arrives of these patients, with what is wrong with it."""
    name, wrong = fault
    kept = patients[:1] if wrong.one_patient else patients
    rows = np.flatnonzero(pool.images["patient"].isin(kept))
    labels = pool.images["label"].iloc[rows]
    told = labels.to_numpy(object, copy=True)
    if wrong.labels is not None:
        others = labels.map(dict(zip(CLASS_NAMES, CLASS_NAMES[::-1], strict=True)))
        told = np.where(wrong.labels(labels, random), others, told)
    pixels = pool.pixels[rows]
    if wrong.pixels is not None:
        pixels = wrong.pixels(pixels, random)
    looks = name if wrong.pixels is not None else ""
    return Batch(rows, told, name, wrong.recipe, looks, pixels)
