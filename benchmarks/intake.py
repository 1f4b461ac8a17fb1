"""What an intake costs: the first one, a night's, and how both grow with what is known.

    python benchmarks/intake.py --data cell_images.zip      # without it: synthetic cells
    python benchmarks/intake.py --quick                     # under a minute

Runs the whole pipeline `data_processing` (collect, inspect, screen, index, pack, check) over the
project's own catalog in one warm process, without MLflow and without a Kedro session, whose fixed
cost would flatter the ratios.

- the first intake of a folder against nothing but `tf.io.decode_png` and the same resizing, of the
  same files, on all cores;
- a night of 1 % new images against that first intake, and against one of as many images as the
  published set has;
- a night against the same night with ten times as many images known, and what each reads;
- peak memory of the first intake of few images and of many, each in a process of its own;
- for the plots: the first intake against the number of images, and a night and each operation on
  the index against the known index, up to a million rows (made up, without files), and against the
  number of nights that the log of the index is in.

Images beyond those that there are, are copies with some bytes behind the end: other contents, the
same work.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from measuring import (
    PROJECT,
    Comparison,
    add_options,
    alternate,
    compare,
    compare_peaks,
    keep,
    read_peak_mib,
    reset_peak,
    time_call,
)

from image_classification.intake import contract, index, screening
from image_classification.intake.split import assign_splits, draw_splits
from image_classification.local.synthetic import make_cells
from image_classification.pipelines import data_processing
from image_classification.pipelines.data_processing.inspecting import CHUNK_IMAGES

CLASSES = ["Parasitized", "Uninfected"]
SIZE_PX = 64
NIGHTS = 5
CELLS_PER_PATIENT = 87
"""Of the made-up index: the mean of the NIH malaria set."""

SIZES: dict[str, Any] = {
    "images": None,  # all of the first intake
    "whole": 27_558,  # what the NIH malaria set has
    "new": 100,
    "known": (2_000, 20_000),
    "series": (1_000, 3_000, 9_000, 27_000),
    "rows": (10_000, 100_000, 1_000_000),
    "parts": (1, 365),
}
QUICK: dict[str, Any] = {
    "images": 600,
    "whole": 1_200,
    "new": 20,
    "known": (200, 1_000),
    "series": (200, 800),
    "rows": (20_000,),
    "parts": (1,),
}


def main() -> None:
    options = parse()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryDirectory() as folder:
        if options.alone:
            print(json.dumps(measure_alone(*options.alone, Path(folder, "storage"))))
            return
        sizes = QUICK if options.quick else SIZES
        rounds = 1 if options.quick else options.rounds
        files = find_images(options.data, Path(folder, "images"))
        warm_up(Path(folder, "warm"), files)
        lines = compare_first(Path(folder), pick(files, sizes["images"] or len(files)), rounds)
        lines.append(compare_nights(Path(folder), files, sizes["whole"], rounds))
        lines.append(compare_known(Path(folder), files, sizes, options.quick))
        series = measure_series(files, sizes)
        lines.append(compare_peaks("a first intake", series["first_intake"], "peak_mib"))
        keep("intake", lines, series, options.to, images=len(files), real=bool(options.data))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="cell_images.zip, or a folder of images")
    # A size measured in a process of its own: its kind, the number, and where images lie
    parser.add_argument("--alone", nargs=3, help=argparse.SUPPRESS)
    add_options(parser, rounds=5)
    return parser.parse_args()


def find_images(data: Path | None, folder: Path) -> list[Path]:
    """Return the PNGs of a zip or folder, or of cells that are made."""
    if data is None:
        make_cells(folder, range(1, 61), 10)
    elif data.is_dir():
        folder = data
    else:
        with zipfile.ZipFile(data) as archive:
            archive.extractall(folder)
    return sorted(folder.rglob("*.png"))


def pick(files: Sequence[Path], count: int) -> list[Path]:
    """Return so many files, evenly from all patients."""
    return [files[number * len(files) // count] for number in range(count)]


def deliver(storage: Path, batch: str, files: Sequence[Path], count: int, turn: int = 0) -> None:
    """Let a batch of different images arrive; contents of another `turn` are others."""
    chosen = pick(files, count) if count < len(files) else files
    for number in range(count):
        file = chosen[number % len(chosen)]
        copy = turn + number // len(files)
        target = storage / "incoming" / batch / file.parent.name / f"{file.stem}-{copy}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        content = file.read_bytes()
        target.write_bytes(content + copy.to_bytes(4) if copy else content)
    (storage / "incoming" / batch / "_READY").touch()


def take_in(storage: Path) -> tuple[float, int]:
    """Run the intake; return its seconds and the bytes it read."""
    catalog, pipeline = build_catalog(storage), data_processing.create_pipeline()
    process = psutil.Process()
    read = process.io_counters().read_chars
    seconds = time_call(lambda: SequentialRunner().run(pipeline, catalog))
    return seconds, process.io_counters().read_chars - read


def build_catalog(storage: Path) -> DataCatalog:
    """Return the project's catalog over a storage root, MLflow left out."""
    from image_classification.configuration.loader import (  # noqa: PLC0415
        LOADER_ARGUMENTS,
        ReadOnceConfigLoader,
    )

    os.environ["IMAGE_CLASSIFICATION_STORAGE"] = str(storage)
    loader = ReadOnceConfigLoader(str(PROJECT / "conf"), env="base", **LOADER_ARGUMENTS)
    entries: dict[str, dict[str, Any]] = loader["catalog"]
    catalog = DataCatalog.from_config(
        {
            name: entry.get("dataset", entry)
            for name, entry in entries.items()
            if not name.startswith("_")
        }
    )
    catalog["open_champion"] = MemoryDataset(lambda: None, copy_mode="assign")
    parameters = loader["parameters"]
    # Copies and made-up rows screen nothing; the checks themselves are made.
    parameters["data_processing"]["screening"] |= {
        "maximum_look_distance": 1e9,
        "maximum_strange_share": 1.0,
    }
    for name in ("data_processing", "image_size_px"):
        catalog[f"params:{name}"] = parameters[name]
    # Kedro makes a dataset when it is first asked for: part of what is fixed, as the session is.
    for name in catalog:
        catalog.get(name)
    return catalog


