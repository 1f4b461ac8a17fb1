"""The entry point of the command `image-classification`."""

from __future__ import annotations

import sys
import warnings
from contextlib import suppress

from image_classification.errors import ConfigurationError
from image_classification.machine.environment import settle_command
from image_classification.vendor.quiet import silence_libraries


def main() -> None:
    """Run `image-classification`."""
    settle_command()
    silence_libraries()
    from image_classification.configuration.location import name_log_configuration

    with suppress(ConfigurationError):  # the command that reads the configuration says it
        name_log_configuration()
    if not sys.warnoptions:
        # The libraries warn about one another, and MLflow sets the filters back as it is imported.
        warnings.showwarning = lambda *_, **__: None
    from image_classification.commands.group import commands

    sys.exit(commands(prog_name="image-classification"))
