"""Nothing that a person types is evaluated: not by the configuration, by Jinja, or by a figure.

Before, ``${env:NAME}`` in a field of a trigger form read the environment of the worker, where the
keys of Airflow are, and an error, a parameter of MLflow or a note then showed it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import airflow_home  # noqa: F401 - before Airflow is imported
import numpy as np
import pandas as pd
import pytest
from dag_file import load_dag
from shipped import CONF, read_files

from image_classification import figures
from image_classification.configuration.loader import LOADER_ARGUMENTS, ReadOnceConfigLoader
from image_classification.configuration.parameters import check_parameters
from image_classification.configuration.path import list_values
from image_classification.errors import ConfigurationError

PROJECT = Path(__file__).resolve().parents[2]
TYPED = "${env:SECRET} \\${env:SECRET} {{ var.value.secret }} ${"
LEAKED = "the signing key"
KINDS = ("parameters", "catalog", "mlflow", "globals")


DAGS = {file.stem: load_dag(file) for file in sorted((PROJECT / "dags").glob("*_dag.py"))}
FIELDS = [
    (name, field)
    for name, dag in DAGS.items()
    for field in dag.get_task("open_run").settings.params
]


def read_at(nested: Any, path: str) -> Any:
    for key in path.split("."):
        nested = nested[key]
    return nested


def read_all(params: dict[str, Any]) -> dict[str, Any]:
    """Return the whole configuration, as a task with these values of a run has it."""
    loader = ReadOnceConfigLoader(str(CONF), runtime_params=params, **LOADER_ARGUMENTS)
    return {kind: loader[kind] for kind in KINDS}


def read_faults(parameters: dict[str, Any]) -> str:
    """Return what is said of these parameters where they are refused; "" where they are not."""
    try:
        check_parameters(parameters)
    except ConfigurationError as error:
        return str(error)
    return ""


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRET", LEAKED)
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(tmp_path))


@pytest.mark.parametrize(("dag_name", "field"), FIELDS)
def test_a_field_of_a_form_is_text(dag_name: str, field: str) -> None:
    form = DAGS[dag_name].get_task("open_run").settings
    params = form.runtime_params({field: TYPED})
    read = read_all(params | {"run_id": TYPED, "mlflow_run_name": TYPED})
    assert read_at(read["parameters"], form.params[field].parameter) == TYPED
    assert LEAKED not in repr(read)
    assert LEAKED not in read_faults(read["parameters"])


def test_there_are_fields_in_every_form_that_has_any() -> None:
    assert {"mode", "minimum_gain", "reason", "version", "batch", "images"} <= {
        field for _, field in FIELDS
    }


def type_everywhere(nested: dict[str, Any]) -> dict[str, Any]:
    """Return parameters with the typed text in place of each value."""
    return {
        key: type_everywhere(value) if isinstance(value, dict) and value else TYPED
        for key, value in nested.items()
    }


@pytest.fixture(scope="module")
def typed_parameters() -> dict[str, Any]:
    """The parameters as a run has them that gives each of them as the typed text."""
    params = type_everywhere(read_files("base", "parameters*.yml"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET", LEAKED)
        patch.setenv("IMAGE_CLASSIFICATION_STORAGE", "storage")
        return ReadOnceConfigLoader(str(CONF), runtime_params=params, **LOADER_ARGUMENTS)[
            "parameters"
        ]


@pytest.mark.parametrize("path", dict(list_values(read_files("base", "parameters*.yml"))))
def test_a_parameter_of_the_command_line_or_an_answer_is_text(
    typed_parameters: dict[str, Any], path: str
) -> None:
    assert read_at(typed_parameters, path) == TYPED


def test_parameters_that_are_typed_leak_nothing(typed_parameters: dict[str, Any]) -> None:
    assert LEAKED not in repr(typed_parameters)


def test_no_task_has_a_field_that_jinja_would_render() -> None:
    rendered = {
        (task.task_id, name): getattr(task, name)
        for dag in DAGS.values()
        for task in dag.tasks
        for name in task.template_fields
    }
    # Written in the code; what a question says besides is set when the task runs, after Jinja.
    assert rendered == {
        ("ask_approver", "subject"): "May the challenger become champion?",
        ("ask_approver", "body"): None,
        ("ask_reviewer", "subject"): "May this batch join the training set?",
        ("ask_reviewer", "body"): None,
    }


def test_no_notifier_is_called_in_a_way_that_jinja_would_render() -> None:
    from image_classification.orchestration.notices import failure, notification
    from image_classification.vendor.airflow.task import PlainNotifier

    ours = [
        each
        for module in (failure, notification)
        for each in vars(module).values()
        if isinstance(each, type) and hasattr(each, "render_template_fields")
        if each.__module__ == module.__name__
    ]
    assert len(ours) >= 3
    assert all(issubclass(each, PlainNotifier) for each in ours)


@pytest.mark.parametrize("typed", ["$\\frac$", "$x^2$", "a$b$c_{", "_hidden"])
def test_a_name_in_a_figure_is_text(typed: str, tmp_path: Path) -> None:
    suspects = pd.DataFrame({"path": [f"b/{typed}.png"], "label": [typed], "patient": [typed]})
    sheet = figures.plot_suspects(typed, suspects, np.zeros((1, 4, 4, 3), np.uint8))
    sheet.savefig(tmp_path / "sheet.png")
    answers = pd.DataFrame({"label": [typed, "other"], "category": [typed, typed]})
    confusion = figures.plot_confusion({typed: answers}, [typed, "other"])
    confusion.savefig(tmp_path / "confusion.png")
    texts = [axes.title for axes in sheet.axes + confusion.axes]
    assert sum(typed in text.get_text() for text in texts) == 2
    assert not any(text.get_parse_math() for text in texts)
