"""The name that Celery's configuration option knows. See `workers.celery`."""

from image_classification.orchestration.workers.celery import CELERY_CONFIG

__all__ = ["CELERY_CONFIG"]
