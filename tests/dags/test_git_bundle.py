"""DAG files out of a repository, by the bundle that docs/deployment.md names."""

from __future__ import annotations

import json
import re
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import airflow_home  # noqa: F401 - before Airflow is imported
import pytest
from dag_file import load_dag

pytest.importorskip("airflow.providers.git", reason="needs the extra `image`")
pytestmark = pytest.mark.slow

PROJECT = Path(__file__).resolve().parents[2]
FILE = "image_classification_retraining_dag.py"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the DAG files."""
    folder = tmp_path / "repository"
    (folder / "dags").mkdir(parents=True)
    run_git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, (PROJECT / "dags" / FILE).read_text())
    return folder


def run_git(folder: Path, *command: str) -> str:
    who = ("-c", "user.name=tests", "-c", "user.email=tests@example.org")
    done = subprocess.run(["git", "-C", folder, *who, *command], check=True, capture_output=True)
    return done.stdout.decode().strip()


def commit(folder: Path, text: str) -> None:
    (folder / "dags" / FILE).write_text(text)
    run_git(folder, "add", "--all")
    run_git(folder, "commit", "--quiet", "--message=DAG files")


def read_manual() -> dict[str, Any]:
    """Return the bundle as the chapter of the manual configures it."""
    manual = (PROJECT / "docs" / "deployment.md").read_text()
    found = re.search(r"DAG_BUNDLE_CONFIG_LIST='(.*?)'", manual, re.DOTALL)
    assert found
    (bundle,) = json.loads(found[1])
    return dict(bundle)


def test_a_run_keeps_the_commit_that_it_began_with(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(tmp_path / "bundles"))
    configured = read_manual()
    module, _, name = configured["classpath"].rpartition(".")
    kwargs = configured["kwargs"]
    connection = json.dumps({"conn_type": "git", "host": str(repository)})
    monkeypatch.setenv(f"AIRFLOW_CONN_{kwargs['git_conn_id'].upper()}", connection)
    make = getattr(import_module(module), name)

    newest = make(name=configured["name"], **kwargs)
    newest.initialize()
    began_with = newest.get_current_version().version
    text = (repository / "dags" / FILE).read_text()
    commit(repository, re.sub(r"'title': '.*?'", "'title': 'Changed'", text) + "\n# changed\n")
    newest.refresh()
    assert (
        newest.get_current_version().version
        == run_git(repository, "rev-parse", "HEAD")
        != began_with
    )

    pinned = make(name=configured["name"], version=began_with, **kwargs)
    pinned.initialize()
    assert "# changed" in (newest.path / FILE).read_text()
    assert "# changed" not in (pinned.path / FILE).read_text()
    assert "train_network" in load_dag(pinned.path / FILE).task_dict
