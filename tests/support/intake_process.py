"""Intakes in processes of their own, forked from one that has imported all that an intake needs.

That one has used nothing of TensorFlow: a fork of a process that has, such as pytest's, may crash.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import keras
import pandera.backends.pandas.builtin_checks
import pandera.pandas
import pytest
import tensorflow as tf
from laboratory import Laboratory, read_parameters

__all__ = ["keras", "pandera", "start_intake", "tf"]

read_parameters()  # it keeps them


def take_in(storage: Path) -> None:
    Laboratory(storage).take_in()


def start_intake(storage: Path) -> ForkServerProcess:
    """Start an intake of what has arrived below a storage root."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=take_in, args=(storage,))
    with pytest.MonkeyPatch.context() as patch:
        # Before Python 3.13 the server does not learn where this process finds its modules, and
        # goes on without what it does not find.
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        process.start()
    return process
