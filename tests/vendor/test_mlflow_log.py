"""MLflow logs where the others log."""

from __future__ import annotations

import logging

import pytest
from mlflow.utils import logging_utils

from image_classification.vendor.mlflow_log import log_as_others


def test_its_records_go_to_the_handlers_of_the_root_and_it_prints_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    logger = logging.getLogger("mlflow")
    monkeypatch.setattr(logger, "handlers", [logging.StreamHandler()])
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logging_utils.MLFLOW_LOGGING_STREAM, "enabled", True)
    log_as_others()
    assert (logger.handlers, logger.propagate) == ([], True)
    logging_utils.eprint("Successfully registered model")
    assert capfd.readouterr().err == ""
