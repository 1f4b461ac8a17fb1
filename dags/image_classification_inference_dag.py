# Generated from the Kedro pipeline `inference` by `kedro airflow create --all`. Do not edit:
# change the pipeline, conf/base/airflow.yml or airflow/dag_template.py.j2, and run `make dags`.

from pathlib import Path

from airflow.sdk import DAG

from image_classification.orchestration import DagSpec, NodeSpec, build_dag

dag: DAG = build_dag(
    DagSpec(
        pipeline='inference',
        project_path=Path(__file__).resolve().parents[1],
        settings={
            "title": '3 Scoring: classify images',
            "description": ('Score a folder or a list of images with the champion. Runs whenever there is '
 'a new champion, and by hand.'),
            "schedule": None,
            "on_new_images": False,
            "on_new_champion": True,
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
                'images': {
                    'title': 'Images',
                    'description': ('A folder, or a list (.txt with a path per line, .csv or .parquet with a '
 'column path): a path or a URL. Empty: the folder that the environment names, '
 'or else the images kept.'),
                    'type': ['string', 'null'],
                    'parameter': 'inference.images',
                    'default': '',
                },
            },
        },
        nodes=(
            NodeSpec(
                'list_images',
                tags=['inference'],
                after=[],
            ),
            NodeSpec(
                'score_images',
                tags=['inference'],
                after=['list_images'],
            ),
            NodeSpec(
                'report_scores',
                tags=['inference'],
                after=['score_images'],
            ),
        ),
        logs_model=False,
    )
)