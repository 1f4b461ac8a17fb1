"""What operators and notifiers need. Every DAG file imports it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseNotifier, BaseOperator, SkipMixin
from airflow.sdk.exceptions import DagRunTriggerException

if TYPE_CHECKING:
    from airflow.sdk import Context


def request_dag_run(dag_id: str, run_id: str, conf: dict[str, Any], note: str) -> NoReturn:
    """End the task that runs by asking Airflow for a run of another DAG.

    The task is skipped where the DAG has a run of this id already.

    Relied on: `DagRunTriggerException`, and that it takes these arguments. It is what
    TriggerDagRunOperator raises; to import that takes longer than all of a DAG file may take. We
    know of no issue about it. It can go when the operator is quick to import, or when the task SDK
    starts a DAG run by a function.

    Args:
        dag_id: of the DAG to run.
        run_id: of the new run.
        conf: the fields of its trigger form, by name.
        note: of the new run.

    Raises:
        DagRunTriggerException: always; Airflow's task runner catches it.
    """
    raise DagRunTriggerException(
        trigger_dag_id=dag_id,
        dag_run_id=run_id,
        conf=conf,
        reset_dag_run=False,
        skip_when_already_exists=True,
        wait_for_completion=False,
        allowed_states=[],
        failed_states=[],
        poke_interval=60,
        deferrable=False,
        note=note,
    )


class SkippingOperator(BaseOperator, SkipMixin):
    """Base of an operator that skips others, for good: also when they are cleared later.

    Relied on: `inherits_from_skipmixin`, which Airflow's own branch operators set by hand. Without
    it the scheduler does not ask what an operator has skipped. We know of no issue about it. It can
    go when SkipMixin sets it.
    """

    inherits_from_skipmixin = True


class PlainNotifier(BaseNotifier):
    """A notifier without fields to be rendered, which `dag.test()` can call.

    Relied on: `render_template_fields`, which a call of a notifier runs first. It asks the DAG for
    a Jinja environment, and the DAG that `dag.test()` hands to a callback has none. It waits for
    https://github.com/apache/airflow/issues/64649, and can go when that is closed.
    """

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Do nothing."""
