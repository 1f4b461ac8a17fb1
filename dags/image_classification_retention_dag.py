# Generated from the Kedro pipeline `retention` by `kedro airflow create --all`. Do not edit:
# change the pipeline, conf/base/airflow.yml or airflow/dag_template.py.j2, and run `make dags`.

from pathlib import Path

from airflow.sdk import DAG

from image_classification.orchestration import DagSpec, NodeSpec, build_dag

dag: DAG = build_dag(
    DagSpec(
        pipeline='retention',
        project_path=Path(__file__).resolve().parents[1],
        settings={
            "title": 'Upkeep: let go what is old',
            "description": ('List what is old and decides nothing any more, and remove it where '
 'retention.mode is `apply`. Never a champion, one before it, or what the '
 'ledger needs.'),
            "schedule": '30 5 * * 0',
            "on_new_images": False,
            "on_new_champion": False,
            "paused": True,
            "timezone": 'UTC',
            "catchup": False,
            "max_active_runs": 1,
            "owner": 'ml-engineering',
            "tags": ['image-classification', 'by hand'],
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
                'plan_retention',
                tags=['retention'],
                after=[],
            ),
            NodeSpec(
                'let_go',
                tags=['retention'],
                after=['plan_retention'],
            ),
        ),
        logs_model=False,
    )
)