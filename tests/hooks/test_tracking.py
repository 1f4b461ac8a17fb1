"""What the tracking hook does when something fails."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from mlflow.exceptions import MlflowException

from image_classification import tracking
from image_classification.hooks import TrackingHook


def test_metrics_that_cannot_be_sent_hide_no_error_of_a_node(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> None:
        raise MlflowException("no server")

    hook, left = TrackingHook(), []
    hook.mlflow_config = SimpleNamespace(tracking=SimpleNamespace(run=SimpleNamespace(id="abc")))
    monkeypatch.setattr(tracking, "send_points", refuse)
    monkeypatch.setattr(tracking, "leave_run", lambda: left.append(1))
    hook.on_pipeline_error(ValueError("the node's own"), {}, None, None)  # type: ignore[arg-type]
    assert left == [1]
    assert "no server" in caplog.text
