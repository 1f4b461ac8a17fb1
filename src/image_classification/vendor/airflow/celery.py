"""The configuration that the Celery provider gives its workers.

Relied on: `DEFAULT_CELERY_CONFIG`. It is the documented default of the option `[celery]
celery_config_options`, but its module says that it is kept for compatibility. We know of no issue
about it. It can go when Airflow calls a function of ours in a worker before the pool is forked; the
one value that we change has an option of its own by now, `[celery] extra_celery_config`.
"""

from __future__ import annotations

from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG

__all__ = ["DEFAULT_CELERY_CONFIG"]
