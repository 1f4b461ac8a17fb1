"""What a person who waits is told, a line at a time: `conf/logging.yml` shows it in a terminal."""

from __future__ import annotations

import logging

progress = logging.getLogger("image_classification.progress")
"""Of the nodes, of training and of the decision. Everything else is for the log file alone."""
