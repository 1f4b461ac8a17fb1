"""The command that judges all stored comparisons again, under another policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import click
import pandas as pd
import yaml
from kedro.framework.context import KedroContext

from image_classification import figures, tracking
from image_classification.commands.console import (
    RUN_A_NIGHT,
    as_json_option,
    open_context,
    report_errors,
    say,
    show_table,
)
from image_classification.commands.decisions import read_entries
from image_classification.commands.hindsight import ADDED, add_hindsight, look_back, tell_hindsight
from image_classification.commands.table import Column, is_missing
from image_classification.configuration import names
from image_classification.configuration.parameters import check_parameters
from image_classification.configuration.path import nest_value
from image_classification.configuration.project import fill_in
from image_classification.errors import ConfigurationError, DataError
from image_classification.gate import judgement, verdict
from image_classification.gate.comparison import compare_predictions
from image_classification.gate.number import format_points
from image_classification.gate.prediction import PROBABILITY_PREFIX, read_predictions
from image_classification.tracking.kept import locate_artifact_path

JUDGED = ["at", "version", "champion", "gain", "gain_low", "gain_high", "then", "now", "reason"]
REPORTED = [*JUDGED, *ADDED]


def _show_points(row: Mapping[str, Any], *keys: str) -> str:
    gain, low, high = (row[key] for key in keys)
    if is_missing(gain):
        return ""
    interval = "" if is_missing(low) else f"\n{format_points(low)} to {format_points(high)}"
    return f"{format_points(gain)}{interval}"


def _name_versions(row: Mapping[str, Any]) -> str:
    return f"v{row['version']}" + (f"\nto v{row['champion']}" if row["champion"] else "")


REPORT_VIEW = (
    Column("decided on", lambda row: row["at"][:10]),
    Column("version", _name_versions, whole=False),
    Column("points", lambda row: _show_points(row, "gain", "gain_low", "gain_high"), right=True),
    Column("then", lambda row: row["then"]),
    Column("now", lambda row: row["now"]),
    Column("hindsight", lambda row: row["hindsight"] or "", whole=False),
    Column(
        "later points",
        lambda row: _show_points(row, "later_gain", "later_gain_low", "later_gain_high"),
        right=True,
        whole=False,
    ),
)
"""Columns of the report in a terminal."""

PREDICTIONS = (names.CHALLENGER_PREDICTIONS, names.CHAMPION_PREDICTIONS)
"""What a run has kept of both models, to be compared again."""


@click.command(name="gate-report")
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A YAML file like conf/base/parameters_promotion.yml; keys that it leaves out stay.",
)
@click.option("--set", "changes", multiple=True, help="One change: improvement.confidence=0.9")
@click.option("--to", type=click.Path(path_type=Path), help="A .parquet or .csv file.")
@click.option("--plot", type=click.Path(path_type=Path), help="A .png or .svg file.")
@click.option("--hindsight", is_flag=True, help="First look back on every decision; may take long.")
@as_json_option
@report_errors
def gate_report(
    policy_file: Path | None,
    changes: tuple[str, ...],
    to: Path | None,
    plot: Path | None,
    hindsight: bool,
    as_json: bool,
) -> None:
    """Judge all stored comparisons again, under another policy, and tell what later images say.

    Nothing is moved. The facts (what each model was trained on, what the package costs) are those
    of the time; the predictions are read from MLflow.

    The last columns, and the sentences below the table, are hindsight: each decision judged again
    by images that came after it and that neither model was trained on, as the nights have found it.
    With --hindsight, images that the versions have not answered yet are scored first.
    """
    if hindsight:
        look_back()
    context = open_context()
    policy = _read_policy(context, policy_file, changes)
    rows = add_hindsight(context, list(_judge_again(context, policy)))
    report = pd.DataFrame(rows, columns=REPORTED)
    if report.empty:
        say(f"No comparison yet: one needs a champion. {RUN_A_NIGHT}", err=True)
    show_table(report, REPORTED, to, REPORT_VIEW, as_json=as_json)
    then, now = (int((report[name] == verdict.PROMOTE).sum()) for name in ("then", "now"))
    say(
        f"{len(report)} comparisons: {then} to be promoted by the policies of their time, {now} by "
        "this one.",
        err=True,
    )
    for sentence in tell_hindsight(context):
        say(sentence, err=True)
    if plot:
        figures.plot_gate_report(report).savefig(plot, dpi=120)
        say(f"Plot: {plot}", err=True)


def _read_policy(context: KedroContext, policy_file: Path | None, changes: tuple[str, ...]) -> Any:
    """Return the policy in force, with a file and then single changes laid over it.

    Raises:
        ConfigurationError: a key is unknown, or a value is not allowed.
    """
    parameters: dict[str, Any] = dict(context.params)
    policy = parameters["promotion"]
    if policy_file:
        # A copy of conf/base/parameters_promotion.yml takes from the project file, as that does.
        project = context.config_loader.project  # type: ignore[attr-defined]
        policy = _merge(policy, fill_in(_read_policy_file(policy_file), project))
    for change in changes:
        path, equals, value = change.partition("=")
        if not equals:
            raise ConfigurationError(f"--set: allowed is key.key=value. Received: '{change}'.")
        path = path.strip().removeprefix("promotion.")
        policy = _merge(policy, nest_value(path, yaml.safe_load(value)))
    check_parameters({**parameters, "promotion": policy})
    return policy


def _read_policy_file(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise ConfigurationError(f"'{path}' is not YAML: {error}") from None
    policy = content.get("promotion", content) if isinstance(content, dict) else content
    if not isinstance(policy, dict):
        raise ConfigurationError(
            f"'{path}': allowed are the keys of 'promotion', as in "
            f"conf/base/parameters_promotion.yml. Received: {policy!r}."
        )
    return policy


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        known = merged.get(key)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            merged[key] = _merge(known, value)
        else:
            merged[key] = value
    return merged


def _judge_again(context: KedroContext, policy: Any) -> Iterator[dict[str, Any]]:
    """Yield a row of the report for each run that compared two models, oldest first."""
    catalog = context.config_loader["catalog"]
    paths = [locate_artifact_path(catalog, name) for name in PREDICTIONS]
    positive_class = context.params["positive_class"]
    seen: set[str] = set()
    for entry in read_entries(context):
        run_id, decision = entry["mlflow_run_id"], entry["decision"]
        if decision is None or run_id in seen:
            continue
        seen.add(run_id)
        try:
            tables = [_read_stored(run_id, path) for path in paths]
        except DataError as error:
            say(f"Left out: {error}", err=True)
            continue
        again = _judge_stored(tables, decision, positive_class, policy)
        champion, tests = again["champion"], again["tests"] or {}
        yield {
            "run_id": run_id,
            "at": entry["at"],
            "version": entry["version"],
            "champion": champion["version"] if champion else None,
            "gain": tests.get("gain"),
            "gain_low": tests.get("low"),
            "gain_high": tests.get("high"),
            "then": decision["verdict"],
            "now": again["verdict"],
            "reason": again["reason"],
        }


def _read_stored(run_id: str, path: str) -> pd.DataFrame:
    """Return predictions that a run has kept in MLflow.

    Raises:
        DataError: they are not there any more.
    """
    content = tracking.read_artifact(run_id, path)
    if content is None:
        raise DataError(f"MLflow run {run_id} keeps no {path}.")
    return read_predictions(BytesIO(content))


def _judge_stored(
    tables: Sequence[pd.DataFrame],
    decision: Mapping[str, Any],
    positive_class: str | None,
    policy: Any,
) -> dict[str, Any]:
    """Judge the predictions of challenger and champion; the facts are those of the decision."""
    challenger, champion = tables
    columns = map(str, challenger)
    class_names = [
        column.removeprefix(PROBABILITY_PREFIX)
        for column in columns
        if column.startswith(PROBABILITY_PREFIX)
    ]
    comparison = compare_predictions(
        challenger,
        champion,
        class_names,
        positive_class,
        policy,
        champion_fault=decision["champion_fault"],
    )
    return judgement.judge(comparison, decision["facts"], policy)
