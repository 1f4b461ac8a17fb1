"""DAG files beside no project: their tasks read the configuration that the environment names."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from pathlib import Path

import pytest
from dag_file import load_dag

from image_classification.configuration.location import VARIABLE
from image_classification.errors import ConfigurationError

PROJECT = Path(__file__).resolve().parents[2]
RUN = {"dag_id": "retraining", "dag_run_id": "manual__1", "dag_run_url": "http://airflow/1"}


@pytest.fixture
def deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with DAG files and an archive of the configuration, which calls the model `leaf`."""
    shutil.copytree(PROJECT / "dags", tmp_path / "dags")
    shutil.copytree(PROJECT / "conf", tmp_path / "conf")
    shutil.rmtree(tmp_path / "conf" / "local")
    project = tmp_path / "conf" / "base" / "project.yml"
    project.write_text(project.read_text().replace("cell-classifier", "leaf-classifier"))
    with tarfile.open(tmp_path / "conf.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "conf", "conf")
    shutil.rmtree(tmp_path / "conf")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "conf.tar.gz"))
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(tmp_path / "storage"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_task_runs_on_the_archive(deployed: Path) -> None:
    from image_classification.orchestration.kedro_run import KedroRun

    dag = load_dag(deployed / "dags" / "image_classification_retraining_dag.py")
    place = Path(dag.task_dict["train_network"].project_path)  # type: ignore[attr-defined]
    assert place == deployed
    run = KedroRun(place, "retraining", runtime_params={}, **RUN)
    assert run.model_name == "leaf-classifier"
    storage = run.context.config_loader["globals"]["storage_root"]
    assert storage == str(deployed / "storage")


def test_a_task_that_finds_no_configuration_says_what_to_name(
    deployed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from image_classification.orchestration.kedro_run import KedroRun

    monkeypatch.setenv(VARIABLE, str(deployed / "gone.tar.gz"))
    run = KedroRun(deployed, "retraining", runtime_params={}, **RUN)
    with pytest.raises(ConfigurationError, match=r"gone.tar.gz' cannot be read.*IMAGE_CLASS"):
        run.open_mlflow_run()
