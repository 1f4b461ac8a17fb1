"""Networks beside the plain ones: trained, packaged and promoted as `kedro run` does it."""

from __future__ import annotations

from pathlib import Path

import keras
import mlflow
import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from mlflow import MlflowClient

PROJECT = Path(__file__).resolve().parents[2]
MODEL = "test-classifier"


@pytest.mark.slow
@pytest.mark.parametrize("network", ["residual", "mobilenet"])
def test_a_network_of_another_kind_becomes_champion(storage: Path, network: str) -> None:
    bootstrap_project(PROJECT)
    changes = {
        "image_size_px": 32,
        "training": {"network": network, "precision": "mixed_bfloat16"},
    }
    with KedroSession.create(project_path=PROJECT, runtime_params=changes) as session:
        session.run(pipeline_names=["retraining"])

    mlflow.set_tracking_uri(f"sqlite:///{storage}/mlflow/mlflow.db")
    champion = MlflowClient().get_model_version_by_alias(MODEL, "champion")
    assert (str(champion.version), champion.tags["decision"]) == ("1", "promoted")
    run = MlflowClient().get_run(champion.run_id)
    assert run.data.params["training.network"] == network
    trained = keras.saving.load_model(storage / "runs" / "local" / "network.keras", compile=False)
    assert trained.name.startswith(f"{network}_network")
    assert trained.layers[-1].input.dtype == "float32"
