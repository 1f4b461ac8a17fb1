"""What several networks answered of images that they never saw: of real ones, or made up."""

from __future__ import annotations

import hashlib
import json
import re
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from image_classification import vision
from image_classification.configuration.project import fill_in, read_project
from image_classification.gate.prediction import tabulate_predictions

PROJECT = Path(__file__).resolve().parents[1]
CLASS_NAMES = ["Parasitized", "Uninfected"]

FOLDS = 3
"""Two thirds of the patients train a network, as many as on a night."""
SEEDS = 4
WEAK_EPOCHS = 2

MADE_PATIENTS = 100
MADE_IMAGES = (40, 200)
MADE_ERROR = 0.06
PATIENT_SPREAD, MODEL_SPREAD = 20.0, 80.0
"""Sum of the two parameters of a beta distribution: larger is narrower."""
SHARED_CELLS = 0.5
"""Share of the cells, and of the patients, on which all made models do alike."""


@dataclass(frozen=True)
class Stored:
    """What several models answered on the same images.

    Attributes:
        images: `image_id`, `image_name`, `patient`, `label`, a row per image.
        probabilities: ``(models, images, classes)``, of models that are equally good.
        weak: ``(images, classes)``, of a model that is really worse; None where there is none.
    """

    images: pd.DataFrame
    probabilities: np.ndarray
    weak: np.ndarray | None = None

    @property
    def targets(self) -> np.ndarray:
        """Number of the class of each image."""
        return np.searchsorted(CLASS_NAMES, self.images["label"].to_numpy(str))

    @property
    def errors(self) -> np.ndarray:
        """Share of wrong answers of each model."""
        return (self.probabilities.argmax(2) != self.targets).mean(axis=1)


def read_parameters() -> dict[str, Any]:
    """Return the project's own parameters, all files of `conf/base`."""
    merged: dict[str, Any] = {}
    for path in sorted((PROJECT / "conf" / "base").glob("parameters*.yml")):
        merged |= yaml.safe_load(path.read_text())
    filled: dict[str, Any] = fill_in(merged, read_project(PROJECT / "conf"))
    return filled


def make_predictions(seed: int = 0) -> Stored:
    """Make up the answers of `SEEDS` equally good models; no data is needed.

    A patient's share of wrong answers is drawn from a beta distribution, and each model's on this
    patient from another around it, so that a count of errors is beta-binomial. A part of the cells
    is answered alike by all models. Wrong answers are less confident than right ones.
    """
    random = np.random.default_rng(seed)
    sizes = random.integers(*MADE_IMAGES, MADE_PATIENTS)
    patients = np.repeat(np.arange(MADE_PATIENTS), sizes)
    hard = random.beta(*_spread(MADE_ERROR, PATIENT_SPREAD), MADE_PATIENTS)
    rates = random.beta(*_spread(hard.clip(1e-3), MODEL_SPREAD), (SEEDS, MADE_PATIENTS))
    luck = random.random((SEEDS, len(patients)))
    doubts = random.random((2, SEEDS, len(patients)))
    alike = random.random(len(patients)) < SHARED_CELLS
    luck[:, alike], doubts[:, :, alike] = luck[0, alike], doubts[:, :1, alike]
    rates[:, :] = np.where(random.random(MADE_PATIENTS) < SHARED_CELLS, rates[:1], rates)
    wrong = luck < rates[:, patients]
    doubt = np.where(wrong, doubts[0] ** 0.5, doubts[1] ** 8) / 2
    targets = (random.random(len(patients)) < 0.55).astype(int)
    return Stored(_name_images(patients, targets), _answer(targets, wrong, doubt))


def _spread(mean: Any, total: float) -> tuple[Any, Any]:
    return mean * total, (1 - mean) * total


def _name_images(patients: np.ndarray, targets: np.ndarray) -> pd.DataFrame:
    names = [f"C{patient}_cell_{number}.png" for number, patient in enumerate(patients)]
    labels = np.array(CLASS_NAMES, object)[targets]
    return pd.DataFrame(
        {"image_id": names, "image_name": names, "label": labels}
        | {"patient": [f"C{patient}" for patient in patients]}
    )


def _answer(targets: np.ndarray, wrong: np.ndarray, doubt: np.ndarray) -> np.ndarray:
    first = np.where((targets == 0) != wrong, 1 - doubt, doubt)
    return np.stack([first, 1 - first], axis=2)


