"""Names of tags: runs of years ago are found by them, so none may change."""

from __future__ import annotations

from image_classification.tracking import tags


def test_names_are_those_that_runs_have_always_had() -> None:
    assert {name: value for name, value in vars(tags).items() if name.endswith("_TAG")} == {
        "AIRFLOW_RUN_TAG": "airflow.run",
        "AIRFLOW_URL_TAG": "airflow.url",
        "OUTCOME_TAG": "outcome",
        "WATCH_TAG": "champion_watch",
        "COMMAND_TAG": "kedro_command",
        "NOTE_TAG": "mlflow.note.content",
        "PIPELINE_TAG": "pipeline_names",
    }
