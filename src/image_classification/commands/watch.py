"""Commands about how well the champion does, and where the time of a run goes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from image_classification import words
from image_classification.commands.console import (
    RUN_A_NIGHT,
    as_json_option,
    load_entry,
    open_context,
    report_errors,
    say,
    show_table,
)
from image_classification.commands.lookup import Lookup
from image_classification.commands.table import Column, is_missing, print_rows, show_share
from image_classification.configuration import names
from image_classification.errors import DataError
from image_classification.gate.night import NUMBERS, TREND_COLUMNS, locate_nights

TREND_SHOWN = TREND_COLUMNS[: TREND_COLUMNS.index("alert") + 1]
"""Columns of the trend as CSV."""


def _show_days(row: Mapping[str, Any]) -> str:
    first, last = row["days_from"] or "", row["days_to"] or ""
    return first if first == last else f"{first}\nto {last}"


def _show_accuracy(row: Mapping[str, Any]) -> str:
    low, high = show_share(row["low"]), show_share(row["high"])
    return show_share(row["accuracy"]) + (f"\n{low} to {high}" if low and high else "")


TREND_VIEW = (
    Column("night", lambda row: row["recorded_at"][:10]),
    Column("model", lambda row: f"v{row['model_version']}"),
    Column("newest days", _show_days),
    Column(
        "images", lambda row: f"{row['images']}\n{words.current().count_groups(row['patients'])}"
    ),
    Column("accuracy", _show_accuracy),
    Column("promoted with", lambda row: show_share(row["reference"]), whole=False, widest=8),
    Column("", lambda row: "ALERT" if row["alert"] else ""),
)
"""Columns of the trend in a terminal."""


@click.command()
@click.option("--to", type=click.Path(path_type=Path), help="A .parquet or .csv file.")
@as_json_option
@report_errors
def trend(to: Path | None, as_json: bool) -> None:
    """List how well the champion did on the newest labelled days, night after night."""
    if to is not None:
        from image_classification.gate.trend import settle_trend

        table = settle_trend(load_entry(open_context(), names.CHAMPION_TREND))
        show_table(table.round(dict.fromkeys(NUMBERS, 4)), TREND_SHOWN, to)
        return
    found = Lookup().read_columns(names.CHAMPION_TREND, TREND_COLUMNS)
    rows = [dict(zip(TREND_COLUMNS, values, strict=True)) for values in found]
    keys = ("recorded_at", "model_version", "images_digest")
    rows = [rows[at] for at in locate_nights(tuple(row[key] for key in keys) for row in rows)]
    if not rows:
        say(f"The champion was not watched yet. {RUN_A_NIGHT}", err=True)
    print_rows([_round(row) for row in rows], TREND_SHOWN, TREND_VIEW, as_json=as_json)


def _round(row: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {name: row[name] for name in NUMBERS if not is_missing(row[name])}
    return {**row, **{name: round(value, 4) for name, value in numbers.items()}}


def _show_task(row: Mapping[str, Any]) -> str:
    state = row["state"]
    return f"{row['task']}" + ("" if state in ("success", "") else f"\n{state}")


def _show_seconds(title: str, *names: str) -> Column:
    return Column(title, lambda row: f"{sum(row[name] for name in names):.1f}", right=True)


PROFILE_VIEW = (
    Column("task", _show_task, whole=False),
    _show_seconds("at", "at"),
    _show_seconds("queue", "queue"),
    _show_seconds("start", "start", "session"),
    _show_seconds("load", "load"),
    _show_seconds("compute", "compute"),
    _show_seconds("save", "save"),
    _show_seconds("other", "tracking", "other"),
    _show_seconds("total", "total"),
)
"""Columns of a profile in a terminal, in seconds; CSV and JSON tell each of them apart."""


@click.command(name="profile")
@click.argument("run", required=False)
@click.option("--to", type=click.Path(path_type=Path), help="A .png with a bar per task.")
@as_json_option
@report_errors
def show_profile(run: str | None, to: Path | None, as_json: bool) -> None:
    """List where each second of RUN went: waiting, starting, loading, computing, saving.

    RUN is <dag>/<DAG run> or the id of an MLflow run; without it, the newest retraining is taken.
    """
    from image_classification import figures, tracking
    from image_classification.tracking import timing

    if to is not None and to.suffix != ".png":
        raise DataError(f"'{to}' ends in '{to.suffix}': .png is allowed.")
    context = open_context()
    experiment = context.mlflow.tracking.experiment.name  # type: ignore[attr-defined]
    run_id, name = tracking.select_run(experiment, run, "retraining")
    table = timing.tabulate_profile(tracking.read_profile(run_id))
    columns = list(table.columns)
    show_table(table.round(2), columns, None, PROFILE_VIEW, as_json=as_json)
    if to is not None:
        figures.plot_profile(table, name).savefig(to, dpi=90)
