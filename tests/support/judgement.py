"""Predictions, comparisons, facts, decisions and entries of the ledger, made by hand."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from image_classification.gate import judgement
from image_classification.gate.measure import MEASURES
from image_classification.gate.policy import PromotionPolicy
from image_classification.gate.rule import Facts

POSITIVE, NEGATIVE = "Parasitized", "Uninfected"
CLASSES = [POSITIVE, NEGATIVE]
METRICS = {measure.name: 0.9 for measure in MEASURES} | {
    "accuracy": 0.95,
    "auc": 0.98,
    "sensitivity": 0.94,
    "specificity": 0.96,
    "f1": 0.95,
    "calibration_error": 0.02,
    "log_loss": 0.15,
}
GUARDRAILS = [measure.guardrail for measure in MEASURES]
TESTS = {
    "gain": 0.01,
    "low": 0.002,
    "high": 0.018,
    "confidence": 0.95,
    "patients": 12,
    "spread": 0.02,
    "only_challenger_right": 12,
    "only_champion_right": 2,
    "p_value": 0.0065,
}


def make_policy(**changes: Any) -> PromotionPolicy:
    """Return a policy; a change is named after its key, whichever section that is in.

    A guardrail, or a floor, that is not there is added. `rule` is the one of the improvement, and
    a key of that rule's own section may be changed too.
    """
    policy: Any = {
        "mode": "auto",
        "floors": {"accuracy": 0.85, "sensitivity": 0.8, "auc": 0.92},
        "improvement": {
            "rule": changes.pop("rule", "superiority"),
            "minimum_gain": 0.0,
            "expected_loss": {"maximum_loss": 0.001, "prior_patients": 10, "prior_gain": 0.0},
            "non_inferiority": {"margin": 0.01, "confidence": 0.95},
            "superiority": {"confidence": 0.95, "significance": 0.05, "minimum_patients": 10},
            "resamples": 100,
        },
        "guardrails": {
            "maximum_sensitivity_fall": 0.01,
            "maximum_calibration_error_rise": 0.02,
            "maximum_worst_patient_fall": 0.1,
            "minimum_patient_images": 20,
        },
        "limits": {
            "maximum_load_s": 60.0,
            "maximum_latency_ms": 2000.0,
            "maximum_size_mb": 100.0,
        },
        "maximum_run_age_hours": 36.0,
        "golden_tolerance": 0.001,
        "lease_minutes": 20.0,
    }
    for key, value in changes.items():
        sections = [section for section in policy.values() if isinstance(section, dict)]
        sections.append(policy["improvement"][policy["improvement"]["rule"]])
        places = [section for section in (policy, *sections) if key in section]
        if key in GUARDRAILS:
            places = [policy["guardrails"]]
        (place,) = places or [policy["floors"]]
        place[key] = value
    return policy


def make_comparison(
    *,
    ours: Mapping[str, float] = {},
    theirs: Mapping[str, float] | None = {},
    tests: Mapping[str, float] = {},
    slices: Sequence[tuple[str, float, float]] = (("C1", 0.9, 0.9), ("C2", 1.0, 0.95)),
    fault: str = "",
) -> dict[str, Any]:
    """Return a comparison that the challenger wins, with these changes.

    Args:
        ours: measures of the challenger.
        theirs: measures of the champion; None for no champion.
        tests: of the gain.
        slices: patient, accuracy of the challenger, accuracy of the champion.
        fault: why the champion could not be scored.
    """
    champion = None if theirs is None else {"version": "3", "metrics": {**METRICS, **theirs}}
    return {
        "challenger": {"version": "4", "metrics": {**METRICS, **ours}},
        "champion": champion,
        "champion_fault": fault,
        "images": 400,
        "patients": 12,
        "validation_patients": [f"C{number}" for number in range(1, 13)],
        "tests": {**TESTS, **tests} if champion else None,
        "slices": [
            {"patient": name, "images": 25, "challenger": own, "champion": champion and other}
            for name, own, other in slices
        ],
    }


def make_facts(**changes: Any) -> Facts:
    facts: Any = {
        "challenger_seen": [],
        "champion_seen": [],
        "challenger_data_until": "2026-11-22T02:00:00.000001+00:00",
        "champion_data_until": "2026-11-21T02:00:00+00:00",
        "rolled_back": "",
        "ledger_fault": "",
        "backfill": False,
        "run_age_hours": 0.5,
        "package": {"load_s": 9.0, "latency_ms": 140.0, "size_mb": 3.5},
    }
    assert set(changes) <= set(facts)
    return {**facts, **changes}


def make_decision(**changes: Any) -> dict[str, Any]:
    """Return the decision about `make_comparison`, to be promoted but for the changes to it."""
    return judge(make_comparison(**changes))


def judge(
    comparison: dict[str, Any] | None = None, facts: Any = None, **policy: Any
) -> dict[str, Any]:
    """Judge a comparison, by default the one that wins, under a policy with these changes."""
    return judgement.judge(
        comparison or make_comparison(), facts or make_facts(), make_policy(**policy)
    )


def find_failed(decision: dict[str, Any]) -> list[str]:
    """Return the names of the rules that were not met, in the order of the checks."""
    return [check["name"] for check in decision["checks"] if not check["passed"]]


def find_check(decision: dict[str, Any], name: str, group: str = "") -> dict[str, Any]:
    """Return the check of this name, of the group that begins so."""
    (check,) = [
        check
        for check in decision["checks"]
        if check["name"] == name and check["group"].startswith(group)
    ]
    return check


def assert_only_fails(decision: dict[str, Any], *names: str) -> None:
    """Check that these rules, and no other, keep the challenger out."""
    assert find_failed(decision) == list(names)
    assert decision["verdict"] == ("keep" if names else "promote")
    assert decision["promote"] is (not names)


def make_entry(
    event: str,
    version: str,
    before: str | None = None,
    after: str | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Return an entry of the ledger."""
    entry = {
        "at": "2026-11-22T02:31:00.123+00:00",
        "event": event,
        "model": "cells",
        "version": version,
        "champion_before": before,
        "champion_after": after,
        "by": "the policy",
        "comment": "",
        "mode": "auto",
        "reason": "it is better",
        "decision": None,
        "data": {"data_digest": "d1", "validation_digest": "v1"},
        "git_commit": "c0ffee",
        "airflow_run": "retraining/one",
        "airflow_url": "http://airflow/dags/retraining/runs/one",
        "mlflow_run_id": "r1",
        "mlflow_url": "http://mlflow/#/experiments/1/runs/r1",
    }
    assert set(changes) <= set(entry)
    return copy.deepcopy({**entry, **changes})


def predict(
    right: Mapping[str, str], version: str = "2", confidences: Sequence[float] = (0.9,)
) -> pd.DataFrame:
    """Return predictions of two classes, whose labels take turns.

    Args:
        right: of each patient a character per image, "1" for one that the model has right.
        version: of the model.
        confidences: of the predicted categories, repeated as often as it takes.
    """
    patients = [patient for patient, answers in right.items() for _ in answers]
    is_right = np.array([answer == "1" for answers in right.values() for answer in answers])
    label = np.resize(CLASSES, len(patients))
    other = np.where(label == POSITIVE, NEGATIVE, POSITIVE)
    category = np.where(is_right, label, other)
    confidence = np.resize(confidences, len(patients))
    positive = np.where(category == POSITIVE, confidence, 1 - confidence)
    return pd.DataFrame(
        {
            "image_id": [f"id-{row}" for row in range(len(patients))],
            "image_name": [f"{row}.png" for row in range(len(patients))],
            "patient": patients,
            "label": label.astype(object),
            f"probability_{POSITIVE}": positive,
            f"probability_{NEGATIVE}": 1 - positive,
            "category": category.astype(object),
            "model_version": version,
        }
    )
