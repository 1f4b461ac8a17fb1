"""The intake, killed at twenty random moments and run again, against one that was left alone."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from intake_process import start_intake
from laboratory import Laboratory

from image_classification.local.synthetic import make_cells

pytestmark = pytest.mark.slow

KILLS = 20
BATCHES = 4


def fill(laboratory: Laboratory) -> None:
    """Let four batches of 120 images arrive, one of them as a zip, with repetitions."""
    for number in range(BATCHES):
        folder = laboratory.incoming / f"b{number}"
        # Neighbouring batches share a third of their patients, so contents repeat.
        make_cells(folder, range(1 + 8 * number, 13 + 8 * number), 10)
        (folder / "_READY").touch()
    shutil.make_archive(str(laboratory.incoming / "b3"), "zip", laboratory.incoming / "b3")
    shutil.rmtree(laboratory.incoming / "b3")
    (laboratory.incoming / "b3.zip._READY").touch()


def run(storage: Path, kill_after_s: float | None) -> tuple[float, bool]:
    """Run an intake in a process of its own; return its seconds, and whether it was killed."""
    process, began = start_intake(storage), time.monotonic()
    process.join(kill_after_s)
    killed = process.is_alive()
    if killed and process.pid:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert killed or process.exitcode == 0
    return time.monotonic() - began, killed


def describe(storage: Path) -> tuple[object, ...]:
    """Return all that an intake leaves, but for the times."""
    laboratory = Laboratory(storage)
    catalog = laboratory.catalog()
    times = ["first_seen", "recorded_at"]
    index = laboratory.index().drop(columns=times).reset_index(drop=True)
    log = laboratory.log().drop(columns=times).sort_values("path").reset_index(drop=True)
    packed = catalog.load("packed_pixels")
    pixels = packed.read(index["image_id"].tolist(), laboratory.size_px)
    inspections = catalog.load("image_inspections")
    return (
        index.to_csv(),
        log.to_csv(),
        laboratory.quarantine().to_csv(),
        {name: len(inspections.read(name)) for name in inspections.names()},
        pixels.tobytes(),
        sorted(packed.image_ids(laboratory.size_px)),
        sorted(path.name for path in (storage / "images").iterdir()),
        sorted(path.name for path in (storage / "incoming").iterdir()),
    )


def test_twenty_kills_at_random_lose_nothing_and_duplicate_nothing(tmp_path: Path) -> None:
    arrived = Laboratory(tmp_path / "arrived")
    fill(arrived)
    whole = arrived.copy(tmp_path / "whole")
    run(whole.storage, None)  # the first one, which starts the server of the processes
    seconds, _ = run(arrived.copy(tmp_path / "again").storage, None)
    expected = describe(whole.storage)
    assert len(whole.index()) == BATCHES * 120 - (BATCHES - 1) * 40

    generator = random.Random(20150601)  # noqa: S311
    kills, attempts = 0, 0
    while kills < KILLS:
        attempts += 1
        assert attempts < 5 * KILLS, f"only {kills} of {attempts} runs were long enough to kill"
        storage = arrived.copy(tmp_path / f"attempt{attempts}").storage
        # The imports are shared by the forks: all of the time is work.
        _, killed = run(storage, generator.uniform(0, 1.1 * seconds))
        kills += killed
        run(storage, None)
        assert describe(storage) == expected
