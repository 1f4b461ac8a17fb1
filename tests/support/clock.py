"""A clock of the intake that can be set, beside that of the file system, which cannot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

import pytest


def set_clock(monkeypatch: pytest.MonkeyPatch, minutes: float) -> datetime:
    """Let the clock of the intake stand still, so many minutes from now; return its time."""
    time = datetime.now(UTC) + timedelta(minutes=minutes)

    class Still(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Still:  # noqa: ARG003
            return cls.fromtimestamp(time.timestamp(), UTC)

    monkeypatch.setattr("image_classification.datasets.inbox.datetime", Still)
    monkeypatch.setattr("image_classification.pipelines.data_processing.nodes.datetime", Still)
    return time
