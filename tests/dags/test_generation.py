"""`dags/` is what `kedro airflow create --all` writes, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project
from shortcuts import quick_sessions

PROJECT = Path(__file__).resolve().parents[2]
DAGS = PROJECT / "dags"
WRITTEN_BY_HAND = {"README.md", "__pycache__"}


def list_differences(generated: Path, committed: Path) -> list[str]:
    """Return the names of the files that are not the same, byte for byte, in both folders."""
    names = {file.name for folder in (generated, committed) for file in folder.iterdir()}

    def read(file: Path) -> bytes | None:
        return file.read_bytes() if file.is_file() else None

    return sorted(
        name for name in names - WRITTEN_BY_HAND if read(generated / name) != read(committed / name)
    )


@pytest.fixture(scope="module")
def project_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What of the project is in git, without `dags/`."""
    copy = tmp_path_factory.mktemp("project")
    shutil.copy(PROJECT / "pyproject.toml", copy)
    shutil.copytree(PROJECT / "conf" / "base", copy / "conf" / "base")
    (copy / "conf" / "local").mkdir()
    for folder in ("airflow", "src"):
        shutil.copytree(PROJECT / folder, copy / folder)
    return copy


@pytest.fixture(autouse=True)
def _own_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A storage root of its own, in which a session makes an MLflow store."""
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(tmp_path / "storage"))
    with quick_sessions():
        yield


@pytest.mark.slow
def test_plain_command_writes_exactly_the_files_in_git_to_dags(project_copy: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "kedro", "airflow", "create", "--all"],
        cwd=project_copy,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert list_differences(project_copy / "dags", DAGS) == []


def test_command_in_this_process_writes_exactly_the_files_in_git_to_dags(
    project_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from image_classification.cli import cli

    monkeypatch.chdir(project_copy)
    metadata = bootstrap_project(PROJECT)._replace(project_path=project_copy)
    answer = CliRunner().invoke(cli, ["airflow", "create", "--all"], obj=metadata)
    assert answer.exit_code == 0, answer.output
    assert list_differences(project_copy / "dags", DAGS) == []


def test_target_dir_receives_the_same_file(tmp_path: Path) -> None:
    from image_classification.cli import cli

    name = "image_classification_review_dag.py"
    answer = CliRunner().invoke(
        cli,
        ["airflow", "create", "--pipelines", "review", "--target-dir", str(tmp_path / "dags")],
        obj=bootstrap_project(PROJECT),
    )
    assert answer.exit_code == 0, answer.output
    assert [file.name for file in (tmp_path / "dags").iterdir()] == [name]
    assert (tmp_path / "dags" / name).read_bytes() == (DAGS / name).read_bytes()


def test_the_comparison_finds_a_changed_a_missing_and_an_extra_file(tmp_path: Path) -> None:
    shutil.copytree(DAGS, tmp_path / "dags")
    assert list_differences(tmp_path / "dags", DAGS) == []
    changed, missing = sorted(DAGS.glob("*_dag.py"))[:2]
    with (tmp_path / "dags" / changed.name).open("a") as file:
        file.write("\n")
    (tmp_path / "dags" / missing.name).unlink()
    (tmp_path / "dags" / "handmade_dag.py").touch()
    assert list_differences(tmp_path / "dags", DAGS) == sorted(
        [changed.name, missing.name, "handmade_dag.py"]
    )


@pytest.mark.parametrize("file", sorted(DAGS.glob("*.py")), ids=lambda file: file.stem)
def test_header_says_that_the_file_is_generated_and_how(file: Path) -> None:
    header = [line for line in file.read_text().splitlines()[:3] if line.startswith("#")]
    assert "kedro airflow create --all" in header[0]
    assert "Do not edit" in header[0]
    assert "make dags" in header[1]


def test_what_is_said_of_tasks_is_in_their_file(
    project_copy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from image_classification.cli import cli

    tasks = "{train_network: {queue: gpu, resources: {gpu: 1, memory: 16Gi}}}"
    said = f"default:\n  group_by: tag\n  tasks: {tasks}\n"
    settings = (project_copy / "conf" / "base" / "airflow.yml").read_text()
    other = project_copy / "conf" / "cards"
    other.mkdir()
    (other / "airflow.yml").write_text(settings.replace("  tasks: {}\n", said.partition("\n")[2]))
    monkeypatch.chdir(project_copy)
    metadata = bootstrap_project(PROJECT)._replace(project_path=project_copy)
    command = ["airflow", "create", "-e", "cards", "-p", "training", "-t", str(tmp_path)]
    answer = CliRunner().invoke(cli, command, obj=metadata)
    assert answer.exit_code == 0, answer.output
    (file,) = tmp_path.glob("*.py")
    written = " ".join(file.read_text().split())
    assert "'train_network': {'queue': 'gpu', 'resources': {'gpu': 1, 'memory': '16Gi'}}" in written
    assert "\"group_by\": 'tag'" in written
