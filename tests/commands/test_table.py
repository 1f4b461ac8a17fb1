"""Tables: aligned in a terminal, CSV in a pipe, JSON for a script."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from shipped import read_shipped

from image_classification.commands import batch, decisions, policy, table, watch
from image_classification.commands.image import SPLIT, STATUS, VERSION, view_images
from image_classification.commands.table import (
    DIGITS,
    MOST_ROWS,
    Column,
    print_rows,
    render_csv,
    render_view,
    view_all,
)
from image_classification.intake.measure import read_measures

GOLDEN = Path(__file__).with_name("golden")
"""How each table looks at 80 and at 120 columns. To write them anew, delete them and run this."""

REASON = (
    "challenger +1.6 points (95 % CI 0.8 to 2.4 over 20 patients), P(better) = 0.99, a switch "
    "loses 0.00 points on average; all other rules are met"
)
ENTRIES = [
    {
        "at": "2026-11-26T02:14:41.120+00:00",
        "event": "promoted",
        "version": "1",
        "champion_before": None,
        "champion_after": "1",
        "by": "the policy",
        "reason": "first champion: it meets the floors, accuracy 0.9578 (0.85)",
    },
    {
        "at": "2026-11-27T02:15:02.004+00:00",
        "event": "promoted",
        "version": "2",
        "champion_before": "1",
        "champion_after": "2",
        "by": "the policy",
        "reason": REASON,
    },
    {
        "at": "2026-11-28T09:30:10.500+00:00",
        "event": "rolled back",
        "version": "1",
        "champion_before": "2",
        "champion_after": "1",
        "by": "dr.osei.of.the.laboratory",
        "reason": "misses rings\x1b[31m [bold]not markup[/bold]",
    },
]
TREND = [
    {
        "recorded_at": "2026-11-27T02:15:30+00:00",
        "model_version": "2",
        "days_from": "2015-11-06",
        "days_to": "2015-12-01",
        "images": 1500,
        "patients": 10,
        "accuracy": 0.936,
        "low": 0.85,
        "high": 0.972,
        "reference": 0.9737,
        "alert": True,
    },
    {
        "recorded_at": "2026-11-28T02:15:30+00:00",
        "model_version": "2",
        "days_from": "2015-12-07",
        "days_to": "2015-12-07",
        "images": 20,
        "patients": 1,
        "accuracy": float("nan"),
        "low": None,
        "high": None,
        "reference": None,
        "alert": False,
    },
]
BATCHES = [
    {"batch": "2026-11-26-night", "status": "accepted", "images": 2250, "why": []},
    {
        "batch": "2026-11-27-night",
        "status": "held",
        "images": 750,
        "why": [
            "412 of 750 images look like the other class: labels may be swapped",
            "752 found: 750 held, 1 refused, 1 left out",
        ],
    },
    {"batch": "copied", "status": "in the incoming folder", "images": None, "why": []},
]
IMAGES = [
    {
        "image_id": "0f78be54e86f166c02916599d9f3949baec837d94f8d256c34a921e63f6d97e8",
        "path": "2026-11-26-night/Parasitized/C39P4thinF_original_IMG_20150622_105253_cell_6.png",
        "label": "Parasitized",
        "patient": "C39",
        "captured_on": "2015-06-22",
        "batch": "2026-11-26-night",
        "split": "train",
        "status": "accepted",
    },
    {
        "image_id": "5a0b4c9de86f166c02916599d9f3949baec837d94f8d256c34a921e63f6d97e8",
        "path": "2026-11-27-night/Uninfected/x.png",
        "label": "Uninfected",
        "patient": "5a0b4c9de86f166c02916599d9f3949baec837d94f8d256c34a921e63f6d97e8",
        "captured_on": None,
        "batch": "2026-11-27-night",
        "split": None,
        "status": "held",
    },
]
LINEAGE = [
    {**IMAGES[0], "version": "1", "aliases": "", "label_now": "Uninfected"},
    {**IMAGES[0], "version": "12", "aliases": "champion,archive", "label_now": "Parasitized"},
    {**IMAGES[0], "version": "13", "aliases": "", "label_now": ""},
]
PROFILE = [
    {
        **dict.fromkeys(("queue", "start", "session", "load", "compute", "save"), seconds),
        **dict.fromkeys(("tracking", "other"), 0.02),
        "task": task,
        "state": state,
        "at": at,
        "total": 6 * seconds + 0.04,
    }
    for task, state, at, seconds in (
        ("plot_confident_mistakes", "success", 0.0, 0.31),
        ("train_network", "failed", 134.2, 97.4),
    )
]
REPORT = [
    {
        "at": "2026-11-27T02:15:02.004+00:00",
        "version": "2",
        "champion": "1",
        "gain": 0.016,
        "gain_low": 0.008,
        "gain_high": 0.024,
        "then": "promote",
        "now": "keep",
        "hindsight": "right",
        "later_gain": 0.019,
        "later_gain_low": 0.011,
        "later_gain_high": 0.028,
    }
]
NUMBERS = {
    **{
        f"limit_{name}": limit
        for name, limit in read_shipped("data_processing")["screening"].items()
    },
    "blank_share": 0.0,
    "look_distance": 3.14,
    "embedding_distance": 0.4,
    "strange_share": 0.4,
    "disagreement_share": 0.2,
    "usual_disagreement_share": 0.12,
    "contradiction_share": 0.004,
    "usual_contradiction_share": 0.01,
}
TABLES: dict[str, tuple[list[dict[str, Any]], Any]] = {
    "ledger": (ENTRIES, decisions.VIEW),
    "trend": (TREND, watch.TREND_VIEW),
    "batches": (BATCHES, batch.VIEW),
    "images": (IMAGES, view_images(STATUS)),
    "lineage-version": (LINEAGE[:1], view_images(SPLIT)),
    "lineage-image": (LINEAGE, [VERSION, *view_images(SPLIT)]),
    "profile": (PROFILE, watch.PROFILE_VIEW),
    "gate-report": (REPORT, policy.REPORT_VIEW),
    "review": (list(map(asdict, read_measures(NUMBERS))), batch.MEASURED),
}


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", TABLES)
def test_a_table_looks_as_it_did(name: str, width: int) -> None:
    text = io.StringIO()
    rows, view = TABLES[name]
    render_view(rows, view, Console(file=text, width=width, color_system=None))
    shown = "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"
    golden = GOLDEN / f"{name}-{width}.txt"
    if not golden.exists():
        golden.write_text(shown, encoding="utf-8")
        pytest.fail(f"{golden} was written: look at it")
    assert shown == golden.read_text(encoding="utf-8")
    assert max(map(len, shown.splitlines())) <= width
    assert "\x1b" not in shown


def print_table(
    monkeypatch: pytest.MonkeyPatch, *, terminal: bool, rows: list[dict[str, Any]], **options: Any
) -> None:
    monkeypatch.setattr(table, "is_terminal", lambda: terminal)
    monkeypatch.setenv("COLUMNS", "80")
    print_rows(rows, list(rows[0]) if rows else ["a"], view_all(["a"]), **options)


def test_it_is_csv_in_a_pipe_aligned_in_a_terminal_and_json_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"a": "x", "b": 1}]
    print_table(monkeypatch, terminal=False, rows=rows)
    assert capsys.readouterr().out == "a,b\nx,1\n"
    print_table(monkeypatch, terminal=True, rows=rows)
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == ["a", "──", "x"]
    for terminal in (True, False):
        print_table(monkeypatch, terminal=terminal, rows=rows, as_json=True)
        assert json.loads(capsys.readouterr().out) == rows


def test_an_empty_table_is_a_header_in_a_pipe_and_nothing_in_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    print_table(monkeypatch, terminal=False, rows=[])
    assert capsys.readouterr().out == "a\n"
    print_table(monkeypatch, terminal=True, rows=[])
    assert capsys.readouterr().out == ""


def test_of_a_long_table_a_terminal_shows_the_end_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"a": number} for number in range(MOST_ROWS + 1)]
    print_table(monkeypatch, terminal=True, rows=rows)
    shown = capsys.readouterr()
    assert [line.strip() for line in shown.out.splitlines()[2:]] == [
        str(row["a"]) for row in rows[1:]
    ]
    assert f"The last {MOST_ROWS} of {MOST_ROWS + 1} rows" in shown.err


def test_rows_are_the_csv_that_pandas_writes() -> None:
    rows = [
        {"text": 'a "quoted", text', "number": 0.1, "count": 3, "flag": True, "none": None},
        {"text": "two\nlines", "number": float("nan"), "count": 4, "flag": False, "none": "x"},
    ]
    assert render_csv(rows, list(rows[0])) == pd.DataFrame(rows).to_csv(index=False)


def test_no_cell_of_a_csv_is_a_formula() -> None:
    assert render_csv([{"a": "=cmd()"}], ["a"]) == "a\n'=cmd()\n"


def test_json_has_no_value_that_json_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"a": np.float64(0.5), "b": float("nan"), "c": np.int64(3), "d": Path("x"), "e": [1]}]
    print_rows(rows, ["a"], (), as_json=True)
    assert json.loads(capsys.readouterr().out) == [
        {"a": 0.5, "b": None, "c": 3, "d": "x", "e": [1]}
    ]


def test_digests_are_short_in_a_terminal_alone() -> None:
    (column,) = view_all(["image_id"])
    digest = "ab" * 32
    assert column.show({"image_id": digest}) == digest[:DIGITS]
    assert column.show({"image_id": "C39"}) == "C39"
    assert digest in render_csv([{"image_id": digest}], ["image_id"])


def test_a_terminal_is_told_from_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert not table.is_terminal()


def test_a_column_of_numbers_is_aligned_to_the_right() -> None:
    text = io.StringIO()
    view = [Column("number", lambda row: str(row["n"]), right=True)]
    render_view([{"n": 1}, {"n": 100}], view, Console(file=text, width=40, color_system=None))
    assert [line.rstrip() for line in text.getvalue().splitlines()[2:]] == ["     1", "   100"]
