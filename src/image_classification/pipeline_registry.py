"""The registered pipelines."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kedro.pipeline import Pipeline, pipeline
from kedro_mlflow.pipeline import pipeline_ml_factory
from kedro_mlflow.pipeline.pipeline_ml import PipelineML

from image_classification import tracking
from image_classification.pipelines import (
    data_processing,
    hindsight,
    inference,
    monitoring,
    packaged,
    promotion,
    retention,
    review,
    rollback,
    training,
)
from image_classification.pipelines.purpose import read_purpose

MODEL_REQUIREMENTS = (
    "kedro",
    "kedro-datasets",
    "kedro-mlflow",
    "mlflow",
    "numpy",
    "pandas",
    "pillow",
    "pydantic",
    "scikit-learn",
    "tensorflow",
)
"""What the packaged model imports where it is served; pinned to the versions in use."""


def register_pipelines() -> dict[str, Pipeline]:
    """Register the pipelines; each becomes a DAG of the same name.

    Raises:
        ConfigurationError: a node's tag does not fit what the node makes; see `purpose`.
    """
    processing = data_processing.create_pipeline()
    selection = training.create_selection_pipeline()
    trains = selection + training.create_pipeline()
    promoting = promotion.create_pipeline()
    watching = monitoring.create_pipeline()
    looking_back = hindsight.create_pipeline()
    registered = {
        "data_processing": processing,
        "training": bind_inference(trains),
        "inference": inference.create_pipeline(),
        # On its own, promotion judges the registered challenger.
        "promotion": selection + pipeline(promoting, inputs={"network": "challenger"}),
        "monitoring": watching,
        "hindsight": looking_back,
        "review": review.create_pipeline(),
        "rollback": rollback.create_pipeline(),
        "retention": retention.create_pipeline(),
        "retraining": bind_inference(processing + watching + looking_back + trains + promoting),
        "__default__": bind_inference(processing + trains),
    }
    for registered_pipeline in registered.values():
        read_purpose(registered_pipeline)
    return registered


def bind_inference(trains: Pipeline) -> PipelineML:
    """Bind a pipeline that trains `network` to the inference pipeline that uses it.

    kedro-mlflow then logs both together, as one MLflow model.
    """
    return pipeline_ml_factory(
        training=trains,
        inference=packaged.create_packaged_pipeline(),
        input_name="images",
        kpm_kwargs={"runner": packaged.SequentialRunner()},
        log_model_kwargs=describe_model(),
    )


def describe_model() -> dict[str, Any]:
    """Return the arguments of ``mlflow.pyfunc.log_model``: signature, code and requirements."""
    return {
        "name": "model",
        # "auto" would let a caller name a runner: kedro-mlflow then calls what is named.
        "signature": tracking.describe_inputs(),
        "code_paths": [str(Path(__file__).parent)],
        "pip_requirements": list(pin_requirements()),
    }


@cache
def pin_requirements() -> tuple[str, ...]:
    """Return the requirements with their versions, looked up once in a process."""
    return tuple(f"{name}=={version(name)}" for name in MODEL_REQUIREMENTS)
