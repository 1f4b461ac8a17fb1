"""Damaged images and zips through intake, scoring, packaged model and endpoint: 20,000 of them.

    python benchmarks/fuzz.py                       # 19,000 images and 1,000 zips, minutes
    python benchmarks/fuzz.py --images 1000 --from 50000

All must be answered alike, as by a reference decoder, without a crash and without a hang. It
ends with 1 where one is not, and names it by its number, by which it is made again.
"""

from __future__ import annotations

import argparse
import faulthandler
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

# Before TensorFlow, Kedro or MLflow is imported.
os.environ.update(DO_NOT_TRACK="1", MLFLOW_DISABLE_TELEMETRY="true", TF_CPP_MIN_LOG_LEVEL="3")

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from image_classification.commands.endpoint.worker import Task, Worker

PART = 500
ZIPS_A_PART = 1 / 19
"""Of the files of a part: one in twenty is a zip."""

SLOWEST_S = 10.0
"""An image of 2^26 pixels takes some seconds of the processor."""
HANGS_AFTER_S = 300


def main() -> int:
    # Not above: the worker's process imports this file, too.
    from fuzzing import Fuzzer, make_network  # noqa: PLC0415

    options = parse()
    faulthandler.enable()
    logging.disable(logging.WARNING)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        network = Path(folder, "network.keras")
        make_network().save(network)
        (Path(folder) / "run").mkdir()
        fuzzer = Fuzzer(Path(folder, "run"), _Kept(Task(network, 4_000_000)))
        for start in range(options.start, options.start + options.images, PART):
            end = min(start + PART, options.start + options.images)
            faulthandler.dump_traceback_later(HANGS_AFTER_S, exit=True)
            fuzzer.run(range(start, end), range(int(start * ZIPS_A_PART), int(end * ZIPS_A_PART)))
            faulthandler.cancel_dump_traceback_later()
            found = fuzzer.findings
            print(
                f"{found.images:,} images and {found.zips:,} zips in "
                f"{time.monotonic() - began:.0f} s: {found.read:,} images had pixels, "
                f"{found.compared:,} of them known to the reference; the dearest took "
                f"{1000 * found.slowest_s:.0f} ms; {len(found.faults)} faults",
                flush=True,
            )
    print("\n".join(fuzzer.findings.faults[:50]))
    found = fuzzer.findings
    return int(bool(found.faults) or found.slowest_s > SLOWEST_S)


class _Kept(Worker):
    """A worker that is started once, and not stopped with each client."""

    def __init__(self, task: Task) -> None:
        super().__init__(task, 60)

    def stop(self) -> None:
        """Go on: the process ends with this one."""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=19_000)
    parser.add_argument("--from", type=int, default=0, dest="start", help="number of the first")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
