"""Tags of nodes, by which the wiring says what belongs where and what must follow.

`pipelines/*/pipeline.py` sets them; `pipelines/purpose.py` and the layout of the DAGs read them.
This module imports nothing, so that a DAG file may read it.
"""

PROCESSING = "data_processing"
SELECTION = "selection"
TRAINING = "training"
PROMOTION = "promotion"
MONITORING = "monitoring"
HINDSIGHT = "hindsight"
INFERENCE = "inference"
REVIEW = "review"
ROLLBACK = "rollback"
RETENTION = "retention"
"""The part of a composed pipeline to which a node belongs."""

DECIDES = "decides"
WATCHES = "watches"
ROLLS_BACK = "rolls_back"
"""The nodes that make a comparison to be judged, a watch to be told of, a plan to carry out."""

SCREENS = "screening"
"""The nodes that may leave a batch, or its labels, to a review."""
