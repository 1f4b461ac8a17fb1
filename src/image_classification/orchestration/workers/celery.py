"""Celery's configuration, for workers whose tasks find the heavy libraries already imported.

Named in `AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS`. The scheduler reads it, too, so importing it
imports nothing heavy: a worker imports the libraries when it starts, before it forks its pool.
"""

from __future__ import annotations

import logging
from typing import Any

from celery.signals import import_modules

from image_classification.orchestration.workers.preload import (
    count_tasks_per_worker,
    is_wanted,
    preload_modules,
)
from image_classification.vendor.airflow.celery import DEFAULT_CELERY_CONFIG

logger = logging.getLogger(__name__)

CELERY_CONFIG: dict[str, Any] = {
    **DEFAULT_CELERY_CONFIG,
    "worker_max_tasks_per_child": count_tasks_per_worker(),
}


@import_modules.connect
def preload_worker(**_: Any) -> None:
    """Import in the worker's first process, before it forks its pool.

    Raises:
        SystemExit: an import has left something that does not survive a fork. Celery's usual pool
            can only fork, so the worker does not start.
    """
    if not is_wanted():
        return
    preload = preload_modules()
    for sentence in preload.describe():
        logger.warning(sentence)
    if preload.unsafe:
        names = ", ".join(preload.unsafe)
        raise SystemExit(
            f"The worker does not start: importing {names} has made it unsafe to fork. Set "
            "AIRFLOW__IMAGE_CLASSIFICATION__PRELOAD=False: every task then imports what it uses."
        )
