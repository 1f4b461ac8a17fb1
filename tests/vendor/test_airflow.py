"""Which of the names of Airflow that we rely on did an upgrade take away, or change?"""

from __future__ import annotations

import inspect
from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import airflow_home  # noqa: F401 - before Airflow is imported
import pytest

from image_classification.vendor.airflow.preload import TASK_MODULES

EXECUTOR = "airflow.executors.local_executor"
HITL = "airflow.providers.standard.operators.hitl"
CALLED = {
    f"{EXECUTOR}.LocalExecutor.start": ("self",),
    f"{EXECUTOR}.LocalExecutor._check_workers": ("self",),
    f"{EXECUTOR}.LocalExecutor._spawn_worker": ("self",),
    f"{EXECUTOR}.LocalExecutor._spawn_workers_with_gc_freeze": ("self", "spawn_number"),
    f"{EXECUTOR}._run_worker": (
        "logger_name",
        "input",
        "output",
        "unread_messages",
        "team_conf",
    ),
    "airflow.sdk.BaseNotifier.render_template_fields": ("self", "context", "jinja_env"),
    f"{HITL}.HITLOperator.execute_complete": ("self", "context", "event"),
    "airflow.api_fastapi.core_api.security.requires_access_dag": (
        "method",
        "access_entity",
        "param_dag_id",
    ),
}
"""Functions that we call or take the place of, and what they are given."""

GIVEN_TO_THE_TRIGGER = {
    "trigger_dag_id",
    "dag_run_id",
    "conf",
    "reset_dag_run",
    "skip_when_already_exists",
    "wait_for_completion",
    "allowed_states",
    "failed_states",
    "poke_interval",
    "deferrable",
    "note",
}


def find(name: str) -> Any:
    """Return what a dotted name stands for: the module is the longest part that is one."""
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        try:
            found: Any = import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[count:]:
            found = getattr(found, attribute)
        return found
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("name", CALLED)
def test_function_is_there_and_takes_what_we_give_it(name: str) -> None:
    assert tuple(inspect.signature(find(name)).parameters) == CALLED[name]


@pytest.mark.parametrize("name", TASK_MODULES)
def test_module_that_a_task_imports_is_there(name: str) -> None:
    assert find_spec(name) is not None


@pytest.mark.parametrize("name", ["activity_queue", "is_mp_using_fork", "workers"])
def test_executor_has_the_attribute(name: str) -> None:
    assert name in inspect.get_annotations(find(f"{EXECUTOR}.LocalExecutor"))


def test_exception_that_asks_for_a_dag_run_takes_what_we_give_it() -> None:
    signature = inspect.signature(find("airflow.sdk.exceptions.DagRunTriggerException"))
    required = {
        name
        for name, parameter in signature.parameters.items()
        if parameter.default is inspect.Parameter.empty
    }
    assert required <= GIVEN_TO_THE_TRIGGER <= set(signature.parameters)


def test_what_an_operator_skipped_is_looked_at_only_where_it_says_so() -> None:
    from airflow.sdk import BaseBranchOperator, BaseOperator, SkipMixin

    class Plain(BaseOperator, SkipMixin):
        pass

    assert BaseBranchOperator.inherits_from_skipmixin is True
    assert not Plain(task_id="plain").inherits_from_skipmixin


def test_our_base_of_operators_that_skip_says_so() -> None:
    from image_classification.orchestration.steps.intake import FindBatchesOperator
    from image_classification.vendor.airflow.task import SkippingOperator

    assert SkippingOperator(task_id="skipping").inherits_from_skipmixin
    assert FindBatchesOperator.inherits_from_skipmixin is True


def test_a_dag_without_a_jinja_environment_still_breaks_airflows_notifier_but_not_ours() -> None:
    from airflow.sdk import BaseNotifier

    from image_classification.vendor.airflow.task import PlainNotifier

    told: list[Any] = []
    context: Any = {"dag": SimpleNamespace()}

    def make(base: type[BaseNotifier]) -> BaseNotifier:
        return type("Telling", (base,), {"notify": lambda _, given: told.append(given)})()

    # Once this raises nothing, PlainNotifier can go.
    with pytest.raises(AttributeError, match="get_template_env"):
        make(BaseNotifier)(context)
    make(PlainNotifier)(context)
    assert told == [context]


def test_an_answer_of_a_person_has_the_keys_that_we_read() -> None:
    from airflow.providers.standard.triggers.hitl import HITLTriggerEventSuccessPayload

    assert {"chosen_options", "params_input", "responded_by_user"} <= set(
        inspect.get_annotations(HITLTriggerEventSuccessPayload)
    )


def test_a_question_is_asked_with_what_is_set_while_the_task_runs() -> None:
    ask = find(f"{HITL}.HITLOperator")(task_id="ask", subject="?", options=["Yes"])
    assert {"subject", "body", "notifiers"} <= set(vars(ask))


def test_celery_is_configured_by_airflows_own_values() -> None:
    from image_classification.vendor.airflow.celery import DEFAULT_CELERY_CONFIG

    assert {"broker_url", "result_backend", "task_acks_late"} <= set(DEFAULT_CELERY_CONFIG)


def test_the_check_finds_a_name_that_is_gone_and_one_that_has_changed() -> None:
    with pytest.raises(AttributeError, match="_check_wokers"):
        find(f"{EXECUTOR}.LocalExecutor._check_wokers")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        find("no_such_module.name")
    spawn = find(f"{EXECUTOR}.LocalExecutor._spawn_workers_with_gc_freeze")
    assert tuple(inspect.signature(spawn).parameters) != ("self",)
