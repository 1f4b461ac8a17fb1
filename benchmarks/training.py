"""What training costs: beside the original's way, and beside plain Keras; how much is waiting.

    python benchmarks/training.py                                  # made cells
    python benchmarks/training.py --data cell_images.zip           # real ones
    python benchmarks/training.py --data cell_images.zip --curve   # also: accuracy against time
    python benchmarks/training.py --formats                        # also: number formats, XLA

Four things. Images per second beside a CNN of 12.9 M parameters at 224 px fed by
`ImageDataGenerator`, which decodes every image again in every epoch, and (--original-epochs) the
accuracy that both reach. The time until an accuracy is reached, beside the same network in a plain
Keras script. How much of an epoch is waiting for images. And the memory of an epoch against the
number of images on disk.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import measuring
import numpy as np
import pandas as pd
import plain_keras
import tensorflow as tf
from cells import Cells, lay_out
from measuring import Comparison
from stored_predictions import read_parameters

from image_classification import vision
from image_classification.vision import feed, training
from image_classification.vision.networks import large, medium, small
from image_classification.vision.precision import build_in_precision, choose_precision

Labelled = tuple[np.ndarray, np.ndarray]

CHANNELS = {"small": small.CHANNELS, "medium": medium.CHANNELS, "large": large.CHANNELS}
"""Of the plain networks, which plain Keras builds as well: of the stem, then of each stage."""

REAL_ACCURACY, MADE_ACCURACY = 0.955, 0.9
"""On validation patients, to be reached: of real cells; of made ones, which are fewer."""

ORIGINAL_SIDE_PX, ORIGINAL_BATCH = 224, 32
CURVE_EPOCHS = (1, 2, 4, 8)
BATCH_SIZES = (32, 64, 128, 256)
STORED_IMAGES = (25_000, 50_000, 100_000, 200_000)
QUICK_STORED_IMAGES = (100_000, 200_000)


def main() -> None:
    options = parse()
    tf.get_logger().setLevel("ERROR")
    plan = read_parameters()["training"]
    series: dict[str, Any] = {}
    # First: the processes that it starts are to know nothing of TensorFlow.
    series["memory"] = measure_memory(QUICK_STORED_IMAGES if options.quick else STORED_IMAGES)
    with tempfile.TemporaryDirectory() as folder:
        cells = lay_out(options.data, Path(folder))
        size_px = read_parameters()["image_size_px"]
        data = {name: cells.decode(name, size_px) for name in ("train", "validation")}
        lines = compare_with_original(options, cells, data, plan, series)
    lines += compare_with_plain(options, data, plan, series)
    lines.append(compare_with_memory(options, data["train"], plan))
    lines.append(measuring.compare_peaks("an epoch of stored pixels", series["memory"], "gib"))
    if options.curve:
        series["curve"] = trace_curve(data, plan)
        series["batch_sizes"] = try_batch_sizes(data, plan)
        series["precision"] = compare_precisions(data, plan)
    if options.formats:
        series["formats"] = try_formats(data, plan)
    images = {name: len(part[1]) for name, part in data.items()}
    measuring.keep(
        "training", lines, series, options.to, images=images, real=options.data is not None
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a zip or folder of real images")
    parser.add_argument("--curve", action="store_true", help="accuracy against time, by network")
    parser.add_argument(
        "--formats", action="store_true", help="number formats, with and without XLA"
    )
    parser.add_argument("--original-epochs", type=int, default=0, help="to compare accuracies")
    measuring.add_options(parser, rounds=5)
    return parser.parse_args()


# ---- the original's way


def build_original() -> keras.Model:
    """Build the CNN of 12.9 M parameters."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((ORIGINAL_SIDE_PX, ORIGINAL_SIDE_PX, 3)),
            *(
                layer
                for channels in (32, 64, 64)
                for layer in (
                    layers.Conv2D(channels, 3, padding="same", activation="relu"),
                    layers.MaxPooling2D(),
                )
            ),
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(2, activation="softmax"),
        ]
    )


