"""Other users of this machine: who delivers is not always who takes in."""

from __future__ import annotations

import codecs
import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

INTAKE, DEPOSITOR = 12345, 12346

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


@contextmanager
def acting_as(user: int, umask: int = 0o022) -> Iterator[None]:
    """Let this process be another user, without its groups, as far as files are concerned.

    What Python would import then may be closed to that user, so what zips need is there before.
    """
    codecs.lookup("cp437")
    mask, groups = os.umask(umask), os.getgroups()
    os.setgroups([])
    os.setegid(user)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
        os.umask(mask)
        importlib.invalidate_caches()
