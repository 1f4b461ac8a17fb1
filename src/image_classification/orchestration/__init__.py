"""The Airflow side: DAGs out of pipelines, and the operators that run them.

Importing this package imports neither Kedro nor MLflow nor TensorFlow, so that a DAG file
parses fast; the operators import them when they run.
"""

from image_classification.configuration.scope import Scope
from image_classification.orchestration.graph import DagSpec, build_dag
from image_classification.orchestration.part import NodeSpec

__all__ = ["DagSpec", "NodeSpec", "Scope", "build_dag"]
