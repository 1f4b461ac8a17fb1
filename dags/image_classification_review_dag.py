# Generated from the Kedro pipeline `review` by `kedro airflow create --all`. Do not edit:
# change the pipeline, conf/base/airflow.yml or airflow/dag_template.py.j2, and run `make dags`.

from pathlib import Path

from airflow.sdk import DAG

from image_classification.orchestration import DagSpec, NodeSpec, build_dag

dag: DAG = build_dag(
    DagSpec(
        pipeline='review',
        project_path=Path(__file__).resolve().parents[1],
        settings={
            "title": 'Asked: a question about a batch',
            "description": ('Ask a person about a batch that is held, or about labels that it corrects. '
 'Runs are started by the intake, one per question.'),
            "schedule": None,
            "on_new_images": False,
            "on_new_champion": False,
            "paused": False,
            "timezone": 'UTC',
            "catchup": False,
            "max_active_runs": 100,
            "owner": 'ml-engineering',
            "tags": ['image-classification', 'asked by the system'],
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
                'batch': {
                    'title': 'Batch',
                    'description': 'Its name, as in incoming/ or in the report of the intake.',
                    'type': 'string',
                    'parameter': 'review.batch',
                    'default': '',
                },
                'about': {
                    'title': 'About',
                    'description': 'batch: may it join? labels: may those hold that it brings for known images?',
                    'type': 'string',
                    'enum': ['batch', 'labels'],
                    'parameter': 'review.about',
                    'default': 'batch',
                },
            },
        },
        nodes=(
            NodeSpec(
                'describe_batch',
                tags=['review'],
                after=[],
            ),
            NodeSpec(
                'record_review',
                tags=['review'],
                after=['describe_batch'],
            ),
        ),
        logs_model=False,
    )
)