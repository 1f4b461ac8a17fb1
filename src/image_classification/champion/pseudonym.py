"""Names of patients that only the key of the storage leads back to."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any

PREFIX = "p-"
DIGITS = 12


def hide_patient(patient: str, key: bytes) -> str:
    """Return the pseudonym of a patient: the same one under the same key (HMAC-SHA-256)."""
    return PREFIX + hmac.new(key, patient.encode(), hashlib.sha256).hexdigest()[:DIGITS]


def hide_patients(comparison: Mapping[str, Any], key: bytes) -> dict[str, Any]:
    """Return a comparison in which each patient has a pseudonym.

    Whatever is judged, said and kept of it then names no patient.

    Args:
        comparison: of `comparison.compare_predictions`.
        key: of the storage.
    """
    return {
        **comparison,
        "validation_patients": [
            hide_patient(name, key) for name in comparison["validation_patients"]
        ],
        "slices": [
            {**part, "patient": hide_patient(str(part["patient"]), key)}
            for part in comparison["slices"]
        ],
    }


def reveal_patients(text: str, patients: Iterable[str], key: bytes) -> str:
    """Return a text with the names of those patients that are still known.

    Args:
        text: of a decision.
        patients: all that the index knows.
        key: of the storage.
    """
    if PREFIX not in text:
        return text
    for name in patients:
        text = text.replace(hide_patient(name, key), name)
    return text
