"""Kedro's settings of this project."""

from image_classification.hooks import ChallengerHook, CheckHook, WriterHook
from image_classification.resolvers import RESOLVERS

HOOKS = (CheckHook(), WriterHook(), ChallengerHook())
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "config_patterns": {
        "airflow": ["airflow.yml"],
        "mlflow": ["mlflow.yml"],
    },
    "custom_resolvers": RESOLVERS,
    # An environment, and a run, may change one key of a section and leave the rest in force.
    "merge_strategy": {"parameters": "soft"},
}
