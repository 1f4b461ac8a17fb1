"""A server that does not answer is told before any work starts."""

from __future__ import annotations

import pytest

from image_classification import tracking
from image_classification.errors import TrackingError


def test_a_server_that_does_not_answer_is_named_with_the_remedy() -> None:
    with pytest.raises(TrackingError, match=r"http://127.0.0.1:9.*MLFLOW_TRACKING_URI"):
        tracking.prepare_store("http://127.0.0.1:9")


def test_a_server_of_an_open_run_is_not_asked_whether_it_is_well() -> None:
    tracking.prepare_store("http://127.0.0.1:9", ask=False)
