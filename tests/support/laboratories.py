"""Two laboratories with projects of their own, beside ours, in one Airflow and one MLflow."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project
from nights import IDLE, PROJECT

from image_classification.local.services import Stack
from image_classification.local.synthetic import make_cells

ENVIRONMENT = "test"
BUNDLE = "airflow.dag_processing.bundles.local.LocalDagBundle"
SYNTHETIC = ("Parasitized", "Uninfected")


@dataclass(frozen=True)
class Project:
    """The project of a laboratory.

    Attributes:
        name: in its project file.
        classes: of its images.
        model_name: in its project file.
    """

    name: str
    classes: tuple[str, str]
    model_name: str

    @property
    def scope(self) -> str:
        """What its names begin with."""
        return f"{self.name}-{ENVIRONMENT}"

    @property
    def dag_id(self) -> str:
        return f"{self.scope}-retraining"

    @property
    def model(self) -> str:
        """Its registered model."""
        return f"{self.scope}-{self.model_name}"


BLOOD = Project("blood", SYNTHETIC, "cell-classifier")
LEAVES = Project("leaves", ("rust", "healthy"), "leaf-classifier")


def make_project(project: Project, folder: Path) -> None:
    """Make a project's folder: its configuration, and the file of its nightly DAG."""
    from image_classification.cli import cli

    for env in ("base", ENVIRONMENT):
        shutil.copytree(PROJECT / "conf" / env, folder / "conf" / env)
    (folder / "conf" / "production").mkdir()
    # Each model is called as its project says.
    (folder / "conf" / ENVIRONMENT / "globals.yml").unlink()
    shutil.copy(PROJECT / "pyproject.toml", folder)
    shutil.copytree(PROJECT / "airflow", folder / "airflow")
    file = folder / "conf" / "base" / "project.yml"
    said: dict[str, Any] = yaml.safe_load(file.read_text())
    said |= {"name": project.name, "title": project.name.title(), "model_name": project.model_name}
    said |= {"classes": list(project.classes), "positive_class": project.classes[0]}
    file.write_text(yaml.safe_dump(said))
    metadata = bootstrap_project(PROJECT)._replace(project_path=folder)
    command = ["airflow", "create", "-p", "retraining", "-e", ENVIRONMENT]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(folder / "data"))
        answer = CliRunner().invoke(cli, command, obj=metadata)
    assert answer.exit_code == 0, answer.output


def deliver(project: Project, incoming: Path) -> None:
    """Let a laboratory's first images arrive."""
    batch = incoming / f"{project.name}-images"
    make_cells(batch, range(1, 25), 6, seed=len(project.name))
    for made, wanted in zip(SYNTHETIC, project.classes, strict=True):
        (batch / made).rename(batch / wanted)
    (batch / "_READY").touch()


class SharedStack(Stack):
    """A stack whose Airflow also has the DAGs of the laboratories."""

    @property
    def laboratories(self) -> Path:
        """The folder of their projects."""
        return self.folder / "laboratories"

    def environment(self) -> dict[str, str]:
        folders = [PROJECT, *(self.laboratories / each.name for each in (BLOOD, LEAVES))]
        bundles = [
            {"name": each.name, "classpath": BUNDLE, "kwargs": {"path": str(each / "dags")}}
            for each in folders
        ]
        ours = (
            super().environment()
            | IDLE
            | {
                "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
                "AIRFLOW__IMAGE_CLASSIFICATION__PROJECTS": ",".join(map(str, folders[1:])),
            }
        )
        # Where batches arrive and are kept follows from the storage of each.
        for name in ("IMAGE_CLASSIFICATION_INCOMING", "IMAGE_CLASSIFICATION_IMAGES"):
            del ours[name]
        return ours