def store_predictions(data: Path, cache: Path) -> Stored:
    """Return the answers of the project's network, cross-fitted, from the cache if there.

    Writes a table per model, with the columns of `score_challenger`.
    """
    parameters = read_parameters()
    cache.mkdir(parents=True, exist_ok=True)
    images, contents = read_images(data, parameters["data_processing"]["name_pattern"])
    training = parameters["training"]
    seeds = [training["seed"] + number for number in range(SEEDS)]
    plans = {f"seed {seed}": training | {"seed": seed} for seed in seeds}
    plans[f"{WEAK_EPOCHS} epochs"] = training | {"epochs": WEAK_EPOCHS}
    answers = []

    @lru_cache(maxsize=1)
    def decode() -> np.ndarray:
        return vision.decode_images(contents, parameters["image_size_px"])

    for name, plan in plans.items():
        answers.append(cross_fit(name, plan, images, decode, cache))
        table = tabulate_predictions(images, answers[-1], CLASS_NAMES)
        path = cache / f"{name.replace(' ', '_')}.parquet"
        table.assign(model_version=name).to_parquet(path, index=False)
    return Stored(images, np.stack(answers[:-1]), answers[-1])


def read_images(data: Path, name_pattern: str) -> tuple[pd.DataFrame, list[bytes]]:
    """Return `image_id`, `image_name`, `patient`, `label` of each content, and the files."""
    rows, contents = [], []
    with zipfile.ZipFile(data) as archive:
        for member in sorted(archive.namelist()):
            path = Path(member)
            found = re.search(name_pattern, path.name)
            if path.suffix != ".png" or not found:
                continue
            contents.append(archive.read(member))
            digest = hashlib.sha256(contents[-1]).hexdigest()
            rows.append([digest, path.name, found["patient"], path.parent.name])
    images = pd.DataFrame(rows, columns=["image_id", "image_name", "patient", "label"])
    kept = np.flatnonzero(~images["image_id"].duplicated())
    return images.iloc[kept].reset_index(drop=True), [contents[row] for row in kept]


def cross_fit(
    name: str,
    plan: dict[str, Any],
    images: pd.DataFrame,
    decode: Callable[[], np.ndarray],
    cache: Path,
) -> np.ndarray:
    """Return the probabilities of every image, by the network of the fold that held it out."""
    digest = hashlib.sha256("".join(images["image_id"]).encode()).hexdigest()
    size_px = read_parameters()["image_size_px"]
    key = json.dumps([digest, plan, size_px, FOLDS], sort_keys=True)
    stem = f"{name.replace(' ', '_')}_{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    probabilities = np.zeros((len(images), len(CLASS_NAMES)))
    for fold, rows in enumerate(split_folds(images["patient"], plan["seed"])):
        path = cache / f"{stem}_fold{fold}.npy"
        if not path.exists():
            began = time.monotonic()
            answers = train_and_score(decode(), images["label"], rows, plan)
            np.save(path.with_suffix(".part.npy"), answers)
            path.with_suffix(".part.npy").replace(path)
            seconds = time.monotonic() - began
            print(f"{name}, fold {fold + 1} of {FOLDS}: {seconds:.0f} s", flush=True)
        probabilities[rows] = np.load(path)
    return probabilities


def split_folds(patients: pd.Series, seed: int) -> list[np.ndarray]:
    """Return masks of the images of each fold: whole patients, other folds for another seed."""
    names = np.random.default_rng(seed).permutation(np.unique(patients))
    return [patients.isin(part).to_numpy() for part in np.array_split(names, FOLDS)]


def train_and_score(
    pixels: np.ndarray, labels: pd.Series, held_out: np.ndarray, plan: dict[str, Any]
) -> np.ndarray:
    """Train as the project does on all other images; return the probabilities of those held out."""
    targets = (labels == CLASS_NAMES[1]).to_numpy(int)
    size_px = pixels.shape[1]
    build = partial(
        vision.build_network, plan["network"], size_px, len(CLASS_NAMES), plan["dropout"]
    )
    few = np.flatnonzero(held_out)[:64]  # scored after each epoch, for a curve that nobody reads
    schedule = (
        *("epochs", "batch_size", "precision", "learning_rate"),
        *("weight_decay", "label_smoothing", "seed"),
    )
    network, *_ = vision.fit_network(
        build,
        (pixels[~held_out], targets[~held_out]),
        (pixels[few], targets[few]),
        **{name: plan[name] for name in schedule},
    )
    return vision.score_pixels(network, pixels[held_out])
