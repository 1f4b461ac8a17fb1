"""Train each night of a sequence once, and keep what every version answers."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence as Rows
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from regret_sequences import Batch, Plan, Pool, Sequence, lay_out, read_pool
from stored_predictions import CLASS_NAMES, read_parameters

from image_classification import vision
from image_classification.intake import contract
from image_classification.intake.admission import sample_patients
from image_classification.intake.screening import Evidence, screen_batch
from image_classification.intake.statistic import STATISTICS, describe_pixels

SCHEDULE = (
    *("epochs", "batch_size", "precision", "learning_rate"),
    *("weight_decay", "label_smoothing", "seed"),
)
REFERENCE_IMAGES = 3000


@dataclass(frozen=True)
class Played:
    """A sequence whose nights are trained.

    Attributes:
        sequence: which.
        nights: of each night `fault`, `state` (`trained`, `waits` or `held`), `version` (number of
            the model, from 0; None where nothing was trained), `patients` and `images` (trained
            on) and `batches` (numbers of those whose images are known).
        kept_back: `image_id`, `image_name`, `patient`, `label` of the images that no night saw.
        validation: the same of all validation images, labels as delivered, and `batch`.
        kept_back_answers: probability of the first class, ``(versions, images)``.
        validation_answers: the same of the validation images.
    """

    sequence: Sequence
    nights: list[dict[str, Any]]
    kept_back: pd.DataFrame
    validation: pd.DataFrame
    kept_back_answers: np.ndarray
    validation_answers: np.ndarray

    @property
    def accuracies(self) -> np.ndarray:
        """Of each version on the images that no night saw."""
        right = (self.kept_back["label"] == CLASS_NAMES[0]).to_numpy()
        return np.asarray(((self.kept_back_answers >= 0.5) == right).mean(axis=1))


class Trainer:
    """Plays the nights of one sequence."""

    def __init__(self, sequence: Sequence, pool: Pool, cache: Path) -> None:
        self.sequence, self.pool, self.cache = sequence, pool, cache
        self.plan: Plan = lay_out(sequence, pool)
        self.parameters = read_parameters()
        self.known: list[Batch] = []
        self.newest: Path | None = None
        self.evaluated = [self.select(batch, "validation") for batch in self.plan.batches]

    def play(self) -> Played:
        """Train the nights that are not in the cache, and gather the answers of all."""
        nights, answers = [], []
        for batch in self.plan.batches:
            night: dict[str, Any] = {"fault": batch.fault, "version": None}
            reasons = self.screen(batch) if self.sequence.screened else []
            if not reasons:
                self.known.append(batch)
            images = self.gather_images()
            faults = contract.check_images(
                images, CLASS_NAMES, self.parameters["data_processing"]["contract"]
            )
            night["state"] = (
                "held" if reasons else "waits" if faults.missing or faults.breaches else "trained"
            )
            if night["state"] == "trained":
                answers.append(self.train(batch))
                night["version"] = len(answers) - 1
            trained = images[images["split"] == "train"]
            night |= {"patients": int(trained["patient"].nunique()), "images": len(trained)}
            night["batches"] = [self.plan.batches.index(one) for one in self.known]
            night["reasons"] = reasons or [*faults.breaches, *faults.missing]
            nights.append(night)
        kept = len(self.plan.kept_back)
        everything = np.stack(answers) if answers else np.empty((0, kept + self.count_validation()))
        return Played(
            self.sequence,
            nights,
            self.describe(self.plan.kept_back),
            pd.concat(
                [
                    self.describe(batch.rows[chosen], batch.labels[chosen]).assign(batch=number)
                    for number, (batch, chosen) in enumerate(
                        zip(self.plan.batches, self.evaluated, strict=True)
                    )
                ],
                ignore_index=True,
            ),
            everything[:, :kept],
            everything[:, kept:],
        )

    def count_validation(self) -> int:
        """Return how many validation images all nights have."""
        return sum(int(chosen.sum()) for chosen in self.evaluated)

    def select(self, batch: Batch, split: str) -> np.ndarray:
        """Return a mask of the images of a batch that are of this split."""
        return np.asarray(self.plan.split[batch.rows] == split)

    def describe(self, rows: np.ndarray, labels: np.ndarray | None = None) -> pd.DataFrame:
        """Return what is known of images of the pool, with other labels where given."""
        columns = ["image_id", "image_name", "patient", "label"]
        images = self.pool.images.iloc[rows][columns].reset_index(drop=True)
        return images if labels is None else images.assign(label=labels)

    def gather_images(self) -> pd.DataFrame:
        """Return the images that are known so far, with their splits."""
        if not self.known:
            return self.describe(np.array([], int)).assign(split="")
        return pd.concat(
            [
                self.describe(batch.rows, batch.labels).assign(split=self.plan.split[batch.rows])
                for batch in self.known
            ],
            ignore_index=True,
        )

    def screen(self, batch: Batch) -> list[str]:
        """Return why the screening holds a batch, judged by the newest network."""
        known = self.gather_images()
        places = pd.Series(np.arange(len(known)), index=known["image_id"])
        sample = sample_patients(known, REFERENCE_IMAGES) if len(known) else known
        chosen = places[sample["image_id"]].to_numpy() if len(known) else np.array([], int)
        if not len(chosen):
            return []
        pixels = np.concatenate([one.pixels for one in self.known])[chosen]
        network = vision.load_network(self.newest) if self.newest else None
        limits = self.parameters["data_processing"]["screening"]
        return list(
            screen_batch(
                look(self.describe(batch.rows, batch.labels), batch.pixels, network),
                look(known.iloc[chosen].reset_index(drop=True), pixels, network),
                limits,
            ).reasons
        )

    def train(self, batch: Batch) -> np.ndarray:
        """Return what the night's network answers: of the images kept back, then of validation."""
        recipe = {**self.parameters["training"], **batch.recipe}
        stem = self.cache / "versions" / self.digest(recipe)
        network_path, answers_path = stem.with_suffix(".keras"), stem.with_suffix(".npy")
        if not answers_path.exists():
            began = time.monotonic()
            network = self.fit(recipe)
            stem.parent.mkdir(parents=True, exist_ok=True)
            network.save(network_path)
            np.save(answers_path.with_suffix(".part.npy"), self.answer(network))
            answers_path.with_suffix(".part.npy").replace(answers_path)
            print(f"{self.sequence.name}: {time.monotonic() - began:.0f} s", flush=True)
        self.newest = network_path
        return np.asarray(np.load(answers_path))

    def fit(self, recipe: dict[str, Any]) -> Any:
        """Return a network trained as the project trains, on the images known."""
        pixels, targets = [], []
        for batch in self.known:
            chosen = self.select(batch, "train")
            pixels.append(batch.pixels[chosen])
            targets.append((batch.labels[chosen] == CLASS_NAMES[1]).astype(int))
        size_px = self.parameters["image_size_px"]
        build = partial(
            vision.build_network, recipe["network"], size_px, len(CLASS_NAMES), recipe["dropout"]
        )
        data = np.concatenate(pixels), np.concatenate(targets)
        few = data[0][:64], data[1][:64]  # scored after each epoch, for a curve that nobody reads
        network, *_ = vision.fit_network(
            build, data, few, **{name: recipe[name] for name in SCHEDULE}
        )
        return network

    def answer(self, network: Any) -> np.ndarray:
        """Return the probability of the first class, of all images that are evaluated."""
        seen = [
            self.pool.pixels[self.plan.kept_back],
            *(
                batch.pixels[chosen]
                for batch, chosen in zip(self.plan.batches, self.evaluated, strict=True)
            ),
        ]
        return np.concatenate([vision.score_pixels(network, part)[:, 0] for part in seen])

    def digest(self, recipe: dict[str, Any]) -> str:
        """Return what decides a network and its answers: images, labels, looks, recipe, nights."""
        trained = [self.identify(batch, self.select(batch, "train")) for batch in self.known]
        scored = [
            self.identify(batch, chosen)
            for batch, chosen in zip(self.plan.batches, self.evaluated, strict=True)
        ]
        kept = self.pool.images["image_id"].iloc[self.plan.kept_back].tolist()
        key = json.dumps([trained, scored, kept, recipe], sort_keys=True)
        return hashlib.sha256(key.encode()).hexdigest()[:20]

    def identify(self, batch: Batch, chosen: np.ndarray) -> Rows[Any]:
        """Return what tells the chosen images of a batch from others."""
        ids = self.pool.images["image_id"].iloc[batch.rows[chosen]].tolist()
        return [batch.looks, ids, batch.labels[chosen].tolist()]


def look(images: pd.DataFrame, pixels: np.ndarray, network: Any) -> Evidence:
    """Return labelled images in the form that the screening takes."""
    images = images.copy()
    images[list(STATISTICS)] = describe_pixels(pixels).to_numpy()
    if network is None:
        return Evidence(images)
    probabilities, embeddings = vision.embed_pixels(network, pixels)
    return Evidence(images, CLASS_NAMES, embeddings, probabilities)


_POOLS: dict[str, Pool] = {}


def start_worker(data: Path | None, cache: Path) -> None:
    """Let a process train on one core, since there is one for each."""
    import tensorflow as tf  # noqa: PLC0415 - in the worker alone

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.get_logger().setLevel("ERROR")
    for source in {data, None}:
        pool = read_pool(source, cache)
        _POOLS[pool.name] = pool


def play(sequence: Sequence, cache: Path) -> Played:
    """Play a sequence in a worker."""
    return Trainer(sequence, _POOLS[sequence.source], cache).play()
