"""What the MLflow server of this machine is told."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from image_classification.local.mlflow_settings import configure_mlflow, make_command


def test_it_serves_a_store_where_it_is_told() -> None:
    command = make_command(Path("/data/mlflow"), "127.0.0.1", 5001)
    said = dict(pairwise(command))
    assert (said["--host"], said["--port"]) == ("127.0.0.1", "5001")
    assert said["--backend-store-uri"] == "sqlite:////data/mlflow/mlflow.db"
    assert said["--artifacts-destination"] == "/data/mlflow/artifacts"


def test_a_model_version_may_lie_among_the_artifacts_of_the_store_alone() -> None:
    told = configure_mlflow(Path("/data (1)/mlflow"))
    allowed = told["MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX"]
    assert re.match(allowed, "file:///data (1)/mlflow/artifacts/1/model")
    assert not re.match(allowed, "file:///etc/artifacts/1/model")
