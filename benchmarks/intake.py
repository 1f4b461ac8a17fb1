"""What a night's intake costs beside what is known: n new images with N known, for two N.

    python benchmarks/intake.py                       # 100 new, 2,000 and 20,000 known
    python benchmarks/intake.py --new 100 --known 2000 20000 --nights 7

Runs the whole pipeline `data_processing` (collect, inspect, screen, index, pack, check) over the
project's own catalog, without MLflow and without a Kedro session, whose fixed cost would flatter
the ratio. The nights of both storages alternate, so that a busy machine slows both alike. Prints a
Markdown table of medians, the ratio, and what each night reads, and writes JSON with --to.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import platform
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from PIL import Image

PROJECT = Path(__file__).resolve().parents[1]
CLASSES = ("Parasitized", "Uninfected")
SIDE_PX = 130
CELLS_PER_PATIENT = 50


def main() -> None:
    options = parse()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryDirectory() as folder:
        storages = {known: Path(folder, str(known)) for known in options.known}
        seed = 0
        for known, storage in storages.items():
            print(f"Taking in {known} images ...", flush=True)
            seed = fill(storage, "known", known, seed)
            first = take_in(storage)
            print(f"  {known / first[0]:.0f} images a second", flush=True)
        nights: dict[int, list[tuple[float, int]]] = {known: [] for known in storages}
        for night in range(options.nights):
            for known, storage in storages.items():
                seed = fill(storage, f"night{night}", options.new, seed)
                nights[known].append(take_in(storage))
    report(options, nights)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--new", type=int, default=100, help="images of a night")
    parser.add_argument("--known", type=int, nargs="+", default=[2_000, 20_000])
    parser.add_argument("--nights", type=int, default=7)
    parser.add_argument("--to", type=Path, help="a JSON file")
    return parser.parse_args()


def fill(storage: Path, batch: str, count: int, seed: int) -> int:
    """Let a batch of different images arrive; return the next seed."""
    folder = storage / "incoming" / batch
    for name in CLASSES:
        (folder / name).mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    base = random.integers(120, 200, (SIDE_PX, SIDE_PX, 3), np.uint8)
    for number in range(seed, seed + count):
        # Two pixels tell the contents apart; the rest costs what a real cell costs to decode.
        base[0, 0] = [number % 256, number // 256 % 256, number // 65536]
        content = io.BytesIO()
        Image.fromarray(base).save(content, "PNG", compress_level=1)
        patient = number // CELLS_PER_PATIENT
        name = f"C{patient}P1ThinF_IMG_20150601_100000_cell_{number}.png"
        (folder / CLASSES[number % 2] / name).write_bytes(content.getvalue())
    (folder / "_READY").touch()
    return seed + count


def take_in(storage: Path) -> tuple[float, int]:
    """Run the intake; return its seconds and the bytes it read."""
    from image_classification.pipelines import data_processing  # noqa: PLC0415

    catalog = build_catalog(storage)
    pipeline = data_processing.create_pipeline()
    process = psutil.Process()
    began, read = time.perf_counter(), process.io_counters().read_chars
    SequentialRunner().run(pipeline, catalog)
    return time.perf_counter() - began, process.io_counters().read_chars - read


def build_catalog(storage: Path) -> DataCatalog:
    """Return the project's catalog over a storage root, MLflow left out."""
    from image_classification.settings import CONFIG_LOADER_ARGS  # noqa: PLC0415

    os.environ["IMAGE_CLASSIFICATION_STORAGE"] = str(storage)
    loader = OmegaConfigLoader(str(PROJECT / "conf"), env="base", **CONFIG_LOADER_ARGS)
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
    # Noise screens nothing; the checks themselves are made.
    parameters["data_processing"]["screening"] |= {
        "maximum_look_distance": 1e9,
        "maximum_strange_share": 1.0,
    }
    for name in ("data_processing", "image_size_px"):
        catalog[f"params:{name}"] = parameters[name]
    return catalog


def report(options: argparse.Namespace, nights: dict[int, list[tuple[float, int]]]) -> None:
    medians = {
        known: (
            statistics.median(seconds for seconds, _ in runs),
            statistics.median(read for _, read in runs),
        )
        for known, runs in nights.items()
    }
    least = medians[min(medians)]
    names = ("python", "kedro", "pandas", "tensorflow")
    versions = [platform.python_version(), *(version(name) for name in names[1:])]
    print(f"\n{os.cpu_count()} cores, {platform.machine()}; ", end="")
    print(", ".join(f"{name} {number}" for name, number in zip(names, versions, strict=True)))
    print(f"\n| known images | a night of {options.new} | to the least | read | to the least |")
    print("|---:|---:|---:|---:|---:|")
    for known, (seconds, read) in medians.items():
        print(
            f"| {known} | {seconds:.2f} s | {seconds / least[0]:.2f} | {read / 2**20:.1f} MiB | "
            f"{read / least[1]:.2f} |"
        )
    if options.to:
        runs = {str(known): values for known, values in nights.items()}
        options.to.write_text(json.dumps({"new": options.new, "nights": runs}, indent=2))


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    main()
