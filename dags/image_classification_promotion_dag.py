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
            "title": 'Part: promotion',
            "description": ('Compare the registered challenger with the champion, and promote it only if '
 'it is better.'),
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
                'mode': {
                    'title': 'If the challenger is better',
                    'section': 'careful',
                    'description': 'auto: promote it. approve: ask a person. dry_run: record it, move nothing.',
                    'type': 'string',
                    'enum': ['as configured', 'auto', 'approve', 'dry_run'],
                    'parameter': 'promotion.mode',
                    'default': 'as configured',
                },
                'minimum_gain': {
                    'title': 'Required gain',
                    'section': 'careful',
                    'unit': 'of accuracy, where 0.01 is one point',
                    'description': ('How much better it must be; the rule in force (improvement.rule) judges how '
 'sure it is.'),
                    'type': 'number',
                    'minimum': -1,
                    'maximum': 1,
                    'parameter': 'promotion.improvement.minimum_gain',
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
                tags=['decides', 'promotion'],
                after=['score_challenger', 'score_champion', 'select_images'],
            ),
        ),
        logs_model=False,
    )
)