def feed_original(cells: Cells, split: str, shuffle: bool) -> Any:
    """Return the original's generator: it reads and decodes the files of each batch anew."""
    rows = np.flatnonzero(cells.split == split)
    table = pd.DataFrame(
        {
            "file": [str(cells.files[row]) for row in rows],
            "label": cells.targets[rows].astype(str),
        }
    )
    generator = tf.keras.preprocessing.image.ImageDataGenerator(rescale=1 / 255)
    return generator.flow_from_dataframe(
        table,
        x_col="file",
        y_col="label",
        target_size=(ORIGINAL_SIDE_PX, ORIGINAL_SIDE_PX),
        batch_size=ORIGINAL_BATCH,
        shuffle=shuffle,
        seed=1,
    )


def compare_with_original(
    options: argparse.Namespace,
    cells: Cells,
    data: dict[str, Labelled],
    plan: dict[str, Any],
    series: dict[str, Any],
) -> list[Comparison]:
    original = build_original()
    original.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    batches = feed_original(cells, "train", shuffle=True)
    original.fit(batches, steps_per_epoch=2, verbose=0)
    steps = 6 if options.quick else 20

    def ours() -> float:
        return statistics.median(train(data, plan | {"epochs": 3})[0].images_per_second[1:])

    def theirs() -> float:
        seconds = measuring.time_call(
            lambda: original.fit(batches, steps_per_epoch=steps, verbose=0)
        )
        return steps * ORIGINAL_BATCH / seconds

    measured = measuring.alternate(ours, theirs, min(options.rounds, 3))
    if options.original_epochs:
        series["accuracy"] = compare_accuracy(options, cells, data, plan)
    return [
        measuring.compare(
            "training, images per second",
            f"CNN of {original.count_params() / 1e6:.1f} M parameters, 224 px, ImageDataGenerator",
            measured,
            unit="images/s",
            goal=30,
            better="at least",
        )
    ]


def compare_accuracy(
    options: argparse.Namespace, cells: Cells, data: dict[str, Labelled], plan: dict[str, Any]
) -> dict[str, Any]:
    """Train both to an end; return what each reaches on validation, and in what time."""
    original = build_original()
    original.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    batches = (feed_original(cells, name, name == "train") for name in ("train", "validation"))
    fed, held_out = batches
    began = time.perf_counter()
    fitted = original.fit(fed, validation_data=held_out, epochs=options.original_epochs, verbose=2)
    theirs = {
        "seconds": time.perf_counter() - began,
        "accuracy": fitted.history["val_accuracy"],
    }
    began = time.perf_counter()
    history, _ = train(data, plan)
    ours = {"seconds": time.perf_counter() - began, "accuracy": history.validation_accuracy}
    print(f"accuracy, ours {ours['accuracy'][-1]:.4f} in {ours['seconds']:.0f} s; theirs ", end="")
    print(f"{max(theirs['accuracy']):.4f} (best epoch) in {theirs['seconds']:.0f} s", flush=True)
    return {"ours": ours, "theirs": theirs}


# ---- plain Keras


def train(data: dict[str, Labelled], plan: dict[str, Any]) -> tuple[vision.History, dict[str, Any]]:
    """Train as the node `train_network` does."""
    names = ("epochs", "batch_size", "learning_rate", "weight_decay", "label_smoothing", "seed")
    _, history, setup = vision.fit_network(
        plan_network(plan, data["train"][0]),
        data["train"],
        data["validation"],
        precision=plan["precision"],
        **{name: plan[name] for name in names},
    )
    return history, setup


def plan_network(plan: dict[str, Any], pixels: np.ndarray) -> Callable[[], keras.Model]:
    """Return what builds the network of a plan."""
    return partial(vision.build_network, plan["network"], pixels.shape[1], 2, plan["dropout"])


def time_epochs(data: dict[str, Labelled], plan: dict[str, Any]) -> list[tuple[float, float]]:
    """Train; return the seconds since the start and the validation accuracy after each epoch."""
    began, reached = time.perf_counter(), []
    heard = training._Progress.on_epoch_end

    def note(progress: Any, epoch: int, logs: Any = None) -> None:
        heard(progress, epoch, logs)
        reached.append((time.perf_counter() - began, logs["val_accuracy"]))

    with mock.patch.object(training._Progress, "on_epoch_end", note):
        train(data, plan)
    return reached


def find_reached(epochs: Sequence[tuple[float, float]], accuracy: float) -> float:
    """Return the seconds after which an accuracy was reached; those of all epochs if never."""
    return next((seconds for seconds, value in epochs if value >= accuracy), epochs[-1][0])


