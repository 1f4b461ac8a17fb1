"""`python -m image_classification`: `kedro run` where the package is installed, not a checkout."""

from __future__ import annotations

import sys

from image_classification.configuration.location import PACKAGE, name_log_configuration
from image_classification.errors import ConfigurationError
from image_classification.machine.environment import settle_command


def main() -> None:
    """Run pipelines, with the options of `kedro run`."""
    settle_command()
    try:
        name_log_configuration()
    except ConfigurationError as error:
        sys.exit(f"Error: {error}")
    from kedro.framework.cli.project import run  # noqa: PLC0415
    from kedro.framework.project import configure_project  # noqa: PLC0415

    configure_project(PACKAGE)
    run(prog_name=f"python -m {PACKAGE}")


if __name__ == "__main__":
    main()
