"""The name that `AIRFLOW__CORE__EXECUTOR` knows. See `workers.executor`."""

from image_classification.orchestration.workers.executor import PreloadedLocalExecutor

__all__ = ["PreloadedLocalExecutor"]