def compare_with_plain(
    options: argparse.Namespace,
    data: dict[str, Labelled],
    plan: dict[str, Any],
    series: dict[str, Any],
) -> list[Comparison]:
    goal = REAL_ACCURACY if options.data else MADE_ACCURACY
    rounds = 2 if options.quick else options.rounds
    policy = choose_precision(plan["precision"])
    runs: dict[str, list[Any]] = {"ours": [], "theirs": []}

    def ours() -> float:
        seed = plan["seed"] + len(runs["ours"])
        runs["ours"].append(time_epochs(data, plan | {"seed": seed}))
        return find_reached(runs["ours"][-1], goal)

    def theirs() -> float:
        keras.utils.set_random_seed(plan["seed"] + len(runs["theirs"]))
        stem, *stages = CHANNELS[plan["network"]]
        runs["theirs"].append(
            plain_keras.train(data["train"], data["validation"], plan, (stem, stages), policy)
        )
        return find_reached(runs["theirs"][-1], goal)

    measured = measuring.alternate(ours, theirs, rounds)
    series["time_to_accuracy"] = runs
    whole = [[run[-1][0] for run in runs[side]] for side in ("ours", "theirs")]
    against = "the same network, plain Keras with tf.data"
    limits: dict[str, Any] = {"unit": "s", "goal": 1.05, "better": "at most"}
    return [
        measuring.compare(f"{plan['epochs']} epochs of training", against, tuple(whole), **limits),
        measuring.compare(
            f"time to {goal} on validation patients, a seed a round", against, measured, **limits
        ),
    ]


# ---- waiting for images


def compare_with_memory(
    options: argparse.Namespace, train: Labelled, plan: dict[str, Any]
) -> Comparison:
    """Compare an epoch with one whose batches lie prepared in memory."""
    pixels, targets = train
    size = plan["batch_size"]
    steps = len(targets) // size
    pixels, targets = pixels[: steps * size], targets[: steps * size]
    policy = choose_precision(plan["precision"])
    fed, same = (build_in_precision(plan_network(plan, pixels), policy)[1] for _ in range(2))
    prepare = training._Preparation(tf.Variable(pixels), 1)
    fed = training._Trainer(fed, prepare)
    for network in (fed, same):
        network.compile("adam", "categorical_crossentropy")
    batches = feed.feed_rows(targets, 2, size, seed=1)
    prepared = batches.map(lambda inputs, labels: (prepare(*inputs), labels))
    prepared = feed.without_tuning(prepared.cache().prefetch(feed.PREPARED))

    def ours() -> float:
        return measuring.time_call(lambda: fed.fit(batches, verbose=0))

    def theirs() -> float:
        return measuring.time_call(lambda: same.fit(prepared, verbose=0))

    ours(), theirs()
    return measuring.compare(
        "an epoch with its input",
        "the same batches, prepared before and held in memory",
        # The same epoch twice differs by 5 %, which is what is to be told.
        measuring.alternate(ours, theirs, 5 if options.quick else max(options.rounds, 21)),
        unit="s",
        goal=1.05,
        better="at most",
    )


# ---- series


def measure_memory(counts: Sequence[int]) -> list[dict[str, float]]:
    """Return the peak memory of a process that reads an epoch of so many stored images."""
    spawn = multiprocessing.get_context("spawn")
    rows = []
    for images in counts:
        with tempfile.TemporaryDirectory() as folder, spawn.Pool(1) as pool:
            peak, base = pool.apply(read_epoch, (Path(folder), images))
        rows.append({"images": images, "gib": peak, "before_gib": base})
        print(f"{images} images on disk: peak {peak:.2f} GiB, {base:.2f} before", flush=True)
    return rows


def read_epoch(folder: Path, images: int) -> tuple[float, float]:
    """Read an epoch out of memory-mapped shards; return the peak, and what was there before."""
    from image_classification.datasets import PackedPixelsDataset, PixelShard  # noqa: PLC0415

    dataset = PackedPixelsDataset(filepath=str(folder))
    ids = [f"{number:07d}" for number in range(images)]
    for start in range(0, images, 5000):
        part = ids[start : start + 5000]
        dataset.save(PixelShard(part, np.zeros((len(part), 64, 64, 3), np.uint8)))
    source = dataset.load().select(ids, 64)
    targets = np.arange(images) % 2
    tf.data.Dataset.range(1).reduce(np.int64(0), lambda total, _: total)
    measuring.reset_peak()
    before = measuring.read_peak_mib() / 1024
    for _ in feed.feed_pixels(source, targets, 2, 256, seed=1):
        pass
    return measuring.read_peak_mib() / 1024, before


