"""Who decides about a version, what they say, and in which run."""

from __future__ import annotations

from dataclasses import dataclass

from image_classification.tracking.tags import AIRFLOW_RUN_TAG, AIRFLOW_URL_TAG

POLICY = "the policy"
"""Who decides where no person was asked."""


@dataclass(frozen=True)
class DecisionRun:
    """The run that a decision belongs to.

    Attributes:
        mlflow_run_id: the MLflow run; the name of an entry of the ledger begins with it.
        airflow_run: ``<dag_id>/<run_id>``; "" without Airflow.
        airflow_url: the page of the DAG run.
        backfill: it was started for a past date, by a backfill.
        age_hours: since the date that it is for; None without Airflow.
        experiment_id: of the MLflow run, where it is known: MLflow is not asked then.
    """

    mlflow_run_id: str
    airflow_run: str = ""
    airflow_url: str = ""
    backfill: bool = False
    age_hours: float | None = None
    experiment_id: str | None = None

    @property
    def is_shared(self) -> bool:
        """Whether several processes work on the run, each of which may be tried again."""
        return bool(self.airflow_run)

    @property
    def tags(self) -> dict[str, str]:
        """The tags of a version that lead back to the DAG run; none without Airflow."""
        if not self.airflow_run:
            return {}
        return {AIRFLOW_RUN_TAG: self.airflow_run, AIRFLOW_URL_TAG: self.airflow_url}


@dataclass(frozen=True)
class Statement:
    """Who says something about a version, and what.

    Attributes:
        by: a person, or the policy.
        comment: a person's words.
        reason: a sentence; "" for that of the decision.
    """

    by: str = POLICY
    comment: str = ""
    reason: str = ""
