"""The entry point of the command `image-classification`."""

from __future__ import annotations

import os
import sys
import warnings

from image_classification.machine.environment import settle_command
from image_classification.vendor.quiet import silence_libraries


def main() -> None:
    """Run `image-classification`."""
    settle_command()
    silence_libraries()
    from image_classification.configuration.location import find_project_path

    logging_config = find_project_path() / "conf" / "logging.yml"
    if logging_config.is_file():
        os.environ.setdefault("KEDRO_LOGGING_CONFIG", str(logging_config))
    if not sys.warnoptions:
        # The libraries warn about one another, and MLflow sets the filters back as it is imported.
        warnings.showwarning = lambda *_, **__: None
    from image_classification.commands.group import commands

    sys.exit(commands(prog_name="image-classification"))
