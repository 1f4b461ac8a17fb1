"""Kedro's settings of this project."""

import os

from image_classification.configuration.loader import LOADER_ARGUMENTS, ReadOnceConfigLoader
from image_classification.configuration.location import CONF, VARIABLE, find_configuration
from image_classification.hooks import (
    TRACKING_HOOK,
    ChallengerHook,
    CheckHook,
    NightSession,
    ProgressHook,
    TimingHook,
    WriterHook,
)
from image_classification.machine.environment import settle
from image_classification.vendor.quiet import silence_libraries

settle()
silence_libraries()

# For commands of Kedro; what makes a session here says itself which configuration it reads.
CONF_SOURCE = str(find_configuration()) if os.environ.get(VARIABLE) else CONF
SESSION_CLASS = NightSession
HOOKS = (CheckHook(), WriterHook(), ChallengerHook(), TRACKING_HOOK, TimingHook(), ProgressHook())
# Its hook is TRACKING_HOOK's base.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-mlflow", "kedro_mlflow")
CONFIG_LOADER_CLASS = ReadOnceConfigLoader
CONFIG_LOADER_ARGS = LOADER_ARGUMENTS
