"""A model packaged as a run does at its end, and loaded as anybody would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from kedro.io import DataCatalog, MemoryDataset
from kedro_datasets.json import JSONDataset
from kedro_datasets.pandas import ParquetDataset
from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook
from mlflow.pyfunc import PyFuncModel

from image_classification import vision
from image_classification.pipeline_registry import register_pipelines


def package(
    folder: Path, network: Any, class_names: list[str], images: pd.DataFrame, **changes: Any
) -> PyFuncModel:
    """Log a network as a run does at its end, and load it as anybody would."""
    folder.mkdir()
    catalog = DataCatalog(
        {
            "network": changes.pop("dataset", vision.NetworkDataset)(
                filepath=str(folder / "network.keras")
            ),
            "class_names": JSONDataset(filepath=str(folder / "class_names.json")),
            "images": ParquetDataset(filepath=str(folder / "images.parquet")),
            "params:inference.batch_size": MemoryDataset(2),
        }
    )
    for name, value in {"network": network, "class_names": class_names, "images": images}.items():
        catalog.save(name, value)
    pipeline = register_pipelines()["training"]
    vars(pipeline).update(changes)
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_experiment("here", artifact_location=str(folder / "artifacts"))
    mlflow.set_experiment("here")
    hook = MlflowHook()
    hook._already_active_mlflow = True
    inputs = DataCatalog({name: catalog[name] for name in catalog.keys()})  # noqa: SIM118
    with mlflow.start_run():
        hook.after_pipeline_run(run_params={}, pipeline=pipeline, catalog=inputs)
    (logged,) = mlflow.search_logged_models(output_format="list")
    return mlflow.pyfunc.load_model(f"models:/{logged.model_id}")
