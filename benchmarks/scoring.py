"""What scoring costs beside the bare network: one image, and thousands, from arrays and from files.

    python benchmarks/scoring.py                           # synthetic cells, minutes
    python benchmarks/scoring.py --data cell_images.zip    # real ones

Packages a network of random weights as a run does at its end, by kedro-mlflow's hook, into a
temporary MLflow store, and loads it as anybody would. The other side is plain TensorFlow: decode,
resize, `model.predict`. Both sides answer the same, which is checked.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

# Before TensorFlow, Kedro or MLflow is imported.
os.environ.update(
    DO_NOT_TRACK="1", MLFLOW_DISABLE_TELEMETRY="true", TF_CPP_MIN_LOG_LEVEL="3", TQDM_DISABLE="1"
)

import keras
import mlflow
import numpy as np
import numpy.typing as npt
import pandas as pd
import tensorflow as tf
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from kedro_datasets.json import JSONDataset
from kedro_datasets.pandas import CSVDataset, ParquetDataset
from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook
from measuring import Comparison, add_options, alternate, compare, keep, time_call

from image_classification import vision
from image_classification.datasets import ImageSourceDataset, RegisteredNetworkDataset
from image_classification.local.synthetic import make_cells
from image_classification.pipeline_registry import register_pipelines

MODEL = "cells"
CLASSES = ["Parasitized", "Uninfected"]
PROBABILITIES = [f"probability_{name}" for name in CLASSES]
SIZE_PX = 64
BATCH_SIZE = 256
SERIES = (1, 16, 256, 4096, 12_442)
QUICK_SERIES = (1, 16, 256)
MANY = 4096
TOLERANCE = 1e-6
CALLS = 20
"""One image is asked so often in a round."""

Answers = npt.NDArray[np.float32]
Side = Callable[[], Any]


def main() -> None:
    options = parse()
    rounds = 1 if options.quick else options.rounds
    # What a call logs is part of its cost, but nothing to look at.
    with (
        tempfile.TemporaryDirectory() as folder,
        Path(os.devnull).open("w") as nowhere,
        redirect_stdout(nowhere),
    ):
        images = Images(read_contents(options.data, Path(folder)), Path(folder))
        package(Path(folder), images.take(2))
        bench = Bench(images, Rival(Path(folder, "network.keras")), Path(folder))
        lines = [*bench.measure_one(rounds), *bench.measure_many(rounds)]
        series = bench.measure_series(QUICK_SERIES if options.quick else SERIES)
    data = options.data.name if options.data else "synthetic cells"
    keep("scoring", lines, series, options.to, data=data, size_px=SIZE_PX, batch_size=BATCH_SIZE)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a zip of images; synthetic cells without it")
    add_options(parser, rounds=5)
    return parser.parse_args()


def read_contents(data: Path | None, folder: Path) -> list[bytes]:
    """Return PNG files: those of a zip, or of 40 synthetic patients."""
    if data is None:
        make_cells(folder / "cells", range(1, 41), 10)
        return [path.read_bytes() for path in sorted((folder / "cells").rglob("*.png"))]
    with zipfile.ZipFile(data) as images:
        names = [name for name in images.namelist() if name.endswith(".png")]
        return [images.read(name) for name in names]


def package(folder: Path, example: pd.DataFrame) -> None:
    """Log and register a network as a run does at its end; it becomes champion."""
    vision.set_seed(0)
    catalog = DataCatalog(
        {
            "network": vision.NetworkDataset(filepath=str(folder / "network.keras")),
            "class_names": JSONDataset(filepath=str(folder / "class_names.json")),
            "images": ParquetDataset(filepath=str(folder / "images.parquet")),
            "params:inference.batch_size": MemoryDataset(BATCH_SIZE),
        }
    )
    network = vision.build_network("small", SIZE_PX, len(CLASSES), 0.2)
    for name, value in {"network": network, "class_names": CLASSES, "images": example}.items():
        catalog.save(name, value)
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_experiment(MODEL, artifact_location=str(folder / "artifacts"))
    mlflow.set_experiment(MODEL)
    hook = MlflowHook()
    hook._already_active_mlflow = True
    training = register_pipelines()["training"]
    made = DataCatalog({name: catalog[name] for name in catalog.keys()})  # noqa: SIM118
    with mlflow.start_run():
        hook.after_pipeline_run(run_params={}, pipeline=training, catalog=made)
    (logged,) = mlflow.search_logged_models(output_format="list")
    version = mlflow.register_model(f"models:/{logged.model_id}", MODEL).version
    mlflow.MlflowClient().set_registered_model_alias(MODEL, "champion", version)


@dataclass(frozen=True)
class Images:
    """Encoded images, repeated where more are asked for than there are."""

    contents: list[bytes]
    folder: Path

    def take(self, count: int) -> pd.DataFrame:
        """Return a request of so many images."""
        contents = list(itertools.islice(itertools.cycle(self.contents), count))
        names = [f"{number:06}.png" for number in range(count)]
        return pd.DataFrame({"image_name": names, "image": contents})

    def write(self, count: int) -> Path:
        """Return a folder of so many PNG files."""
        folder = self.folder / f"files-{count}"
        if not folder.exists():
            folder.mkdir()
            for name, content in self.take(count).itertuples(index=False):
                (folder / name).write_bytes(content)
        return folder


@dataclass(frozen=True)
class Rival:
    """Plain TensorFlow: parallel decoding before the network, batches made ahead."""

    path: Path

    @cached_property
    def network(self) -> keras.Model:
        """The network, loaded once."""
        return self._load()

    def predict_pixels(self, pixels: npt.NDArray[np.uint8]) -> Answers:
        """Answer packed arrays."""
        return np.asarray(self.network.predict(pixels, batch_size=BATCH_SIZE, verbose=0))

    def predict_contents(self, contents: list[bytes]) -> Answers:
        """Answer PNG bytes."""
        encoded = tf.data.Dataset.from_tensor_slices(contents)
        return predict(self.network, encoded.map(decode, tf.data.AUTOTUNE))

    def predict_files(self, folder: Path) -> Answers:
        """Answer PNG files, the network being loaded as the pipeline loads it."""
        files = tf.data.Dataset.from_tensor_slices([str(path) for path in sorted(folder.iterdir())])
        return predict(
            self._load(),
            files.map(lambda path: decode(tf.io.read_file(path)), tf.data.AUTOTUNE),
        )

    def _load(self) -> keras.Model:
        return keras.saving.load_model(self.path, compile=False)


def predict(network: keras.Model, pixels: tf.data.Dataset) -> Answers:
    batches = pixels.batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE)
    return np.asarray(network.predict(batches, verbose=0))


def decode(content: tf.Tensor) -> tf.Tensor:
    image = tf.io.decode_png(content, channels=3)
    return tf.cast(tf.round(tf.image.resize(image, (SIZE_PX, SIZE_PX), "area")), tf.uint8)


@dataclass
class Bench:
    """The sides, each checked to answer the same before it is timed."""

    images: Images
    rival: Rival
    folder: Path

    @cached_property
    def model(self) -> Any:
        """The model, as anybody loads it."""
        return mlflow.pyfunc.load_model(f"models:/{MODEL}@champion")

    @cached_property
    def champion(self) -> keras.Model:
        """Its network, as the pipelines load it."""
        loaded = RegisteredNetworkDataset(model_name=MODEL, alias="champion").load()
        return loaded.network  # type: ignore[union-attr]

    def measure_one(self, rounds: int) -> list[Comparison]:
        """Compare one image through the loaded model with the network itself."""
        request = self.images.take(1)
        contents = request["image"].tolist()

        def call_network() -> Answers:
            pixels = vision.decode_images(contents, SIZE_PX)
            return np.asarray(self.rival.network(pixels, training=False))

        def predict() -> Answers:
            return self.rival.predict_pixels(vision.decode_images(contents, SIZE_PX))

        def answer() -> Answers:
            return self._answer(request)

        check_same(answer, call_network, predict)
        called = time_in_turn(answer, call_network, rounds)
        predicted = time_in_turn(answer, predict, rounds)
        added = [ours - theirs for ours, theirs in zip(*called, strict=True)]
        return [
            compare(
                "one image, loaded pyfunc model, beyond the same decoding + network(pixels)",
                "what may be added",
                (added, [5.0] * rounds),
                unit="ms",
                goal=1,
                better="at most",
            ),
            compare(
                "one image, loaded pyfunc model",
                "the same decoding + network.predict",
                predicted,
                unit="ms",
                goal=1,
                better="at most",
            ),
        ]

    def measure_many(self, rounds: int) -> list[Comparison]:
        """Compare many images from packed arrays, from PNG bytes, and from PNG files."""
        return [
            compare(
                f"{MANY:,} images, {what}",
                against,
                self._time(sides, rounds),
                unit="s",
                goal=goal,
                better="at most",
            )
            for (what, against, goal), sides in self._list_sides(MANY).items()
        ]

    def measure_series(self, sizes: tuple[int, ...]) -> dict[str, Any]:
        """Measure all sides once for each number of images: seconds."""
        series: dict[str, Any] = {"images": list(sizes)}
        for size in sizes:
            for (what, _, _), sides in self._list_sides(size).items():
                ours, theirs = self._time(sides, 3 if size <= BATCH_SIZE else 1)
                series.setdefault(f"{what}: ours, s", []).append(float(np.median(ours)))
                series.setdefault(f"{what}: plain, s", []).append(float(np.median(theirs)))
        return series

    def _list_sides(self, count: int) -> dict[tuple[str, str, float], tuple[Side, Side]]:
        request = self.images.take(count)
        contents = request["image"].tolist()
        pixels = vision.decode_images(contents, SIZE_PX)
        files = self.images.write(count)
        return {
            ("packed arrays, vision.score_pixels", "model.predict", 1.1): (
                lambda: vision.score_pixels(self.champion, pixels, BATCH_SIZE),
                lambda: self.rival.predict_pixels(pixels),
            ),
            ("PNG bytes, loaded pyfunc model", "tf.data decoding + model.predict", 1.3): (
                lambda: self._answer(request),
                lambda: self.rival.predict_contents(contents),
            ),
            (
                "PNG files, pipeline `scoring`",
                "load_model + tf.data decoding + model.predict",
                1.3,
            ): (
                lambda: self._run_pipeline(files),
                lambda: self.rival.predict_files(files),
            ),
        }

    def _time(self, sides: tuple[Side, Side], rounds: int) -> tuple[list[float], list[float]]:
        check_same(*sides)
        return alternate(lambda: time_call(sides[0]), lambda: time_call(sides[1]), rounds)

    def _answer(self, request: pd.DataFrame) -> Answers:
        return self.model.predict(request)[PROBABILITIES].to_numpy()

    def _run_pipeline(self, files: Path) -> Answers:
        """Run the pipeline as it is, without Kedro's session and the upload to MLflow."""
        catalog = DataCatalog(
            {
                "image_source": ImageSourceDataset(filepath=str(files)),
                "image_list": ParquetDataset(filepath=str(self.folder / "image_list.parquet")),
                "champion": RegisteredNetworkDataset(model_name=MODEL, alias="champion"),
                "scores": ParquetDataset(filepath=str(self.folder / "scores.parquet")),
                "score_table": CSVDataset(filepath=str(self.folder / "scores.csv")),
                "score_summary": JSONDataset(filepath=str(self.folder / "summary.json")),
                "params:scoring.images": MemoryDataset(""),
                "params:registered_model_name": MemoryDataset(MODEL),
                "params:inference.batch_size": MemoryDataset(BATCH_SIZE),
            }
        )
        SequentialRunner().run(register_pipelines()["scoring"], catalog)
        return pd.read_parquet(self.folder / "scores.parquet")[PROBABILITIES].to_numpy()


def check_same(*sides: Side) -> None:
    """Ask each side once, which also warms it, and refuse sides that differ."""
    first, *others = (side() for side in sides)
    for other in others:
        difference = float(abs(first - other).max())
        if not difference <= TOLERANCE:
            raise SystemExit(f"The sides differ by {difference:g} in a probability.")


def time_in_turn(ours: Side, theirs: Side, rounds: int) -> tuple[list[float], list[float]]:
    """Return the median time of a call in milliseconds, of each side in each round.

    The sides take turns call by call: what else the machine does changes within a round.
    """
    medians: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        measured = alternate(lambda: time_call(ours), lambda: time_call(theirs), CALLS)
        for side, seconds in zip(medians, measured, strict=True):
            side.append(1000 * float(np.median(seconds)))
    return medians


if __name__ == "__main__":
    main()
