"""What a whole night over a bucket asks of it, with more and more images known before.

    python benchmarks/bucket_night.py                  # 1,000 and 10,000 known images
    python benchmarks/bucket_night.py --known 1000

The known images came in batches of 1,000, drawn ones of some hundred bytes. Then two nights of
`kedro run` with 50 new images each are counted, MLflow's artifacts included: the first on a worker
that has never been there, the second on the same one. The bucket is an S3 interface in this process
(moto). Each night trains one epoch on all images.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests" / "support"))

import pytest  # noqa: E402
from bucket import READ, WRITTEN, Gate, make_bucket, serve_store  # noqa: E402
from laboratory import Laboratory  # noqa: E402
from moto.core import DEFAULT_ACCOUNT_ID  # noqa: E402
from moto.s3.models import s3_backends  # noqa: E402
from samples import draw_image  # noqa: E402
from sessions import kedro_run  # noqa: E402
from storage_root import put_in_force  # noqa: E402

from image_classification.datasets.delivery import Source, deliver  # noqa: E402

KNOWN = (1_000, 10_000)
BATCH, NEW, PATIENTS = 1_000, 50, 20
SIZE_PX = 16
NIGHT = {"image_size_px": SIZE_PX, "promotion": {"improvement": {"minimum_gain": -1.0}}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--known", type=int, nargs="*", default=KNOWN)
    options = parser.parse_args()
    os.chdir(PROJECT)
    for known in options.known:
        with (
            pytest.MonkeyPatch.context() as patch,
            tempfile.TemporaryDirectory() as folder,
            serve_store(patch) as gate,
        ):
            count_nights(gate, Path(folder), known, patch)


def count_nights(gate: Gate, folder: Path, known: int, patch: pytest.MonkeyPatch) -> None:
    root = f"{make_bucket()}/laboratory"
    fill(folder / "before", known)
    upload(folder / "before", root)
    put_in_force(patch, root)
    patch.setenv("IMAGE_CLASSIFICATION_CACHE", str(folder / "cache"))
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    for night, worker in ((1, "that is new"), (2, "that was there")):
        draw(folder / f"new-{night}", known + night * NEW, NEW, f"N{night}")
        deliver(Source(folder / f"new-{night}"), f"{root}/incoming", f"new-{night}")
        places: Counter[str] = Counter()

        def note(kind: str, path: str, places: Counter[str] = places) -> str:
            below = path.strip("/").split("/")[2:]
            places[f"{below[0] if below else 'root'} {kind}"] += 1
            return ""

        gate.forget()
        gate.fault = note
        kedro_run("retraining", **NIGHT)
        show(gate, places, f"{known} known images, worker {worker}")


def fill(storage: Path, known: int) -> None:
    """Take images in, in batches, on a disk: nothing of it is counted."""
    laboratory = Laboratory(storage)
    laboratory.size_px = SIZE_PX
    for number in range(known // BATCH):
        batch = laboratory.incoming / f"known-{number:03}"
        draw(batch, number * BATCH, BATCH, f"K{number}")
        (batch / "_READY").touch()
    laboratory.take_in()


def draw(folder: Path, first: int, count: int, prefix: str) -> None:
    for number in range(first, first + count):
        name = f"C{prefix}P{prefix}{number % PATIENTS}_IMG_20150601_{number:06}.png"
        place = folder / ("Parasitized", "Uninfected")[number // PATIENTS % 2] / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(draw_image(number))


def upload(storage: Path, root: str) -> None:
    """Put a storage into the bucket, past the gate: by HTTP it would take minutes."""
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    store = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for path in storage.rglob("*"):
        if path.is_file():
            key = f"{prefix}/{path.relative_to(storage).as_posix()}"
            store.put_object(bucket, key, path.read_bytes())


def show(gate: Gate, places: Counter[str], what: str) -> None:
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(gate.requests.items()))
    moved = f"{gate.bytes[READ] / 1e6:.1f} MB read, {gate.bytes[WRITTEN] / 1e6:.1f} MB written"
    print(f"{what}: {kinds}; {moved}", flush=True)
    for place, number in sorted(places.items()):
        print(f"    {place}: {number}", flush=True)


if __name__ == "__main__":
    main()
