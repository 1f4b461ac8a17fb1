from __future__ import annotations

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline

from image_classification.errors import ConfigurationError
from image_classification.hooks import CheckHook


def identity(value: int) -> int:
    return value


def run_with(output: str) -> None:
    catalog = DataCatalog({"source": MemoryDataset(1), "decision": MemoryDataset()})
    pipeline = Pipeline([Node(identity, inputs="source", outputs=output, name="identity")])
    CheckHook().before_pipeline_run(pipeline=pipeline, catalog=catalog)


def test_accepts_a_pipeline_whose_datasets_are_all_declared() -> None:
    run_with("decision")


def test_refuses_a_misspelt_dataset_and_names_the_one_that_was_meant() -> None:
    with pytest.raises(ConfigurationError, match=r"'decisoin' is not in .*Did you mean 'decision'"):
        run_with("decisoin")
