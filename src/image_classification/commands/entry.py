"""The entry point of the command `image-classification`."""

from __future__ import annotations

import os
import sys
import warnings

from image_classification.machine.environment import settle_command

QUIET = {
    "KEDRO_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def main() -> None:
    """Run `image-classification`."""
    settle_command()
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from image_classification.configuration.location import find_project_path

    logging_config = find_project_path() / "airflow" / "kedro_logging.yml"
    os.environ.setdefault("KEDRO_LOGGING_CONFIG", str(logging_config))
    if not sys.warnoptions:
        # The libraries warn about one another, and MLflow sets the filters back as it is imported.
        warnings.showwarning = lambda *_, **__: None
    # Kedro configures logging as it is imported, and then writes into the tables of a command.
    from image_classification.commands.group import commands

    sys.exit(commands(prog_name="image-classification"))
