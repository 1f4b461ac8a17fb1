"""Damaged images and zips: no crash, and one answer wherever they arrive."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fuzzing import Fuzzer, make_network

from image_classification.commands.endpoint import worker


class Here:
    """The endpoint's work, in this process."""

    ready = True

    def __init__(self) -> None:
        self._network = make_network()

    def wait(self) -> None:
        """Nothing is loaded."""

    def ask(self, contents: Sequence[bytes]) -> list[worker.Answer]:
        return worker._score(self._network, contents, 4_000_000)

    def stop(self) -> None:
        """Nothing was started."""


def test_damaged_files_get_one_answer_everywhere(tmp_path: Path) -> None:
    """Of the 20,000 of `benchmarks/fuzz.py` the first. Packaging a model takes most of the time."""
    fuzzer = Fuzzer(tmp_path, Here())
    fuzzer.run(range(120), range(6))
    found = fuzzer.findings
    assert found.faults == []
    assert 12 < found.read < 110
    assert found.compared > found.read / 2
    assert found.slowest_s < 10
