"""Commands about the champion: what was decided, why, and back to an earlier version."""

from __future__ import annotations

import getpass
from pathlib import Path

import click
from kedro.framework.context import KedroContext

from image_classification.champion import ledger, registry
from image_classification.champion.card import render_decision
from image_classification.commands.console import (
    load_entry,
    open_context,
    report_errors,
    run_pipeline,
    say,
    show_table,
)
from image_classification.configuration import names

SHOWN = ["at", "event", "version", "champion_before", "champion_after", "by", "reason"]


@click.command(name="ledger")
@click.option("--version", help="Only the decisions that concern this version.")
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
    """Tell why VERSION is champion, was, or is not: every rule, number and name."""
    context = open_context()
    version = version.removeprefix("v")
    model_name = context.params["registered_model_name"]
    found = registry.get_version(model_name, version)
    aliases = ", ".join(found.aliases) or "no alias"
    say(f"# {model_name}, version {version} ({aliases})\n")
    entries = ledger.select_version(read_entries(context), version)
    if not entries:
        say(found.description or "Nothing was decided about it yet.")
    for entry in entries:
        say(f"## {entry['at'][:19].replace('T', ' ')} UTC: {_title(entry)}\n")
        say(f"{entry['reason']}\n")
        if entry["version"] == version and entry["decision"]:
            say(f"{render_decision(entry['decision'])}\n")
        say(_trace(entry))


@click.command()
@click.argument("version", default="previous")
@click.option("--reason", required=True, help="Why; kept in the ledger for ever.")
@click.option("--by", default=getpass.getuser, show_default="your user name", help="Who asks.")
@report_errors
def rollback(version: str, reason: str, by: str) -> None:
    """Make VERSION, or the champion before the present one, champion again.

    The move is verified and recorded as a promotion is, and the next night compares with it.
    """
    asked = {"version": version, "reason": reason, "by": by}
    plan = run_pipeline("rollback", rollback=asked).catalog.load(names.ROLLBACK_PLAN)
    say(f"Champion: version {plan['to']}, before version {plan['from']}.")


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
