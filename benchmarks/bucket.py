"""What nights over a bucket ask of it: requests and bytes, with the number of known images growing.

    python benchmarks/bucket.py            # the intake, night after night
    python benchmarks/bucket.py --whole    # one whole night of `kedro run`, too

The bucket is an S3 interface in this process (moto). The intake is the pipeline data_processing
over small drawn images; each night a worker that was there before reads the pixels of all images,
as a training does, and so does one that has never been there.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests" / "support"))

import pytest  # noqa: E402
from bucket import READ, WRITTEN, Gate, make_bucket, serve_store  # noqa: E402
from kedro.framework.project import settings  # noqa: E402
from kedro.framework.startup import bootstrap_project  # noqa: E402
from laboratory import Laboratory  # noqa: E402
from samples import draw_image  # noqa: E402

from image_classification.datasets import cache  # noqa: E402
from image_classification.datasets.delivery import Source, deliver  # noqa: E402
from image_classification.intake.index import select_accepted  # noqa: E402
from image_classification.local.synthetic import make_cells  # noqa: E402

SHOWN = (1, 2, 5, 10, 20)
IMAGES = 50

PUT_DOLLARS, GET_DOLLARS = 0.005 / 1000, 0.0004 / 1000
"""What S3 asks for a request in us-east-1: PUT, COPY, POST and LIST; GET and HEAD."""


class Address(str):
    """The address of a storage root, where `Laboratory` expects a path."""

    def __truediv__(self, name: str) -> Address:
        return Address(f"{self}/{name}")

    def as_posix(self) -> str:
        """Return the address."""
        return str(self)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nights", type=int, default=max(SHOWN))
    parser.add_argument("--whole", action="store_true", help="run one whole night as well")
    options = parser.parse_args()
    with (
        pytest.MonkeyPatch.context() as patch,
        serve_store(patch) as gate,
        tempfile.TemporaryDirectory() as folder,
    ):
        run_intakes(gate, Path(folder), options.nights)
        if options.whole:
            run_night(gate, Path(folder), patch)


def run_intakes(gate: Gate, folder: Path, nights: int) -> None:
    root = Address(make_bucket())
    laboratory = Laboratory(root)  # type: ignore[arg-type]
    for night in range(1, nights + 1):
        batch = folder / f"night-{night}"
        for number in range(IMAGES):
            name = f"C{night}P{night * 10 + number % 10}_IMG_20150601_{number:06}.png"
            place = batch / ("Parasitized", "Uninfected")[number % 2] / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(draw_image(night * IMAGES + number))
        deliver(Source(batch), f"{root}/incoming", f"night-{night:03}")
        # A night of tasks is one of processes: what one has read, no other has in memory.
        cache.use(str(folder / "kept"), 10)
        gate.forget()
        laboratory.take_in()
        if night in SHOWN:
            show(gate, f"night {night:3}, {night * IMAGES:5} images: intake")
        for worker, place in (("that was there", "kept"), ("that is new", f"new-{night}")):
            cache.use(str(folder / place), 10)
            gate.forget()
            catalog = laboratory.catalog()
            images = select_accepted(catalog.load("image_index"))
            catalog.load("packed_pixels").read(images["image_id"].tolist(), laboratory.size_px)
            if night in SHOWN:
                show(gate, f"  pixels and index, worker {worker}")


def run_night(gate: Gate, folder: Path, patch: pytest.MonkeyPatch) -> None:
    root = f"{make_bucket()}/laboratory"
    make_cells(folder / "cells", range(1, 31), 8)
    patch.setenv("IMAGE_CLASSIFICATION_STORAGE", root)
    patch.setenv("IMAGE_CLASSIFICATION_CACHE", str(folder / "cache"))
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    patch.setenv("KEDRO_ENV", "test")
    os.chdir(PROJECT)
    deliver(Source(folder / "cells"), f"{root}/incoming", "first")
    gate.forget()
    bootstrap_project(PROJECT)
    with settings.SESSION_CLASS.create(project_path=PROJECT) as session:
        session.run(pipeline_names=["retraining"])
    show(gate, "a first whole night of `kedro run`, 240 images, MLflow's artifacts included")


def show(gate: Gate, what: str) -> None:
    counts: dict[str, Any] = dict(sorted(gate.requests.items()))
    dear = sum(counts.get(kind, 0) for kind in ("PUT", "COPY", "POST", "LIST"))
    cheap = sum(counts.get(kind, 0) for kind in ("GET", "HEAD"))
    dollars = dear * PUT_DOLLARS + cheap * GET_DOLLARS
    kinds = ", ".join(f"{number} {kind}" for kind, number in counts.items())
    moved = f"{gate.bytes[READ] / 1000:.0f} kB read, {gate.bytes[WRITTEN] / 1000:.0f} kB written"
    print(f"{what}: {kinds}; {moved}; ${dollars:.5f}", flush=True)


if __name__ == "__main__":
    main()
