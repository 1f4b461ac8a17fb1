# Generated from the Kedro pipeline `promotion` by `kedro airflow create --all`. Do not edit:
# change the pipeline, conf/base/airflow.yml or airflow/dag_template.py.j2, and run `make dags`.

from pathlib import Path

from airflow.sdk import DAG

from image_classification.orchestration import DagSpec, NodeSpec, build_dag

dag: DAG = build_dag(
    DagSpec(
        pipeline='promotion',
        project_path=Path(__file__).resolve().parents[1],
        settings={
            "description": ('Compare the registered challenger with the champion, and promote it only if '
 'it is better.'),
            "schedule": None,
            "on_new_images": False,
            "paused": True,
            "timezone": 'UTC',
            "catchup": False,
            "max_active_runs": 1,
            "owner": 'ml-engineering',
            "tags": ['image-classification'],
            "retries": 2,
            "retry_delay_s": 10,
            "maximum_retry_delay_s": 300,
            "task_timeout_minutes": 360,
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
                'promote': {
                    'title': 'Promote if better',
                    'description': ('Off, the models are compared and the result is recorded, but the champion '
 'stays.'),
                    'type': 'boolean',
                    'parameter': 'promotion.enabled',
                    'default': True,
                },
                'minimum_accuracy_gain': {
                    'title': 'Required gain',
                    'description': 'Share of accuracy by which the challenger must beat the champion.',
                    'type': 'number',
                    'minimum': -1,
                    'maximum': 1,
                    'parameter': 'promotion.minimum_accuracy_gain',
                    'default': 0.0,
                },
            },
        },
        nodes=(
            NodeSpec(
                'select_images',
                tags=['selection'],
                after=[],
            ),
            NodeSpec(
                'score_challenger',
                tags=['promotion'],
                after=['select_images'],
            ),
            NodeSpec(
                'score_champion',
                tags=['promotion'],
                after=['select_images'],
            ),
            NodeSpec(
                'compare_models',
                tags=['promotion'],
                after=['score_challenger', 'score_champion', 'select_images'],
            ),
        ),
        logs_model=False,
        decides=True,
    )
)