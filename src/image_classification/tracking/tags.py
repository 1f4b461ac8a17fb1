"""Names of the tags that this project sets on MLflow's runs."""

from __future__ import annotations

AIRFLOW_RUN_TAG = "airflow.run"
"""Tag of an MLflow run that names its DAG run: ``<dag_id>/<run_id>``."""

AIRFLOW_URL_TAG = "airflow.url"

OUTCOME_TAG = "outcome"

WATCH_TAG = "champion_watch"

COMMAND_TAG = "kedro_command"

NOTE_TAG = "mlflow.note.content"

PIPELINE_TAG = "pipeline_names"