def trace_curve(data: dict[str, Labelled], plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return accuracy and time of each network for several lengths of the schedule."""
    rows = []
    for network in CHANNELS:
        for epochs in CURVE_EPOCHS:
            reached = time_epochs(data, plan | {"network": network, "epochs": epochs})
            seconds, accuracy = reached[-1]
            rows.append(
                {"network": network, "epochs": epochs, "seconds": seconds, "accuracy": accuracy}
            )
            print(f"{network}, {epochs} epochs: {accuracy:.4f} in {seconds:.0f} s", flush=True)
    return rows


def try_batch_sizes(data: dict[str, Labelled], plan: dict[str, Any]) -> list[dict[str, float]]:
    """Return accuracy, a mean over seeds, and time of a schedule by images per step."""
    rows = []
    for size in BATCH_SIZES:
        reached = [
            time_epochs(data, plan | {"batch_size": size, "seed": seed})[-1] for seed in range(3)
        ]
        seconds, accuracy = (statistics.mean(values) for values in zip(*reached, strict=True))
        rows.append({"batch_size": size, "seconds": seconds, "accuracy": accuracy})
        print(f"{size} images a step: {accuracy:.4f} in {seconds:.0f} s", flush=True)
    return rows


def compare_precisions(data: dict[str, Labelled], plan: dict[str, Any]) -> dict[str, list[float]]:
    """Return the accuracies over seeds in float32, and in what this machine is fast at."""
    formats = {"float32", choose_precision("auto")}
    found: dict[str, list[float]] = {name: [] for name in sorted(formats)}
    for seed in range(5):
        for name, accuracies in found.items():
            changed = plan | {"seed": seed, "precision": name, "epochs": 4}
            accuracies.append(train(data, changed)[0].validation_accuracy[-1])
    for name, accuracies in found.items():
        mean, spread = statistics.mean(accuracies), statistics.stdev(accuracies)
        print(f"{name}: {mean:.4f} over 5 seeds, standard deviation {spread:.4f}", flush=True)
    return found


def try_formats(data: dict[str, Labelled], plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return speed, accuracy and the share of the device's limit, by number format and XLA."""
    on_card = bool(tf.config.list_physical_devices("GPU"))
    rows = []
    for name in (
        ("float32", "mixed_bfloat16", "mixed_float16")
        if on_card
        else (
            "float32",
            "mixed_bfloat16",
        )
    ):
        limit = measure_limit({"float32": "float32"}.get(name, name.removeprefix("mixed_")))
        for jit in (True, False) if on_card else (False,):
            with mock.patch.object(training, "JIT_ON_CARD", jit):
                epochs = time_epochs(data, plan | {"precision": name})
                history, setup = train(data, plan | {"precision": name, "epochs": 3})
            speed = max(history.images_per_second)
            work = speed * count_operations(plan["network"], data["train"][0].shape[1])
            row = {"device": setup["device"], "precision": name, "jit": jit}
            row |= {"images_per_second": speed, "tflops": work / 1e12}
            row |= {"limit_tflops": limit / 1e12, "share": work / limit}
            row |= {"seconds": find_reached(epochs, REAL_ACCURACY), "accuracy": epochs[-1][1]}
            print(row, flush=True)
            rows.append(row)
    return rows


def count_operations(size: str, side_px: int) -> float:
    """Return the multiplications and additions of training on one image: forward and twice back."""
    stem, *stages = CHANNELS[size]
    side = -(-side_px // 4)
    total = side**2 * 7 * 7 * 3 * stem
    before = stem
    for channels in stages:
        total += side**2 * 9 * before * channels
        before, side = channels, -(-side // 2)
    return 3 * 2 * total


def measure_limit(kind: str) -> float:
    """Return the operations a second of a large matrix product: what the device can do."""
    side = 8192 if tf.config.list_physical_devices("GPU") else 2048
    values = tf.cast(tf.random.normal((side, side)), kind)
    multiply = tf.function(lambda: tf.reduce_sum(tf.cast(values @ values, tf.float32)))
    multiply().numpy()
    seconds = min(measuring.time_call(lambda: multiply().numpy()) for _ in range(5))
    return 2 * side**3 / seconds


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.disable(logging.INFO)
    main()
