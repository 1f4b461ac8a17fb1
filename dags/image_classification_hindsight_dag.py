# Generated from the Kedro pipeline `hindsight` by `kedro airflow create --all`. Do not edit:
# change the pipeline, conf/base/airflow.yml or airflow/dag_template.py.j2, and run `make dags`.

from pathlib import Path

from airflow.sdk import DAG

from image_classification.orchestration import DagSpec, NodeSpec, build_dag

dag: DAG = build_dag(
    DagSpec(
        pipeline='hindsight',
        project_path=Path(__file__).resolve().parents[1],
        settings={
            "title": 'Part: judging past decisions',
            "description": ('Judge the last decisions of the ledger again, by images that came after '
 'them. The nightly retraining does the same.'),
            "schedule": None,
            "on_new_images": False,
            "on_new_champion": False,
            "paused": True,
            "timezone": 'UTC',
            "catchup": False,
            "max_active_runs": 1,
            "owner": 'ml-engineering',
            "tags": ['image-classification', 'part of retraining'],
            "retries": 2,
            "retry_delay_s": 10,
            "maximum_retry_delay_s": 300,
            "task_timeout_minutes": 360,
            "run_timeout_hours": None,
            "approval": {'approvers': [], 'timeout_hours': 12},
            "notifications": {
                'failure': ['log'],
                'promotion': ['log'],
                'needs_you': ['log'],
                'skipped': ['log'],
                'alert': ['log'],
                'mail': {'connection': 'smtp_default', 'recipients': [], 'sender': None},
                'slack': {'connection': 'slackwebhook_default'},
            },
            "params": {
            },
        },
        nodes=(
            NodeSpec(
                'choose_later_images',
                tags=['hindsight'],
                after=[],
            ),
            NodeSpec(
                'score_past_versions',
                tags=['hindsight'],
                after=['choose_later_images'],
            ),
            NodeSpec(
                'judge_past_decisions',
                tags=['hindsight'],
                after=['choose_later_images', 'score_past_versions'],
            ),
        ),
        logs_model=False,
    )
)