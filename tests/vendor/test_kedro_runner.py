"""The runner of the packaged model."""

from __future__ import annotations

import logging

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline

from image_classification.vendor.kedro_runner import SequentialRunner


def test_nodes_are_called_in_order_and_what_they_give_is_saved() -> None:
    pipeline = Pipeline(
        [
            Node(lambda n: n * 2, "doubled", "result", name="second"),
            Node(lambda n: n + 1, "given", "doubled", name="first"),
        ]
    )
    names = ("doubled", "result")
    catalog = DataCatalog({"given": MemoryDataset(3), **{name: MemoryDataset() for name in names}})
    SequentialRunner()._run(pipeline, catalog)
    assert [catalog.load(name) for name in names] == [4, 8]


def test_it_has_the_name_that_kedro_mlflow_asks_for_by_default() -> None:
    assert SequentialRunner.__name__ == "SequentialRunner"


def test_a_request_leaves_no_record_in_the_log_of_its_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def double(n: int) -> int:
        logging.getLogger("kedro.pipeline.node").warning("of a node")
        return n * 2

    pipeline = Pipeline([Node(double, "given", "result")])
    catalog = DataCatalog({"given": MemoryDataset(3), "result": MemoryDataset()})
    with caplog.at_level(logging.DEBUG):
        outputs = SequentialRunner().run(pipeline, catalog)
        assert outputs["result"].load() == 6
        assert [record.getMessage() for record in caplog.records] == ["of a node"]
        # Whoever runs Kedro beside it is told as before.
        pipeline.nodes[0].run({"given": 1})
        assert "Running node" in caplog.text
