"""TensorFlow: what it writes to the terminal while it is imported.

Tried with TensorFlow 2.21: its C++ code writes a dozen lines (oneDNN, no card, CPU) to file
descriptor 2, before its own log can be told to be quiet (TF_CPP_MIN_LOG_LEVEL). It can go when that
variable holds from the first line on. This module does not import TensorFlow.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

logger = logging.getLogger(__name__)

STDERR = 2

CHATTER = re.compile(
    rb"[IWE]\d{4} \d\d:\d\d:\d+\.|WARNING: All log messages before absl|To enable the following "
    rb"instructions|\s*$"
)
"""How its lines begin."""


@contextmanager
def quiet_import() -> Iterator[None]:
    """Log what TensorFlow writes to the terminal while it is imported; show what others write."""
    try:
        terminal = os.dup(STDERR)
    except OSError:  # there is none
        yield
        return
    with tempfile.TemporaryFile() as caught:
        sys.stderr.flush()
        os.dup2(caught.fileno(), STDERR)
        try:
            yield
        finally:
            with suppress(OSError, ValueError):
                sys.stderr.flush()
            os.dup2(terminal, STDERR)
            os.close(terminal)
            caught.seek(0)
            _pass_on(caught.readlines())


def _pass_on(lines: list[bytes]) -> None:
    for line in lines:
        if CHATTER.match(line):
            logger.info("%s", line.decode("utf-8", "backslashreplace").rstrip())
        else:
            os.write(STDERR, line)
