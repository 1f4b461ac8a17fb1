"""What a night has left, for tests of its page: a catalog of values, with nothing of Kedro."""

from __future__ import annotations

from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
from judgement import CLASSES, POSITIVE, make_decision, make_entry, make_policy, predict

from image_classification.champion.statement import DecisionRun
from image_classification.configuration import names
from image_classification.gate.comparison import compare_predictions
from image_classification.gate.trend import TREND_COLUMNS
from image_classification.gate.verdict import PROMOTED

SIDE_PX = 16
RUN = DecisionRun("r1", experiment_id="1", airflow_url="http://airflow/dags/retraining/runs/one")
CHALLENGER = predict({"C1": "1111111110", "C2": "1111101111"}, "4", (0.97, 0.8))
CHAMPION = predict({"C1": "1111111010", "C2": "1111011110"}, "3", (0.95, 0.7))


class Kept:
    """A dataset that holds a value; None for nothing."""

    def __init__(self, value: Any = None) -> None:
        self.value = value

    def load(self) -> Any:
        assert self.value is not None
        return self.value

    def exists(self) -> bool:
        return self.value is not None


class Gathering(Kept):
    """A dataset that adds to what it holds."""

    def save(self, data: Mapping[str, Any]) -> None:
        self.value = {**self.value, **data}


class KeptPages(Gathering):
    """The pages of the nights."""

    def load(self) -> Any:
        return self

    def locate(self, name: str) -> str:
        return f"/pages/{name}"


class Pixels:
    """Packed pixels of any image."""

    def read(self, image_ids: list[str], size_px: int) -> np.ndarray:
        return np.full((len(image_ids), size_px, size_px, 3), 120, np.uint8)


def make_index(batch: str, statuses: list[str], patient: str = "C1") -> pd.DataFrame:
    """Return the log of an index that knows a batch, an image for each status."""
    rows = range(len(statuses))
    return pd.DataFrame(
        {
            "image_id": [f"{batch}-{row}" for row in rows],
            "path": [f"{batch}/{POSITIVE}/{row}.png" for row in rows],
            "label": POSITIVE,
            "patient": patient,
            "batch": batch,
            "first_seen": "2026-11-22T02:00:00+00:00",
            "status": statuses,
        }
    )


def make_screening(files: int, refused: int = 0, **changes: Any) -> dict[str, Any]:
    """Return what was judged of a batch."""
    return {
        "verdict": "accepted",
        "reasons": [],
        "notes": [],
        "files": files,
        "refused": refused,
        "images": files - refused,
        "left_out": {},
        **changes,
    }


def make_summary() -> dict[str, Any]:
    part = {"digest": "d" * 32, "images": 20, "patients": 2, "classes": dict.fromkeys(CLASSES, 10)}
    return {
        "data_digest": "d1",
        "images": 60,
        "patients": 6,
        "captured_until": "2015-10-03",
        "splits": dict.fromkeys(("train", "validation", "test"), part),
    }


def make_trend(versions: tuple[str, ...] = ("3", "3", "4")) -> pd.DataFrame:
    rows = [
        {
            **dict.fromkeys(TREND_COLUMNS, ""),
            "recorded_at": f"2026-11-2{place}T02:00:00+00:00",
            "model_version": version,
            "accuracy": 0.95,
            "low": 0.93,
            "high": 0.97,
            "reference": 0.96,
            "alert": place == 1,
            "images_digest": str(place),
        }
        for place, version in enumerate(versions)
    ]
    return pd.DataFrame(rows, columns=TREND_COLUMNS)


def make_catalog(**changes: Any) -> dict[str, Any]:
    """Return what a night leaves that promotes version 4 over 3, with other values by name."""
    comparison = compare_predictions(
        CHALLENGER, CHAMPION, CLASSES, POSITIVE, make_policy(minimum_patient_images=5)
    )
    history = {
        f"{split}_{measure}": [0.7, 0.9]
        for split in ("train", "validation")
        for measure in ("accuracy", "loss")
    }
    values = {
        "parameters": {
            "registered_model_name": "cells",
            "image_size_px": SIDE_PX,
            "positive_class": POSITIVE,
            "training": {"epochs": 2},
        },
        names.DATA_SUMMARY: make_summary(),
        names.INTAKE_REPORT: {"judged": {"batch-1": make_screening(5, refused=1)}},
        names.IMAGE_INDEX: make_index("batch-1", ["accepted"] * 3),
        names.CLASS_NAMES: CLASSES,
        names.COMPARISON: comparison,
        names.CHALLENGER_PREDICTIONS: CHALLENGER,
        names.CHAMPION_PREDICTIONS: CHAMPION,
        names.PACKED_PIXELS: Pixels(),
        names.TRAINING_HISTORY: history,
        names.CHAMPION_WATCH: {"sentence": "champion v3 holds its level"},
        names.HINDSIGHT_REPORT: {"summary": "2 right"},
        names.CHAMPION_TREND: make_trend(),
        names.DECISION: make_decision(),
        **changes,
    }
    catalog: dict[str, Any] = {name: Kept(value) for name, value in values.items()}
    return {**catalog, names.NIGHT_RECORDS: Gathering({}), names.PAGES: KeptPages({})}


def promote(**changes: Any) -> dict[str, Any]:
    """Return the entry by which version 4 replaced 3."""
    return make_entry(PROMOTED, "4", "3", "4", **{"decision": make_decision(), **changes})


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read_page(page: str) -> tuple[list[tuple[str, dict[str, str | None]]], str]:
    """Return the elements of a page with their attributes, and its text in one line."""
    reader = _Reader()
    reader.feed(page)
    return reader.tags, " ".join(" ".join(reader.text).split())
