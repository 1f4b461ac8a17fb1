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
            "description": 'Index the images, split them by patient and pack their pixels.',
            "schedule": None,
            "timezone": 'UTC',
            "catchup": False,
            "max_active_runs": 1,
            "owner": 'ml-engineering',
            "tags": ['image-classification'],
            "retries": 2,
            "retry_delay_s": 10,
            "maximum_retry_delay_s": 300,
            "task_timeout_minutes": 360,
            "params": {
                'image_size_px': {
                    'title': 'Image size',
                    'description': 'Side of the square images that the network reads, in pixels.',
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
                'index_images',
                tags=['data_processing'],
                after=[],
            ),
            NodeSpec(
                'assign_splits',
                tags=['data_processing'],
                after=['index_images'],
            ),
            NodeSpec(
                'pack_images',
                tags=['data_processing'],
                after=['assign_splits'],
            ),
        ),
        logs_model=False,
        decides=False,
    )
)