"""The accuracy that the champion is watched by, measured again where labels were corrected since.

What a version was judged by stays as it is, in the registry and in the ledger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import pandas as pd

from image_classification.gate.prediction import find_right

REFERENCE_COLUMNS = [
    "recorded_at",
    "model_version",
    "run_id",
    "labels_digest",
    "images",
    "corrected",
    "accuracy",
    "before",
]


def find_judged(made_from: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Return the validation images of a version with the labels that they have now.

    Args:
        made_from: the images that the version was made from: `image_id`, `label`, `split`.
        images: the accepted ones: `image_id`, `label` and more.

    Returns:
        The columns of `images` and `label_then`, in the order of `image_id`. An image that is not
        accepted any more is left out.
    """
    then = made_from.loc[made_from["split"] == "validation", ["image_id", "label"]]
    judged = images.merge(then.rename(columns={"label": "label_then"}), on="image_id")
    return judged.sort_values("image_id", ignore_index=True)


def count_corrected(judged: pd.DataFrame) -> int:
    """Return how many images of `find_judged` have another label than then."""
    return int((judged["label"] != judged["label_then"]).sum())


def digest_labels(judged: pd.DataFrame) -> str:
    """Return 16 hex digits that change when any image of `find_judged`, or its label, does."""
    keys = judged["image_id"] + " " + judged["label"]
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()[:16]


def find_reference(known: pd.DataFrame, run_id: str, digest: str) -> float | None:
    """Return the accuracy that was measured of a version with these labels, or None.

    Args:
        known: `REFERENCE_COLUMNS`, in the order they were recorded.
        run_id: of the version.
        digest: of `digest_labels`.
    """
    same = known[(known["run_id"] == run_id) & (known["labels_digest"] == digest)]
    return float(same["accuracy"].iloc[-1]) if len(same) else None


def make_row(
    facts: Mapping[str, Any], predictions: pd.DataFrame, digest: str, recorded_at: str
) -> pd.DataFrame:
    """Return a measurement as a row of `REFERENCE_COLUMNS`.

    Args:
        facts: `version`, `run_id`, `corrected` (how many labels) and `before`: the accuracy when
            the version was judged, None where it is not known.
        predictions: of the images of `find_judged`: `label` and `category`.
        digest: of `digest_labels`.
        recorded_at: ISO 8601, UTC.
    """
    row = {
        "recorded_at": recorded_at,
        "model_version": facts["version"],
        "run_id": facts["run_id"],
        "labels_digest": digest,
        "images": len(predictions),
        "corrected": facts["corrected"],
        "accuracy": float(find_right(predictions).mean()),
        "before": facts["before"],
    }
    table = pd.DataFrame([row], columns=REFERENCE_COLUMNS)
    return table.astype({"accuracy": "float64", "before": "float64"})
