# Generated from the Kedro pipeline `training` by `kedro airflow create --all`. Do not edit:
# change the pipeline, conf/base/airflow.yml or airflow/dag_template.py.j2, and run `make dags`.

from pathlib import Path

from airflow.sdk import DAG

from image_classification.orchestration import DagSpec, NodeSpec, build_dag

dag: DAG = build_dag(
    DagSpec(
        pipeline='training',
        project_path=Path(__file__).resolve().parents[1],
        settings={
            "title": 'Part: training',
            "description": ('Train a challenger on the images already taken in, log it and register it. '
 'Nothing is promoted.'),
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
                'epochs': {
                    'title': 'Epochs',
                    'section': 'network',
                    'unit': 'epochs',
                    'description': 'Passes over the training images.',
                    'type': 'integer',
                    'minimum': 1,
                    'maximum': 500,
                    'parameter': 'training.epochs',
                    'default': 8,
                },
                'learning_rate': {
                    'title': 'Learning rate',
                    'section': 'network',
                    'unit': '(no unit)',
                    'description': 'Peak of the schedule.',
                    'type': 'number',
                    'minimum': 1e-06,
                    'maximum': 1,
                    'parameter': 'training.learning_rate',
                    'default': 0.003,
                },
                'network': {
                    'title': 'Network',
                    'section': 'network',
                    'description': 'The network that is trained.',
                    'type': 'string',
                    'enum': ['large', 'medium', 'mobilenet', 'residual', 'small'],
                    'parameter': 'training.network',
                    'default': 'small',
                },
                'seed': {
                    'title': 'Seed',
                    'section': 'network',
                    'unit': '(no unit)',
                    'description': 'Of the weights, the order and the augmentation.',
                    'type': 'integer',
                    'minimum': 0,
                    'maximum': 2147483647,
                    'parameter': 'training.seed',
                    'default': 20150601,
                },
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
                'select_images',
                tags=['selection'],
                after=[],
            ),
            NodeSpec(
                'sample_images',
                tags=['training'],
                after=['select_images'],
            ),
            NodeSpec(
                'score_baseline',
                tags=['training'],
                after=['select_images'],
            ),
            NodeSpec(
                'train_network',
                tags=['training'],
                after=['select_images'],
            ),
            NodeSpec(
                'answer_golden_cells',
                tags=['training'],
                after=['sample_images', 'select_images', 'train_network'],
            ),
            NodeSpec(
                'evaluate_network',
                tags=['training'],
                after=['select_images', 'train_network'],
            ),
            NodeSpec(
                'plot_training_curves',
                tags=['training'],
                after=['train_network'],
            ),
            NodeSpec(
                'plot_confident_mistakes',
                tags=['training'],
                after=['evaluate_network'],
            ),
            NodeSpec(
                'plot_evaluation',
                tags=['training'],
                after=['evaluate_network', 'select_images'],
            ),
        ),
        logs_model=True,
    )
)