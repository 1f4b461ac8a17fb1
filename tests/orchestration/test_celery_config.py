"""The name of Celery's configuration that is written into people's `airflow.cfg`."""

from __future__ import annotations

from importlib import import_module

from image_classification.orchestration.workers import celery


def test_the_name_that_installations_have_is_the_configuration_in_use() -> None:
    module = import_module("image_classification.orchestration.celery_config")
    assert module.CELERY_CONFIG is celery.CELERY_CONFIG
