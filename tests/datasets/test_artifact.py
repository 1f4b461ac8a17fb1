"""What the catalog sends to MLflow gets there from a folder and from a bucket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
from kedro.io import DataCatalog
from mlflow import MlflowClient


def describe(root: str) -> dict[str, Any]:
    return {
        "report": {
            "type": "image_classification.datasets.MlflowArtifactDataset",
            "artifact_path": "reports",
            "dataset": {"type": "json.JSONDataset", "filepath": f"{root}/report.json"},
        }
    }


def test_a_file_is_saved_in_its_place_and_sent_to_the_run(
    root: str, mlflow_store: str, tmp_path: Path
) -> None:
    catalog = DataCatalog.from_config(describe(root))
    experiment = MlflowClient().create_experiment(f"files of {root}", f"{tmp_path}/artifacts")
    with mlflow.start_run(experiment_id=experiment) as run:
        catalog.save("report", {"images": 3})
    assert catalog.load("report") == {"images": 3}
    sent = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/reports/report.json")
    assert sent == {"images": 3}


def test_nothing_is_sent_where_a_run_is_not_tracked(root: str) -> None:
    catalog = DataCatalog.from_config(describe(root))
    catalog["report"]._logging_activated = False
    catalog.save("report", {"images": 3})
    assert catalog.load("report") == {"images": 3}
    assert mlflow.active_run() is None
