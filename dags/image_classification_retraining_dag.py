# Generated from the Kedro pipeline `retraining` by `kedro airflow create --all`. Do not edit:
# change the pipeline, conf/base/airflow.yml or airflow/dag_template.py.j2, and run `make dags`.

from pathlib import Path

from airflow.sdk import DAG

from image_classification.orchestration import DagSpec, NodeSpec, build_dag

dag: DAG = build_dag(
    DagSpec(
        pipeline='retraining',
        project_path=Path(__file__).resolve().parents[1],
        settings={
            "title": '1 Retraining: the whole night',
            "description": ('Take in new images, train a challenger, compare it with the champion, '
 'promote it only if it is better. A night without enough new images is '
 'skipped.'),
            "schedule": '0 2 * * *',
            "on_new_images": True,
            "on_new_champion": False,
            "paused": True,
            "timezone": 'UTC',
            "catchup": False,
            "max_active_runs": 1,
            "owner": 'ml-engineering',
            "tags": ['image-classification', 'start here'],
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
                'force': {
                    'title': 'Train without new images',
                    'section': 'careful',
                    'description': 'A run that finds no new images trains all the same.',
                    'type': 'boolean',
                    'parameter': 'training.force',
                    'default': False,
                },
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
                'min_new_images': {
                    'title': 'New images',
                    'section': 'images',
                    'unit': 'images',
                    'description': 'If fewer are new or gone since the newest version, nothing is trained.',
                    'type': 'integer',
                    'minimum': 0,
                    'maximum': 1000000,
                    'parameter': 'training.min_new_images',
                    'default': 1,
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
                'choose_later_images',
                tags=['hindsight'],
                after=['index_images'],
            ),
            NodeSpec(
                'pack_images',
                tags=['data_processing'],
                after=['index_images'],
            ),
            NodeSpec(
                'score_newest_days',
                tags=['monitoring'],
                after=['index_images'],
            ),
            NodeSpec(
                'score_past_versions',
                tags=['hindsight'],
                after=['choose_later_images'],
            ),
            NodeSpec(
                'select_images',
                tags=['selection'],
                after=['check_contract', 'index_images'],
            ),
            NodeSpec(
                'watch_champion',
                tags=['monitoring', 'watches'],
                after=['score_newest_days'],
            ),
            NodeSpec(
                'judge_past_decisions',
                tags=['hindsight'],
                after=['choose_later_images', 'score_past_versions'],
            ),
            NodeSpec(
                'plot_trend',
                tags=['monitoring'],
                after=['watch_champion'],
            ),
            NodeSpec(
                'sample_images',
                tags=['training'],
                after=['select_images'],
            ),
            NodeSpec(
                'score_baseline',
                tags=['training'],
                after=['pack_images', 'select_images'],
            ),
            NodeSpec(
                'score_champion',
                tags=['promotion'],
                after=['select_images'],
            ),
            NodeSpec(
                'train_network',
                tags=['training'],
                after=['pack_images', 'select_images'],
            ),
            NodeSpec(
                'answer_golden_cells',
                tags=['training'],
                after=['sample_images', 'select_images', 'train_network'],
            ),
            NodeSpec(
                'evaluate_network',
                tags=['training'],
                after=['pack_images', 'select_images', 'train_network'],
            ),
            NodeSpec(
                'plot_training_curves',
                tags=['training'],
                after=['train_network'],
            ),
            NodeSpec(
                'score_challenger',
                tags=['promotion'],
                after=['select_images', 'train_network'],
            ),
            NodeSpec(
                'compare_models',
                tags=['decides', 'promotion'],
                after=['score_challenger', 'score_champion', 'select_images'],
            ),
            NodeSpec(
                'plot_confident_mistakes',
                tags=['training'],
                after=['evaluate_network', 'pack_images'],
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