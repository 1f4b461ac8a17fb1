"""Commands about the champion: what was decided, why, and back to an earlier version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from kedro.framework.context import KedroContext

from image_classification.champion import ledger, registry
from image_classification.champion.card import render_decision
from image_classification.champion.pseudonym import PREFIX, reveal_patients
from image_classification.champion.release import Release
from image_classification.champion.statement import DecisionRun, name_user
from image_classification.commands.console import (
    load_entry,
    open_context,
    open_dataset,
    report_errors,
    run_pipeline,
    say,
    show_table,
)
from image_classification.configuration import names
from image_classification.errors import RegistryError

SHOWN = ["at", "event", "version", "champion_before", "champion_after", "by", "reason"]


@click.command(name="ledger")
@click.option("--version", help="Only the decisions that concern this version.")
@click.option("--to", type=click.Path(path_type=Path), help="A .parquet or .csv file.")
@click.option("--verify", is_flag=True, help="Prove that nothing was changed; exit code 1 if not.")
@click.option("--accept", metavar="REASON", help="Write down that what disagrees is accepted.")
@report_errors
def show_ledger(version: str | None, to: Path | None, verify: bool, accept: str | None) -> None:
    """Print every decision about the champion: what, when, by whom, why; --to exports all of it.

    --verify compares the entries with one another, with the copies that MLflow keeps, and with the
    alias, and names what was edited, removed, added or moved by hand. Until a person has mended
    that, or has looked at it and accepts it with a reason, no night promotes.
    """
    context = open_context()
    release = open_release(context)
    look(release)
    if accept:
        for said in release.accept(accept):
            say(f"Accepted: {said}")
    if verify or accept:
        verify_ledger(release)
        return
    entries = read_entries(context)
    if version:
        entries = ledger.select_version(entries, version.removeprefix("v"))
    show_table(ledger.tabulate_entries(entries), SHOWN, to)


@click.command()
@click.argument("version")
@report_errors
def explain(version: str) -> None:
    """Tell why VERSION is champion, was, or is not: every rule, number and name."""
    context = open_context()
    look(open_release(context))
    version = version.removeprefix("v")
    model_name = context.params["registered_model_name"]
    entries = ledger.select_version(read_entries(context), version)
    try:
        found = registry.get_version(model_name, version)
    except RegistryError:
        if not entries:
            raise
        say(f"# {model_name}, version {version} (deleted in MLflow)\n")
    else:
        aliases = ", ".join(found.aliases) or "no alias"
        say(f"# {model_name}, version {version} ({aliases})\n")
        if not entries:
            say(found.description or "Nothing was decided about it yet.")
    for entry in entries:
        say(f"## {entry['at'][:19].replace('T', ' ')} UTC: {_title(entry)}\n")
        say(f"{_reveal(context, entry['reason'])}\n")
        if entry["version"] == version and entry["decision"]:
            say(f"{_reveal(context, _render(entry['decision']))}\n")
        say(_trace(entry))


@click.command()
@click.argument("version", default="previous")
@click.option("--reason", required=True, help="Why; kept in the ledger for ever.")
@click.option("--by", default="", help="A name to be kept beside your user name.")
@report_errors
def rollback(version: str, reason: str, by: str) -> None:
    """Make VERSION, or the champion before the present one, champion again.

    The move is verified and recorded as a promotion is, and the next night compares with it.
    """
    asked = {"version": version, "reason": reason, "by": by}
    plan = run_pipeline("rollback", rollback=asked).catalog.load(names.ROLLBACK_PLAN)
    before = f"version {plan['from']}" if plan["from"] else "none"
    say(f"Champion: version {plan['to']}, before {before}.")


def open_release(context: KedroContext) -> Release:
    """Return what looks at the ledger, and ends what a run has left half done."""
    return Release(
        context.params["registered_model_name"],
        open_dataset(context, names.LEDGER),
        context.params["promotion"],
        DecisionRun("", identity=name_user()),
    )


def look(release: Release) -> None:
    """End what a run has left half done; tell what was done."""
    try:
        for done in release.look():
            say(done, err=True)
    except RegistryError as error:
        say(f"What a run has left half done stays so: {error}", err=True)


def verify_ledger(release: Release) -> None:
    """Tell how the ledger agrees with itself and with MLflow.

    Raises:
        click.exceptions.Exit: it does not.
    """
    found = release.audit(thorough=True)
    say(f"The ledger ends at entry {release.read_head()}")
    for said in (*found.accepted, *found.notes, *found.strangers):
        say(f"- {said}")
    if not found.disagreements:
        say("It agrees with itself, with the copies in MLflow, and with the alias.")
        return
    for said in found.disagreements:
        say(f"- WRONG: {said}")
    say(
        "Put back what was changed, from a backup or from the copies in MLflow, or accept it: "
        "`image-classification ledger --accept REASON`."
    )
    raise click.exceptions.Exit(1)


def read_entries(context: KedroContext) -> list[ledger.Entry]:
    """Return the ledger of the registered model, in the order of time."""
    model_name = context.params["registered_model_name"]
    entries = load_entry(context, names.LEDGER).values()
    return ledger.sort_entries(entry for entry in entries if entry["model"] == model_name)


def _title(entry: ledger.Entry) -> str:
    comment = f" ({entry['comment']})" if entry["comment"] else ""
    champion = f"champion then: {entry['champion_after'] or 'none'}"
    typed = f" (typed: {entry['typed']})" if entry["typed"] else ""
    return f"{ledger.name_event(entry)}, by {entry['by']}{typed}{comment}; {champion}"


def _render(decision: Mapping[str, Any]) -> str:
    try:
        return render_decision(decision)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        return f"The decision of this entry cannot be shown: it is damaged ({error!r})."


def _reveal(context: KedroContext, text: str) -> str:
    """Return a text with the names of the patients that the index still knows."""
    if PREFIX not in text:
        return text
    index = load_entry(context, names.IMAGE_INDEX)
    key = open_dataset(context, names.LEDGER).read_key()
    return reveal_patients(text, index["patient"].dropna().astype(str).unique(), key)


def _trace(entry: ledger.Entry) -> str:
    lines = {
        "Code": entry["git_commit"],
        "Airflow": entry["airflow_url"],
        "MLflow": entry["mlflow_url"],
        **{name.replace("_", " "): value for name, value in entry["data"].items()},
    }
    return "".join(f"{name}: {value}\n" for name, value in lines.items() if value)
