"""Processes end with the one that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from image_classification.machine.process import find_start, has_lost, locate_command

WORKER = """
import os, signal, sys, time
from image_classification.machine.process import end_with
parent = os.getpid()
signal.signal(signal.SIGTERM, lambda *_: None)
child = os.fork()
if child == 0:
    assert end_with(parent)
    print(os.getpid(), flush=True)
    time.sleep(600)
os.waitpid(child, 0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can do so")
def test_a_worker_ends_with_the_process_that_started_it_however_that_ends() -> None:
    with subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        deadline = time.monotonic() + 10
        while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_process_knows_whether_its_parent_is_gone() -> None:
    assert not has_lost(os.getppid())
    assert has_lost(os.getpid())


def test_the_program_beside_python_comes_before_any_of_that_name() -> None:
    assert locate_command("python") == str(Path(sys.executable).parent / "python")
    assert locate_command("no-such-program") == "no-such-program"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_when_a_process_began_tells_it_from_another_of_the_same_id() -> None:
    begun = find_start(os.getpid())
    assert int(begun) > 0
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as later:
        assert int(find_start(later.pid)) >= int(begun)
    assert find_start(later.pid) == ""
