"""Where MLflow keeps a dataset is read from the catalog."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kedro.io import DataCatalog
from shipped import read_files

from image_classification import tracking
from image_classification.configuration import names
from image_classification.errors import ConfigurationError
from image_classification.tracking.kept import locate_artifact_path


def describe_plot(folder: Path | str, artifact_path: str | None) -> dict[str, Any]:
    return {
        "type": "kedro_mlflow.io.artifacts.MlflowArtifactDataset",
        "artifact_path": artifact_path,
        "dataset": {"type": "json.JSONDataset", "filepath": f"{folder}/roc_curve.json"},
    }


@pytest.mark.parametrize(
    ("artifact_path", "expected"), [("plots", "plots/roc_curve.json"), (None, "roc_curve.json")]
)
def test_catalog_and_configuration_name_the_same_path(
    tmp_path: Path, artifact_path: str | None, expected: str
) -> None:
    config = {"roc_plot": describe_plot(tmp_path, artifact_path)}
    assert locate_artifact_path(config, "roc_plot") == expected
    assert locate_artifact_path(DataCatalog.from_config(config), "roc_plot") == expected


@pytest.mark.parametrize("made", [False, True])
def test_a_dataset_that_is_kept_elsewhere_is_refused_by_name(tmp_path: Path, made: bool) -> None:
    config = {"decision": {"type": "json.JSONDataset", "filepath": f"{tmp_path}/decision.json"}}
    catalog = DataCatalog.from_config(config) if made else config
    with pytest.raises(ConfigurationError, match=r"'decision' is looked for.*JSONDataset\.$"):
        locate_artifact_path(catalog, "decision")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (names.CONFUSION_MATRIX, "plots/confusion_matrix.png"),
        (names.ROC_CURVE, "plots/roc_curve.png"),
        (names.COMPARISON_PLOT, "promotion/comparison.png"),
        (names.CHALLENGER_PREDICTIONS, "promotion/challenger_predictions.csv"),
        (names.CHAMPION_PREDICTIONS, "promotion/champion_predictions.csv"),
        (names.REVIEW_SHEET, "review/contact_sheet.png"),
        (names.DATA_SUMMARY, tracking.SUMMARY_ARTIFACT),
    ],
)
def test_the_paths_stay_those_of_the_runs_that_mlflow_keeps_already(name: str, path: str) -> None:
    assert locate_artifact_path(read_files("base", "catalog.yml"), name) == path
