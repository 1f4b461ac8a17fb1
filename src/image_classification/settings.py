"""Kedro's settings of this project."""

from image_classification.config_loader import ReadOnceConfigLoader
from image_classification.hooks import (
    TRACKING_HOOK,
    ChallengerHook,
    CheckHook,
    TimingHook,
    WriterHook,
)
from image_classification.resolvers import RESOLVERS

HOOKS = (CheckHook(), WriterHook(), ChallengerHook(), TRACKING_HOOK, TimingHook())
# Its hook is TRACKING_HOOK's base.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-mlflow", "kedro_mlflow")
CONFIG_LOADER_CLASS = ReadOnceConfigLoader
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
