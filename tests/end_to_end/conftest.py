"""One real stack for all end-to-end tests: MLflow and Airflow, three nights of `retraining`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from nights import DAG_ID, PROJECT, Nights

from image_classification.local.airflow_api import AirflowClient
from image_classification.local.services import Stack
from image_classification.synthetic import make_cells


@pytest.fixture(scope="session")
def nights() -> Iterator[Nights]:
    """First images, then none, then fresh ones; each run through Airflow's REST API."""
    before = {name: os.environ.get(name) for name in ("KEDRO_ENV", "TF_CPP_MIN_LOG_LEVEL")}
    os.environ["KEDRO_ENV"] = "test"
    stack = Stack("end-to-end", PROJECT)
    shutil.rmtree(stack.folder, ignore_errors=True)
    images = stack.storage / "raw" / "cell_images"
    make_cells(images, range(1, 31), 8)
    stack.start()
    try:
        client = AirflowClient(stack.airflow_url, "admin", stack.password)
        client.wait_for_dag(DAG_ID)
        client.unpause(DAG_ID)
        made = Nights(stack, client)
        made.run(epochs=2)
        made.run()
        make_cells(images, range(31, 41), 8, captured_on="20150602")
        made.run(minimum_accuracy_gain=-1)
        yield made
    finally:
        stack.stop()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