def warm_up(storage: Path, files: Sequence[Path]) -> None:
    """Import, trace and compile all that an intake uses."""
    for turn in (0, 1):
        deliver(storage, f"b{turn}", files, 400, turn)
        take_in(storage)
    decode_bare(files[:10])


def decode_bare(files: Sequence[Path]) -> None:
    """Decode and resize, as a script of a few lines would."""
    import tensorflow as tf  # noqa: PLC0415

    def decode(path: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_png(tf.io.read_file(path), channels=3)
        return tf.cast(tf.round(tf.image.resize(image, (SIZE_PX, SIZE_PX), "area")), tf.uint8)

    with tf.device("/CPU:0"):
        paths = tf.constant([str(file) for file in files])
        images = tf.data.Dataset.from_tensor_slices(paths).map(decode, tf.data.AUTOTUNE)
        for batch in images.batch(256):
            batch.numpy()


def compare_first(folder: Path, files: Sequence[Path], rounds: int) -> list[Comparison]:
    """Compare the first intake with bare decoding, and the nights after it with itself."""
    nights: list[float] = []

    def take_in_first() -> float:
        first, night = take_in_all(folder / "first", files, len(files))
        nights.append(night)
        return first

    first = alternate(take_in_first, lambda: time_call(lambda: decode_bare(files)), rounds)
    return [
        compare(
            f"first intake of {len(files):,} images",
            "decode_png and resize alone",
            first,
            unit="s",
            goal=1.3,
            better="at most",
        ),
        compare_night(len(files), (nights, first[0])),
    ]


def compare_nights(folder: Path, files: Sequence[Path], count: int, rounds: int) -> Comparison:
    """Compare the nights after a first intake of so many images with that intake."""
    firsts, nights = zip(
        *(take_in_all(folder / "whole", files, count) for _ in range(rounds)), strict=True
    )
    return compare_night(count, (nights, firsts))


def compare_night(count: int, measured: tuple[Sequence[float], Sequence[float]]) -> Comparison:
    """Return the line of a night of 1 % new images."""
    return compare(
        f"a night of {count // 100} new images",
        f"the first intake of {count:,}",
        measured,
        unit="s",
        goal=0.03,
        better="at most",
    )


def take_in_all(storage: Path, files: Sequence[Path], count: int) -> tuple[float, float]:
    """Return the seconds of a first intake, and of a night of 1 % after it."""
    deliver(storage, "first", files, count)
    seconds, _ = take_in(storage)
    night = statistics.median(take_in_nights(storage, files, count // 100))
    shutil.rmtree(storage)
    return seconds, night


def take_in_nights(storage: Path, files: Sequence[Path], count: int) -> list[float]:
    """Let some nights pass; return the seconds of each."""
    seconds = []
    for night in range(NIGHTS):
        deliver(storage, f"night{night}", files, max(count, 2), 1_000 + night)
        seconds.append(take_in(storage)[0])
    return seconds


def compare_known(
    folder: Path, files: Sequence[Path], sizes: dict[str, Any], quick: bool
) -> Comparison:
    """Compare nights with many images known to nights with few; print what each reads."""
    storages = [folder / f"known{known}" for known in sizes["known"]]
    for storage, known in zip(storages, sizes["known"], strict=True):
        deliver(storage, "known", files, known)
        take_in(storage)
    runs: dict[Path, list[tuple[float, int]]] = {storage: [] for storage in storages}

    def pass_night(storage: Path) -> float:
        night = len(runs[storage])
        deliver(storage, f"night{night}", files, sizes["new"], 1_000 + night)
        runs[storage].append(take_in(storage))
        return runs[storage][-1][0]

    few, many = storages
    measured = alternate(lambda: pass_night(many), lambda: pass_night(few), 3 if quick else 9)
    for storage, known in zip(storages, sizes["known"], strict=True):
        read = statistics.median(read for _, read in runs[storage]) / 2**20
        print(f"A night of {sizes['new']} with {known:,} known reads {read:.1f} MiB.", flush=True)
    return compare(
        f"a night of {sizes['new']}, {sizes['known'][1]:,} known",
        f"{sizes['known'][0]:,} known",
        measured,
        unit="s",
        goal=1.5,
        better="at most",
    )


def measure_series(files: Sequence[Path], sizes: dict[str, Any]) -> dict[str, Any]:
    """Measure each size in a process of its own."""
    root = str(Path(os.path.commonpath(files)))
    return {
        "first_intake": [_run_alone("images", size, root) for size in sizes["series"]],
        "known_index": [_run_alone("rows", size, root) for size in sizes["rows"]],
        "nights_in_log": [_run_alone("parts", size, root) for size in sizes["parts"]],
    }


def _run_alone(kind: str, size: int, root: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--alone", kind, str(size), root]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(measured, flush=True)
    return measured


def measure_alone(kind: str, size: str, root: str, storage: Path) -> dict[str, Any]:
    """Measure one size, in this process; all numbers are seconds, or MiB."""
    reset_peak()
    files = sorted(Path(root).rglob("*.png"))
    warm_up(storage.with_name("warm"), files)
    warm = read_peak_mib()
    measured: dict[str, Any] = {kind: int(size)}
    if kind == "images":
        deliver(storage, "first", files, int(size))
        measured["first_s"] = take_in(storage)[0]
        copies = sorted((storage / "images").rglob("*.png"))
        measured["bare_s"] = time_call(lambda: decode_bare(copies))
        count = max(int(size) // 100, 2)
    else:
        rows, parts = (int(size), 1) if kind == "rows" else (20_000, int(size))
        write_log(storage, rows, parts)
        measured |= measure_operations(storage)
        count = 100
    measured["peak_mib"], measured["warm_mib"] = read_peak_mib(), warm
    measured["night_s"] = statistics.median(take_in_nights(storage, files, count))
    measured["night_images"] = count
    measured["night_peak_mib"] = read_peak_mib()
    return measured


def write_log(storage: Path, count: int, parts: int) -> None:
    """Write a made-up log of the index, as many nights would have left it."""
    dataset = build_catalog(storage)["known_images"]
    began = datetime(2026, 1, 1, tzinfo=UTC)
    for part in range(parts):
        numbers = range(count * part // parts, count * (part + 1) // parts)
        time = (began + timedelta(days=part)).isoformat(timespec="microseconds")
        rows = make_rows(numbers, storage, f"known{part}", time)
        dataset.save(rows)
        write_pixels(storage / "pixels" / f"{SIZE_PX}px", rows["image_id"].tolist())


def write_pixels(folder: Path, image_ids: Sequence[str]) -> None:
    """Write shards of nothing but holes, which take no disk: else a night would pack the rows."""
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(image_ids), CHUNK_IMAGES):
        ids = image_ids[start : start + CHUNK_IMAGES]
        shape = (len(ids), SIZE_PX, SIZE_PX, 3)
        np.lib.format.open_memmap(folder / f"{ids[0][:16]}.npy", "w+", np.uint8, shape)
        pd.DataFrame({"image_id": ids}).to_parquet(folder / f"{ids[0][:16]}.parquet")


def make_rows(numbers: range, storage: Path, batch: str, time: str) -> pd.DataFrame:
    """Return plausible rows of the log, one per number."""
    labels = [CLASSES[number % 2] for number in numbers]
    patients = [f"K{number // CELLS_PER_PATIENT}" for number in numbers]
    names = [f"{patient}_{number}.png" for patient, number in zip(patients, numbers, strict=True)]
    ids = [hashlib.sha256(str(number).encode()).hexdigest() for number in numbers]
    rows = pd.DataFrame({"image_id": ids, "image_name": names, "label": labels})
    rows = rows.assign(
        path=batch + "/" + rows["label"] + "/" + rows["image_name"],
        patient=patients,
        captured_on="2015-06-01",
        width=130,
        height=130,
        size_bytes=12_000,
        batch=batch,
        labelled_by="",
        labelled_on="",
        first_seen=time,
        packed_px=SIZE_PX,
    )
    # Different statistics for each image, the same in each run.
    spread = pd.Series([int(image_id[:6], 16) / 2**24 for image_id in ids], dtype="float32")
    rows = rows.assign(**dict.fromkeys(screening.STATISTICS, spread))
    parameters = build_catalog(storage).load("params:data_processing")
    unreviewed = {"reviewed_by": "", "review_reason": "", "reviewed_at": ""}
    splits = draw_splits(rows["patient"], parameters)
    return rows.assign(
        split=rows["patient"].map(splits), status=index.ACCEPTED, **unreviewed, recorded_at=time
    )


def measure_operations(storage: Path) -> dict[str, float]:
    """Measure what a night does with the whole index."""
    catalog = build_catalog(storage)
    parameters = catalog.load("params:data_processing")
    log = catalog.load("image_index")
    images = index.select_accepted(log)

    def load_anew() -> None:
        catalog.release("image_index")
        catalog.load("image_index")

    operations = {
        "load_s": load_anew,
        "settle_s": lambda: index.settle_index(log),
        "select_s": lambda: index.select_accepted(log),
        "check_s": lambda: contract.check_images(images, CLASSES, parameters["contract"]),
        "assign_splits_s": lambda: assign_splits(
            log, {"new": ["C1", "of nobody"]}, set(log["batch"]), parameters
        ),
    }
    return {
        name: statistics.median(time_call(call) for _ in range(3))
        for name, call in operations.items()
    }


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    main()
