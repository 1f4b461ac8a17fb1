"""What TensorFlow writes while it is imported is logged, and what others write is shown."""

from __future__ import annotations

import logging
import os

import pytest

from image_classification.vendor.tensorflow import quiet_import

CHATTER = [
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n",
    b"I0000 00:00:1795807023.654597   18869 port.cc:153] oneDNN custom operations are on.\n",
    b"To enable the following instructions: AVX2, rebuild TensorFlow.\n",
    b"\n",
]


def test_its_own_lines_are_logged_and_others_are_shown(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="image_classification"), quiet_import():
        for line in [*CHATTER, b"a disk is full\n"]:
            os.write(2, line)
    assert capfd.readouterr().err == "a disk is full\n"
    assert "oneDNN custom operations" in caplog.text


def test_what_is_written_before_an_import_fails_is_shown(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        with quiet_import():
            os.write(2, b"libcuda.so is broken\n")
            raise ImportError

    with pytest.raises(ImportError):
        fail()
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "libcuda.so is broken\nafterwards\n"


def test_without_a_terminal_it_is_imported_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> int:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(os, "dup", refuse)
    with quiet_import():
        pass
