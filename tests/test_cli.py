"""The project's commands of Kedro, and what `kedro airflow create` checks before it writes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import airflow_home  # noqa: F401 - before Airflow is imported
import click
import pytest
import yaml
from click.testing import CliRunner
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro_airflow.plugin import create as create_dags
from shortcuts import quick_sessions

from image_classification import cli
from image_classification.cli import check_airflow_settings, check_settings
from image_classification.commands.group import VERBS
from image_classification.errors import ConfigurationError
from image_classification.pipeline_registry import register_pipelines

PROJECT = Path(__file__).resolve().parents[1]
PIPELINES = tuple(register_pipelines())


@pytest.fixture(scope="module", autouse=True)
def _sessions_read_once() -> Iterator[None]:
    with quick_sessions():
        yield


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The real settings, which pass."""
    bootstrap_project(PROJECT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(tmp_path_factory.mktemp("storage")))
        with KedroSession.create(project_path=PROJECT) as session:
            settings: dict[str, Any] = session.load_context().config_loader["airflow"]
    check_settings(settings, PIPELINES)
    return settings


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the real settings, which `conf/local/airflow.yml` may change."""
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(tmp_path / "storage"))
    bootstrap_project(PROJECT)
    shutil.copytree(PROJECT / "conf" / "base", tmp_path / "conf" / "base")
    (tmp_path / "conf" / "local").mkdir()
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    return tmp_path


def test_projects_own_settings_pass(project: Path) -> None:
    check_airflow_settings(project)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("retrainig:\n  retries: 1\n", "'retrainig' is no registered pipeline.*'retraining'"),
        ("nightly:\n  retries: 1\n", "'nightly' is no registered pipeline. Allowed: .*, default"),
        ("retraining:\n  schedul: null\n", "DAG 'retraining'.*Did you mean 'schedule'"),
        (
            "review:\n  notifications: {needs_you: [mail]}\n",
            "DAG 'review'.*mail is asked for \\(needs_you\\)",
        ),
        ("inference:\n  retries: often\n", "DAG 'inference'.*'retries'.*Received: 'often'"),
    ],
)
def test_wrong_airflow_yml_is_refused_with_the_dag_it_is_about(
    shipped: dict[str, Any], content: str, complaint: str
) -> None:
    # As Kedro merges an environment: what it names stands in place of the whole.
    with pytest.raises(ConfigurationError, match=f"(?s){complaint}"):
        check_settings({**shipped, **yaml.safe_load(content)}, PIPELINES)


def test_every_command_of_ours_is_one_of_kedros() -> None:
    assert set(VERBS) < set(cli.cli.list_commands(click.Context(cli.cli)))


def test_creating_dags_takes_our_template_and_folder_and_leaves_kedro_airflows_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = cli.airflow_commands.commands["create"]
    told: dict[str, object] = {}
    take = click.pass_obj(lambda _, **options: told.update(options))
    monkeypatch.setattr(ours, "callback", take)
    metadata = bootstrap_project(PROJECT)
    result = CliRunner().invoke(ours, ["--all"], obj=metadata)
    assert result.exit_code == 0, result.output
    assert told["target_path"] == "dags"
    assert told["jinja_file"] == str(PROJECT / "airflow" / "dag_template.py.j2")
    theirs = {param.name: param.default for param in create_dags.params}
    assert theirs["target_path"] != "dags"


def test_wrong_settings_are_said_in_one_line_before_a_dag_is_written(
    project: Path, tmp_path: Path
) -> None:
    (project / "conf" / "local" / "airflow.yml").write_text("retrainig:\n  retries: 1\n")
    (project / "airflow").mkdir()
    shutil.copy(PROJECT / cli.TEMPLATE, project / "airflow")
    target = tmp_path / "written"
    target.mkdir()
    result = CliRunner().invoke(
        cli.airflow_commands.commands["create"],
        ["--all", "--target-dir", str(target)],
        obj=bootstrap_project(PROJECT)._replace(project_path=project),
    )
    assert result.exit_code == 1
    assert result.output.startswith("Error: conf/*/airflow.yml: 'retrainig' is no registered")
    assert not list(target.iterdir())
