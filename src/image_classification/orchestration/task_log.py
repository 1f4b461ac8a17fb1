"""How Kedro logs inside an Airflow task: levels only, so that Airflow's handlers stay."""

from __future__ import annotations

import os
from pathlib import Path

CONFIGURATION = Path(__file__).with_name("kedro_logging.yml")


def keep_log_handlers() -> None:
    """Keep Airflow's log handlers: Kedro configures logging when it is imported."""
    os.environ["KEDRO_LOGGING_CONFIG"] = str(CONFIGURATION)
