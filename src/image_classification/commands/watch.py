"""Commands about how well the champion does, and where the time of a run goes."""

from __future__ import annotations

from pathlib import Path

import click

from image_classification import figures, tracking
from image_classification.commands.console import (
    load_entry,
    open_context,
    report_errors,
    show_table,
)
from image_classification.configuration import names
from image_classification.errors import DataError
from image_classification.gate import trend as trends
from image_classification.tracking import timing

TREND_SHOWN = [
    "recorded_at",
    "model_version",
    "days_from",
    "days_to",
    "images",
    "patients",
    "accuracy",
    "low",
    "high",
    "reference",
    "alert",
]


@click.command()
@click.option("--to", type=click.Path(path_type=Path), help="A .parquet or .csv file.")
@report_errors
def trend(to: Path | None) -> None:
    """List how well the champion did on the newest labelled days, night after night."""
    table = trends.settle_trend(load_entry(open_context(), names.CHAMPION_TREND))
    show_table(table.round(dict.fromkeys(trends.NUMBERS, 4)), TREND_SHOWN, to)


@click.command(name="profile")
@click.argument("run", required=False)
@click.option("--to", type=click.Path(path_type=Path), help="A .png with a bar per task.")
@report_errors
def show_profile(run: str | None, to: Path | None) -> None:
    """List where each second of RUN went: waiting, starting, loading, computing, saving.

    RUN is <dag>/<DAG run> or the id of an MLflow run; without it, the newest retraining is taken.
    """
    if to is not None and to.suffix != ".png":
        raise DataError(f"'{to}' ends in '{to.suffix}': .png is allowed.")
    context = open_context()
    experiment = context.mlflow.tracking.experiment.name  # type: ignore[attr-defined]
    run_id, name = tracking.select_run(experiment, run, "retraining")
    table = timing.tabulate_profile(tracking.read_profile(run_id))
    show_table(table.round(2), list(table.columns), None)
    if to is not None:
        figures.plot_profile(table, name).savefig(to, dpi=90)
