"""Is a batch taken half while a program writes it? Real programs, and looks all the time.

    .venv/bin/python benchmarks/settling.py [cell_images.zip] [--images 1500] [--looks 100]

Each program copies the same images, whose times are weeks old, into an incoming folder that is
looked at without a pause, as the intake does, with `settle_minutes: 30`; again and again, until
there were enough looks. A look that says "complete" while the program runs would take it half.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from image_classification.datasets import InboxDataset
from image_classification.local.synthetic import make_cells

COMMANDS = {
    "cp -a": ["cp", "-a", "{source}", "{target}"],
    "rsync -a": ["rsync", "-a", "{source}/", "{target}"],
    "rsync -a --inplace": ["rsync", "-a", "--inplace", "{source}/", "{target}"],
    "rsync -a, 4 MB/s": ["rsync", "-a", "--bwlimit=4M", "{source}/", "{target}"],
    "tar": ["tar", "-xf", "{source}.tar", "-C", "{incoming}"],
    "unzip": ["unzip", "-q", "{source}.zip", "-d", "{incoming}"],
    "cp -a of a zip": ["cp", "-a", "{source}.zip", "{target}.zip"],
    "rsync of a zip, 8 MB/s": [
        "rsync",
        "-a",
        "--inplace",
        "--bwlimit=8M",
        "{source}.zip",
        "{target}.zip",
    ],
}
SETTLE_MINUTES = 30
WEEKS_AGO_S = 30 * 24 * 3600


def prepare(folder: Path, archive: Path | None, images: int) -> Path:
    """Lay out a batch of old files, a tar and a zip of it; return the folder of the batch."""
    source = folder / "source" / "batch"
    if archive is None:
        make_cells(source, range(1, 1 + -(-images // 20)), 10)
    else:
        with zipfile.ZipFile(archive) as members:
            names = [name for name in members.namelist() if name.endswith(".png")]
            members.extractall(source, names[:: max(1, len(names) // images)])
    old = time.time() - WEEKS_AGO_S
    for path in [*source.rglob("*"), source]:
        os.utime(path, (old, old))
    shutil.make_archive(str(source), "tar", source.parent, source.name)
    shutil.make_archive(str(source), "zip", source.parent, source.name)
    return source


def look_beside(command: list[str], source: Path, incoming: Path) -> Iterator[bool]:
    """Yield what each look said while a program copied: is the batch complete?"""
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir()
    places = {"source": source, "incoming": incoming, "target": incoming / "batch"}
    dataset = InboxDataset(filepath=str(incoming), notes=str(incoming.parent / "images"))
    copy = subprocess.Popen([part.format(**places) for part in command])
    while copy.poll() is None:
        for batch in dataset.load().batches:
            yield batch.is_complete(SETTLE_MINUTES, datetime.now(UTC))
    if copy.returncode:
        sys.exit(f"'{command[0]}' failed: {copy.returncode}")


def main() -> None:
    """Print how many looks of each program said that a batch was complete."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "archive", nargs="?", type=Path, help="a zip of images; without it, drawn ones"
    )
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--looks", type=int, default=100, help="of each program, at least")
    arguments = parser.parse_args()
    total, halves = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        source = prepare(Path(folder), arguments.archive, arguments.images)
        for name, command in COMMANDS.items():
            if shutil.which(command[0]) is None:
                print(f"{name:24} not installed")
                continue
            said: list[bool] = []
            while len(said) < arguments.looks:
                said += look_beside(command, source, Path(folder) / "incoming")
            print(
                f"{name:24} {sum(said)} of {len(said)} looks would have taken it half", flush=True
            )
            total, halves = total + len(said), halves + sum(said)
    print(f"{halves} of {total} looks")
    sys.exit(1 if halves else 0)


if __name__ == "__main__":
    main()
