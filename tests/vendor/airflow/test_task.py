"""What operators and notifiers need of Airflow."""

from __future__ import annotations

import airflow_home  # noqa: F401 - before Airflow is imported
import pytest
from airflow.sdk.exceptions import DagRunTriggerException

from image_classification.vendor.airflow.task import (
    PlainNotifier,
    SkippingOperator,
    request_dag_run,
)


def test_a_run_of_another_dag_is_asked_for_once() -> None:
    with pytest.raises(DagRunTriggerException) as raised:
        request_dag_run("review", "review__a", {"batch": "a"}, "May it join?")
    asked = raised.value
    assert (asked.trigger_dag_id, asked.dag_run_id) == ("review", "review__a")
    assert (asked.conf, asked.note) == ({"batch": "a"}, "May it join?")
    assert asked.skip_when_already_exists
    assert not asked.reset_dag_run
    assert not asked.wait_for_completion


def test_the_scheduler_asks_what_a_skipping_operator_has_skipped() -> None:
    assert SkippingOperator(task_id="a").inherits_from_skipmixin


def test_a_notifier_is_called_without_a_dag_that_renders() -> None:
    told = []

    class Notifier(PlainNotifier):
        def notify(self, context: object) -> None:
            told.append(context)

    Notifier()({"dag": None})  # type: ignore[arg-type]
    assert len(told) == 1
