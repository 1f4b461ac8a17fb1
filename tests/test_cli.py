"""The project's commands of Kedro, and what `kedro airflow create` checks before it writes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import airflow_home  # noqa: F401 - before Airflow is imported
import click
import pytest
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project
from kedro_airflow.plugin import create as create_dags
from shortcuts import quick_sessions

from image_classification import cli
from image_classification.cli import check_airflow_settings
from image_classification.commands.group import commands
from image_classification.errors import ConfigurationError

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module", autouse=True)
def _sessions_read_once() -> Iterator[None]:
    with quick_sessions():
        yield


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the real settings, which `conf/local/airflow.yml` may change."""
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
    project: Path, content: str, complaint: str
) -> None:
    (project / "conf" / "local" / "airflow.yml").write_text(content)
    with pytest.raises(ConfigurationError, match=f"(?s){complaint}"):
        check_airflow_settings(project)


def test_every_command_of_ours_is_one_of_kedros() -> None:
    assert set(commands.commands) < set(cli.cli.commands)


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
