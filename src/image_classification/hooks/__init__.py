"""Kedro hooks, one file each, and the session of a `kedro run`."""

from image_classification.hooks.challenger import ChallengerHook
from image_classification.hooks.check import CheckHook
from image_classification.hooks.progress import ProgressHook
from image_classification.hooks.session import NightSession
from image_classification.hooks.timing import TimingHook
from image_classification.hooks.tracking import TRACKING_HOOK, TrackingHook
from image_classification.hooks.writer import WriterHook

__all__ = [
    "TRACKING_HOOK",
    "ChallengerHook",
    "CheckHook",
    "NightSession",
    "ProgressHook",
    "TimingHook",
    "TrackingHook",
    "WriterHook",
]
