"""MLflow's log: it goes where the other logs of the process go.

Tried with MLflow 3.17.2. MLflow gives its loggers handlers of their own as it is imported, and
prints "Successfully registered model" and its like past them (`mlflow.utils.logging_utils.eprint`,
which `disable_logging` switches off). It can go when MLflow only logs.
"""

from __future__ import annotations

import logging

LOGGERS = ("mlflow", "alembic", "kedro_mlflow")


def log_as_others() -> None:
    """Let MLflow's records go to the handlers of the root, and let it print nothing."""
    # Imported first: its loggers get their handlers then.
    from mlflow.utils.logging_utils import disable_logging  # noqa: PLC0415

    disable_logging()  # type: ignore[no-untyped-call]
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
