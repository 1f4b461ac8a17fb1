"""Kedro's settings of this project."""

from image_classification.configuration.loader import LOADER_ARGUMENTS, ReadOnceConfigLoader
from image_classification.hooks import (
    TRACKING_HOOK,
    ChallengerHook,
    CheckHook,
    NightSession,
    TimingHook,
    WriterHook,
)
from image_classification.machine.environment import settle

settle()

SESSION_CLASS = NightSession
HOOKS = (CheckHook(), WriterHook(), ChallengerHook(), TRACKING_HOOK, TimingHook())
# Its hook is TRACKING_HOOK's base.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-mlflow", "kedro_mlflow")
CONFIG_LOADER_CLASS = ReadOnceConfigLoader
CONFIG_LOADER_ARGS = LOADER_ARGUMENTS
