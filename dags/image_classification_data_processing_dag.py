# Generated from the Kedro pipeline `data_processing` by `kedro airflow create --all`. Do not edit:
# change the pipeline, conf/base/airflow.yml or airflow/dag_template.py.j2, and run `make dags`.

from pathlib import Path

from airflow.sdk import DAG

from image_classification.orchestration import DagSpec, NodeSpec, build_dag

dag: DAG = build_dag(
    DagSpec(
        pipeline='data_processing',
        project_path=Path(__file__).resolve().parents[1],
        settings={
            "title": 'Part: intake',
            "description": ('Take in the batches that have arrived: check, index and pack them, and '
 'announce new images.'),
            "schedule": '*/10 * * * *',
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
                'image_size_px': {
                    'title': 'Image size',
                    'section': 'network',
                    'unit': 'pixels',
                    'description': 'Side of the square images that the network reads.',
                    'type': 'integer',
                    'minimum': 16,
                    'maximum': 512,
                    'parameter': 'image_size_px',
                    'default': 64,
                },
            },
        },
        nodes=(
            NodeSpec(
                'collect_batches',
                tags=['data_processing'],
                after=[],
            ),
            NodeSpec(
                'inspect_images',
                tags=['data_processing'],
                after=['collect_batches'],
            ),
            NodeSpec(
                'screen_batches',
                tags=['data_processing', 'screening'],
                after=['inspect_images'],
            ),
            NodeSpec(
                'index_images',
                tags=['data_processing', 'screening'],
                after=['inspect_images', 'screen_batches'],
            ),
            NodeSpec(
                'check_contract',
                tags=['data_processing'],
                after=['index_images', 'screen_batches'],
            ),
            NodeSpec(
                'pack_images',
                tags=['data_processing'],
                after=['index_images'],
            ),
        ),
        logs_model=False,
    )
)