"""Commands about the champion: what was decided and why, under another policy, and back again."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import click
import pandas as pd
import yaml
from kedro.framework.context import KedroContext

from image_classification import figures, tracking
from image_classification.champion import ledger, registry
from image_classification.champion.card import render_decision
from image_classification.commands.console import (
    load_entry,
    open_context,
    report_errors,
    run_pipeline,
    show_table,
)
from image_classification.configuration import names
from image_classification.configuration.parameters import check_parameters
from image_classification.errors import ConfigurationError, DataError
from image_classification.gate import judgement, verdict
from image_classification.gate.comparison import compare_predictions
from image_classification.gate.prediction import PROBABILITY_PREFIX, read_predictions

SHOWN = ["at", "event", "version", "champion_before", "champion_after", "by", "reason"]
REPORTED = ["at", "version", "champion", "gain", "gain_low", "gain_high", "then", "now", "reason"]


@click.command(name="ledger")
@click.option("--version", help="Only what speaks of this version.")
@click.option("--to", type=click.Path(path_type=Path), help="A .parquet or .csv file.")
@report_errors
def show_ledger(version: str | None, to: Path | None) -> None:
    """Print every decision about the champion: what, when, by whom, why; --to exports all of it."""
    entries = read_entries(open_context())
    if version:
        entries = ledger.select_version(entries, version.removeprefix("v"))
    show_table(ledger.tabulate_entries(entries), SHOWN, to)


@click.command()
@click.argument("version")
@report_errors
def explain(version: str) -> None:
    """Tell why VERSION is, was, or is not champion: every rule, number and name."""
    context = open_context()
    version = version.removeprefix("v")
    model_name = context.params["registered_model_name"]
    found = registry.get_version(model_name, version)
    aliases = ", ".join(found.aliases) or "no alias"
    click.echo(f"# {model_name}, version {version} ({aliases})\n")
    entries = ledger.select_version(read_entries(context), version)
    if not entries:
        click.echo(found.description or "Nothing was decided about it yet.")
    for entry in entries:
        click.echo(f"## {entry['at'][:19].replace('T', ' ')} UTC: {_title(entry)}\n")
        click.echo(f"{entry['reason']}\n")
        if entry["version"] == version and entry["decision"]:
            click.echo(f"{render_decision(entry['decision'])}\n")
        click.echo(_trace(entry))


@click.command()
@click.argument("version", default="previous")
@click.option("--reason", required=True, help="Why; kept in the ledger for ever.")
@click.option("--by", default=getpass.getuser, show_default="your user name", help="Who asks.")
@report_errors
def rollback(version: str, reason: str, by: str) -> None:
    """Make VERSION, or the champion before the present one, champion again.

    Verified and recorded as a promotion is; the next night compares with it.
    """
    asked = {"version": version, "reason": reason, "by": by}
    plan = run_pipeline("rollback", rollback=asked).catalog.load(names.ROLLBACK_PLAN)
    click.echo(f"Champion: version {plan['to']}, before version {plan['from']}.")


@click.command(name="gate-report")
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A YAML file like conf/base/parameters_promotion.yml; what it leaves out stays.",
)
@click.option("--set", "changes", multiple=True, help="One change: improvement.confidence=0.9")
@click.option("--to", type=click.Path(path_type=Path), help="A .parquet or .csv file.")
@click.option("--plot", type=click.Path(path_type=Path), help="A .png or .svg file.")
@report_errors
def gate_report(
    policy_file: Path | None, changes: tuple[str, ...], to: Path | None, plot: Path | None
) -> None:
    """Judge all stored comparisons again, under another policy.

    Nothing is moved or recorded. The facts (who was trained on what, what the package costs) are
    those of the time; the predictions are read from MLflow.
    """
    context = open_context()
    policy = _read_policy(context, policy_file, changes)
    rows = list(_judge_again(context, policy))
    report = pd.DataFrame(rows, columns=REPORTED)
    show_table(report, REPORTED, to)
    then, now = (int((report[name] == verdict.PROMOTE).sum()) for name in ("then", "now"))
    click.echo(
        f"{len(report)} comparisons: {then} to be promoted by the policies of their time, {now} by "
        "this one.",
        err=True,
    )
    if plot:
        figures.plot_gate_report(report).savefig(plot, dpi=120)
        click.echo(f"Plot: {plot}", err=True)


def read_entries(context: KedroContext) -> list[ledger.Entry]:
    """Return the ledger of the registered model, in the order of time."""
    model_name = context.params["registered_model_name"]
    entries = load_entry(context, names.LEDGER).values()
    return ledger.sort_entries(entry for entry in entries if entry["model"] == model_name)


def _title(entry: ledger.Entry) -> str:
    comment = f" ({entry['comment']})" if entry["comment"] else ""
    champion = f"champion then: {entry['champion_after'] or 'none'}"
    return f"{ledger.name_event(entry)}, by {entry['by']}{comment}; {champion}"


def _trace(entry: ledger.Entry) -> str:
    lines = {
        "Code": entry["git_commit"],
        "Airflow": entry["airflow_url"],
        "MLflow": entry["mlflow_url"],
        **{name.replace("_", " "): value for name, value in entry["data"].items()},
    }
    return "".join(f"{name}: {value}\n" for name, value in lines.items() if value)


def _read_policy(context: KedroContext, policy_file: Path | None, changes: tuple[str, ...]) -> Any:
    """Return the policy in force with a file and single changes laid over it.

    Raises:
        ConfigurationError: a key is unknown, or a value is not allowed.
    """
    parameters: dict[str, Any] = dict(context.params)
    policy = parameters["promotion"]
    if policy_file:
        policy = _merge(policy, _read_policy_file(policy_file))
    for change in changes:
        path, equals, value = change.partition("=")
        if not equals:
            raise ConfigurationError(f"--set: allowed is key.key=value. Received: '{change}'.")
        nested: Any = yaml.safe_load(value)
        for key in reversed(path.strip().removeprefix("promotion.").split(".")):
            nested = {key: nested}
        policy = _merge(policy, nested)
    check_parameters({**parameters, "promotion": policy})
    return policy


def _read_policy_file(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise ConfigurationError(f"'{path}' is no YAML: {error}") from None
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
    positive_class = context.params["positive_class"]
    seen: set[str] = set()
    for entry in read_entries(context):
        run_id, decision = entry["mlflow_run_id"], entry["decision"]
        if decision is None or run_id in seen:
            continue
        seen.add(run_id)
        try:
            again = _judge_stored(run_id, decision, positive_class, policy)
        except DataError as error:
            click.echo(f"Left out: {error}", err=True)
            continue
        champion, tests = again["champion"], again["tests"] or {}
        yield {
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


def _judge_stored(
    run_id: str, decision: Mapping[str, Any], positive_class: str, policy: Any
) -> dict[str, Any]:
    """Judge the predictions that a run has kept.

    Raises:
        DataError: they are not there any more.
    """
    tables = []
    for role in ("challenger", "champion"):
        content = tracking.read_artifact(run_id, f"promotion/{role}_predictions.csv")
        if content is None:
            raise DataError(f"MLflow run {run_id} keeps no promotion/{role}_predictions.csv.")
        tables.append(read_predictions(BytesIO(content)))
    columns = (str(name) for name in tables[0])
    class_names = [
        name.removeprefix(PROBABILITY_PREFIX)
        for name in columns
        if name.startswith(PROBABILITY_PREFIX)
    ]
    comparison = compare_predictions(
        tables[0],
        tables[1],
        class_names,
        positive_class,
        policy,
        champion_fault=decision["champion_fault"],
    )
    return judgement.judge(comparison, decision["facts"], policy)
