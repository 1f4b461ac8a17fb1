"""Kedro's sessions, pipelines and file datasets, by what is private of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cloudpickle
import pytest
from kedro.framework.project import configure_project, pipelines
from kedro_datasets.text import TextDataset
from kedro_mlflow.pipeline.pipeline_ml import PipelineML

from image_classification.vendor import kedro


@pytest.fixture(autouse=True)
def _project() -> None:
    configure_project("image_classification")


def test_a_pipeline_is_found_whichever_others_were_asked_for() -> None:
    pipelines.set_requested(["rollback"])
    assert isinstance(kedro.find_pipeline("training"), PipelineML)


def test_a_pipeline_ml_is_plain_for_a_while_and_itself_again() -> None:
    with kedro.plain_pipeline("training"):
        assert not isinstance(pipelines["training"], PipelineML)
        assert "train_network" in {node.name for node in pipelines["training"].nodes}
    assert isinstance(kedro.find_pipeline("training"), PipelineML)


def test_a_file_of_a_dataset_is_located_and_digested(tmp_path: Path) -> None:
    dataset = TextDataset(filepath=str(tmp_path / "a.txt"))
    dataset.save("cells")
    assert kedro.locate_file(dataset) == str(tmp_path / "a.txt")
    assert kedro.digest_file(dataset) == hashlib.sha256(b"cells").hexdigest()


class OwnDataset(TextDataset):
    """Has no arguments of its own, as the dataset of the network."""


@pytest.mark.parametrize("kind", [TextDataset, OwnDataset])
def test_a_copy_of_a_file_keeps_nothing_of_its_store(
    kind: type[TextDataset], tmp_path: Path
) -> None:
    """A model takes it along to where neither the store's package nor its credentials are."""
    dataset = kind(filepath="memory://bucket/cells.txt", fs_args={"open_args_load": {}})
    dataset.save("two cells")
    copied = kedro.copy_file(dataset, tmp_path)
    assert copied.load() == "two cells"
    assert kedro.is_local_file(copied)
    taken = cloudpickle.dumps(copied)
    assert [word for word in (b"memory", b"Memory", b"bucket") if word in taken] == []
