"""The id of every task that is named in code: those around the nodes, and the nodes asked for."""

from __future__ import annotations

OPEN_RUN = "open_run"
CLOSE_RUN = "close_run"

FIND_BATCHES = "find_batches"
LIST_HELD_BATCHES = "list_held_batches"
REQUEST_REVIEWS = "request_reviews"
ASK_REVIEWER = "ask_reviewer"
ANNOUNCE_IMAGES = "announce_images"

CHECK_NEW_IMAGES = "check_new_images"
LOG_MODEL = "log_model"

MEASURE_PACKAGE = "measure_package"
CHOOSE_CHAMPION = "choose_champion"
ASK_APPROVER = "ask_approver"
PROMOTE_CHALLENGER = "promote_challenger"
KEEP_CHAMPION = "keep_champion"
REFUSE_CHALLENGER = "refuse_challenger"
RESTORE_CHAMPION = "restore_champion"

# Kedro nodes: a task that runs a node has the name of the node, and a node that of its function.
DESCRIBE_BATCH = "describe_batch"
RECORD_REVIEW = "record_review"
PLAN_ROLLBACK = "plan_rollback"
