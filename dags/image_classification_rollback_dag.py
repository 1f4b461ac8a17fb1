# Generated from the Kedro pipeline `rollback` by `kedro airflow create --all`. Do not edit:
# change the pipeline, conf/base/airflow.yml or airflow/dag_template.py.j2, and run `make dags`.

from pathlib import Path

from airflow.sdk import DAG

from image_classification.orchestration import DagSpec, NodeSpec, build_dag

dag: DAG = build_dag(
    DagSpec(
        pipeline='rollback',
        project_path=Path(__file__).resolve().parents[1],
        settings={
            "title": '2 Rollback: an earlier champion again',
            "description": 'Make an earlier version champion again: verified, recorded, with a reason.',
            "schedule": None,
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
                'version': {
                    'title': 'Version',
                    'description': 'A number, or "previous" for the champion before the present one.',
                    'type': 'string',
                    'parameter': 'rollback.version',
                    'default': 'previous',
                },
                'reason': {
                    'title': 'Why',
                    'description': 'Kept in the ledger for ever, together with your name. Required.',
                    'type': 'string',
                    'parameter': 'rollback.reason',
                    'default': '',
                },
            },
        },
        nodes=(
            NodeSpec(
                'plan_rollback',
                tags=['rollback', 'rolls_back'],
                after=[],
            ),
        ),
        logs_model=False,
    )
)