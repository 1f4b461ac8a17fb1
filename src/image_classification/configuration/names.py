"""Names in `catalog.yml` and of nodes that code asks for; `tests/configuration` checks each.

The wiring in `pipelines/*/pipeline.py` writes names out, as Kedro's readers expect. Whatever else
asks the catalog for a dataset, or Airflow for a task, takes the name from here. This module imports
nothing, so that a DAG file may read it.
"""

# ---- data_processing

INCOMING_BATCHES = "incoming_batches"
COLLECTED_BATCHES = "collected_batches"
IMAGE_BATCHES = "image_batches"
FORGOTTEN_PATIENTS = "forgotten_patients"
IMAGE_INSPECTIONS = "image_inspections"
BATCH_SCREENINGS = "batch_screenings"
BATCH_REVIEWS = "batch_reviews"
LABEL_CORRECTIONS = "label_corrections"
IMAGE_INDEX = "image_index"
KNOWN_INDEX = "known_index"
QUARANTINED_IMAGES = "quarantined_images"
PACKED_PIXELS = "packed_pixels"
INTAKE_REPORT = "intake_report"
INTAKE_COUNTS = "intake_counts"
CONTRACT_REPORT = "contract_report"

CHECK_CONTRACT = "check_contract"

# ---- review

REVIEW_SHEET = "review_sheet"
REVIEW_SUMMARY = "review_summary"
RECORDED_REVIEWS = "recorded_reviews"
RECORDED_CORRECTIONS = "recorded_corrections"

DESCRIBE_BATCH = "describe_batch"
RECORD_REVIEW = "record_review"

# ---- training

IMAGE_SPLITS = "image_splits"
CLASS_NAMES = "class_names"
DATA_SUMMARY = "data_summary"
TRAINING_HISTORY = "training_history"
NETWORK = "network"
GOLDEN_CELLS = "golden_cells"
BASELINE_REPORT = "baseline_report"
LOGGED_MODEL = "logged_model"
CONFUSION_MATRIX = "cm_plot"
ROC_CURVE = "roc_plot"

# ---- promotion

CHALLENGER_PREDICTIONS = "challenger_predictions"
CHAMPION_PREDICTIONS = "champion_predictions"
COMPARISON = "comparison"
COMPARISON_PLOT = "comparison_plot"
PACKAGE_MEASURES = "package_measures"
DECISION = "decision"
LEDGER = "ledger"
RUN_CODE = "run_code"
TASK_TIMINGS = "task_timings"
PAGES = "pages"
NIGHT_RECORDS = "night_records"

# ---- monitoring

CHAMPION_TREND = "champion_trend"
CHAMPION_WATCH = "champion_watch"

# ---- hindsight

HINDSIGHT_FINDINGS = "hindsight_findings"
HINDSIGHT_REPORT = "hindsight_report"

# ---- rollback

ROLLBACK_PLAN = "rollback_plan"

PLAN_ROLLBACK = "plan_rollback"

# ---- retention

RETENTION_PLAN = "retention_plan"

# ---- inference

SCORES = "scores"
SCORE_TABLE = "score_table"
SCORE_SUMMARY = "score_summary"

NODES = (CHECK_CONTRACT, DESCRIBE_BATCH, RECORD_REVIEW, PLAN_ROLLBACK)
"""The names above that are of nodes, and so of Airflow's tasks; all others are of datasets."""
