"""DAGs of projects and environments beside one another in one Airflow."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner
from dag_file import load_dag
from kedro.framework.startup import bootstrap_project
from shortcuts import quick_sessions
from storage_root import put_in_force

from image_classification.cli import check_files
from image_classification.configuration.scope import SHARED, Scope
from image_classification.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import DAG

PROJECT = Path(__file__).resolve().parents[2]
PIPELINES = "data_processing,retraining"


@pytest.fixture(autouse=True)
def _own_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_force(monkeypatch, tmp_path / "storage")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/storage/mlflow/mlflow.db")
    monkeypatch.delenv("KEDRO_ENV")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the environments `staging` and `production`, and a pool for its training."""
    copy = tmp_path / "project"
    shutil.copytree(PROJECT / "conf" / "base", copy / "conf" / "base")
    for env in ("local", "staging", "production"):
        (copy / "conf" / env).mkdir()
    shutil.copy(PROJECT / "pyproject.toml", copy)
    shutil.copytree(PROJECT / "airflow", copy / "airflow")
    settings = copy / "conf" / "base" / "airflow.yml"
    said = "  tasks: {train_network: {pool: gpu, resources: {gpu: 1, memory: 16Gi}}}\n"
    settings.write_text(settings.read_text().replace("  tasks: {}\n", said))
    monkeypatch.chdir(copy)
    return copy


def call(project: Path, name: str) -> None:
    file = project / "conf" / "base" / "project.yml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"name": name}))


def create(project: Path, *arguments: str) -> tuple[list[str], str]:
    """Create the DAG files of some pipelines; return their names, and what was said."""
    from image_classification.cli import cli

    before = {file.name for file in project.glob("dags/*.py")}
    metadata = bootstrap_project(PROJECT)._replace(project_path=project)
    command = ["airflow", "create", "--pipelines", PIPELINES, *arguments]
    with quick_sessions():
        answer = CliRunner().invoke(cli, command, obj=metadata)
    assert answer.exit_code == 0, answer.output
    made = {file.name for file in project.glob("dags/*.py")} - before
    return sorted(made), answer.output


def find_names(dag: DAG) -> dict[str, set[str]]:
    """Return what two DAGs may not have in common."""
    operators: list[Any] = list(dag.tasks)
    timetable: Any = dag.timetable
    wanted = getattr(getattr(timetable, "asset_condition", None), "objects", [])
    return {
        "dags": {dag.dag_id},
        "titles": {dag.dag_display_name},
        "assets": {asset.name for task in operators for asset in task.outlets}
        | {asset.name for asset in wanted},
        "pools": {task.pool for task in operators} - {"default_pool"},
        "reviews": {
            task.partial_kwargs["review"] for task in operators if hasattr(task, "partial_kwargs")
        },
    }


def test_an_environment_of_a_project_has_no_name_in_common_with_another(project: Path) -> None:
    call(project, "leaves")
    files, said = create(project, "--env", "production", "--conf-source", "/opt/leaves.tar.gz")
    assert "share" not in said
    assert files[0] == "image_classification_leaves_production_data_processing_dag.py"
    assert (
        "`kedro airflow create --all --env production`" in (project / "dags" / files[0]).read_text()
    )
    text = " ".join((project / "dags" / files[1]).read_text().split())
    assert "'train_network': {'pool': 'gpu', 'resources': {'gpu': 1, 'memory': '16Gi'}}" in text
    ours, theirs = [
        [load_dag(folder / file) for file in names]
        for folder, names in (
            (project / "dags", files),
            (PROJECT / "dags", [file.replace("_leaves_production", "") for file in files]),
        )
    ]
    for dag, usual in zip(ours, theirs, strict=True):
        assert dag.dag_id == f"leaves-production-{usual.dag_id}"
        assert {"leaves", "production"} < set(dag.tags)
        assert "Project `leaves`, environment `production`." in (dag.doc_md or "")
        for kind, found in find_names(dag).items():
            assert not found & find_names(usual)[kind], kind
        for task in dag.tasks:
            if hasattr(task, "scope"):
                assert task.scope == Scope("leaves", "production")
                assert task.configuration == "/opt/leaves.tar.gz"
        assert {task.scope for task in usual.tasks if hasattr(task, "scope")} == {SHARED}
    names = [find_names(dag) for dag in ours]
    found = {kind: set.union(*(each[kind] for each in names)) for kind in names[0]}
    assert found["pools"] == {"leaves-production-gpu"}
    assert found["assets"] == {"leaves-production-new_images", "leaves-production-champion"}
    assert found["reviews"] == {"leaves-production-review"}


def test_the_files_of_another_project_are_not_written_over(project: Path) -> None:
    metadata = bootstrap_project(PROJECT)._replace(package_name="p_leaves", project_path=project)
    file = project / "dags" / "p_leaves_production_retraining_dag.py"
    file.parent.mkdir()
    environment, named, unnamed = Scope("leaves", "production"), Scope("leaves_production"), SHARED
    for own in (environment, named, unnamed):
        file.write_text(f"scope={own!r}," if own.prefix else "")
        for scope in (environment, named, unnamed):
            with (
                nullcontext()
                if scope == own
                else pytest.raises(
                    ConfigurationError, match=r"is a DAG of another project.*--target-dir"
                )
            ):
                check_files(metadata, Path("dags"), "production", scope)


def test_what_an_environment_shares_is_said_where_the_project_has_no_name(project: Path) -> None:
    from image_classification.cli import list_shared
    from image_classification.configuration.loader import LOADER_ARGUMENTS, ReadOnceConfigLoader

    def look() -> list[str]:
        conf = str(project / "conf")
        return list_shared(ReadOnceConfigLoader(conf, env="production", **LOADER_ARGUMENTS))

    shared = look()
    assert shared[1:] == [
        "the experiment 'image_classification'",
        "the registered model 'cell-classifier'",
    ]
    assert shared[0].startswith("the storage /")
    (project / "conf" / "production" / "globals.yml").write_text("registered_model_name: other\n")
    assert look() == shared[:2]
    call(project, "leaves")
    (project / "conf" / "production" / "globals.yml").unlink()
    assert look() == []
