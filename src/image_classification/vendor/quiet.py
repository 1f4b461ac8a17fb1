"""What the libraries say that nobody can act on, and the variables by which they are told not to.

Whatever a user has set stays. Tried with Kedro 1.7.0, MLflow 3.17.2 and TensorFlow 2.21: they can
go when the libraries are quiet by default.
"""

from __future__ import annotations

import os
from pathlib import Path

# Without a card, TensorFlow's errors are about the card.
HAS_CARD = Path("/dev/nvidiactl").exists()

QUIET = {
    "KEDRO_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Where a command ends a run, it would stand on stdout, among the lines of JSON or of a table.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "TF_CPP_MIN_LOG_LEVEL": "2" if HAS_CARD else "3",
}


def silence_libraries() -> None:
    """Set those variables, before the libraries look at them."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
