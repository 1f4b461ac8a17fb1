"""Commands about the champion: what was decided, why, and back to an earlier version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from image_classification.champion import ledger
from image_classification.champion.pseudonym import PREFIX, reveal_patients
from image_classification.commands.completion import complete_version
from image_classification.commands.console import (
    RUN_A_NIGHT,
    as_json_option,
    load_entry,
    open_context,
    report_errors,
    run_pipeline,
    say,
    show_table,
)
from image_classification.commands.lookup import Lookup
from image_classification.commands.table import Column, print_json, print_rows, show_time
from image_classification.configuration import names
from image_classification.errors import RegistryError

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext


SHOWN = ["at", "event", "version", "champion_before", "champion_after", "by", "reason"]
"""Columns of the ledger as CSV."""


def _name_champion(row: Mapping[str, Any]) -> str:
    before, after = row["champion_before"], row["champion_after"]
    named = f"v{after}" if after else "none"
    return named if before == after else f"{f'v{before}' if before else 'none'} → {named}"


VIEW = (
    Column("when (UTC)", lambda row: show_time(row["at"])),
    Column("decision", lambda row: f"{ledger.name_event(row)}\n{row['reason']}", whole=False),
    Column("champion", _name_champion),
    Column("by", lambda row: row["by"], whole=False, widest=14),
)
"""Columns of the ledger in a terminal."""


@click.command(name="ledger")
@click.option(
    "--version",
    shell_complete=complete_version,
    help="Only the decisions that concern this version.",
)
@click.option("--to", type=click.Path(path_type=Path), help="A .parquet or .csv file.")
@click.option("--verify", is_flag=True, help="Prove that nothing was changed; exit code 1 if not.")
@click.option("--accept", metavar="REASON", help="Write down that what disagrees is accepted.")
@as_json_option
@report_errors
def show_ledger(
    version: str | None, to: Path | None, verify: bool, accept: str | None, as_json: bool
) -> None:
    """Print every decision about the champion: what, when, by whom, why; --to exports all of it.

    --verify compares the entries with one another, with the copies that MLflow keeps, and with the
    alias, and names what was edited, removed, added or moved by hand. Until a person has mended
    that, or has looked at it and accepts it with a reason, no night promotes.
    """
    if verify or accept:
        _verify(accept)
        return
    entries = Lookup().read_entries()
    if version:
        entries = ledger.select_version(entries, version.removeprefix("v"))
    if not entries:
        about = f" about version {version}" if version else ""
        say(f"No decision{about} yet. {RUN_A_NIGHT}", err=True)
    if to is not None:
        show_table(ledger.tabulate_entries(entries), SHOWN, to)
    else:
        print_rows(ledger.list_rows(entries), SHOWN, VIEW, as_json=as_json)


@click.command()
@click.argument("version", shell_complete=complete_version)
@as_json_option
@report_errors
def explain(version: str, as_json: bool) -> None:
    """Tell why VERSION is champion, was, or is not: every rule, number and name."""
    lookup, version = Lookup(), version.removeprefix("v")
    entries = ledger.select_version(lookup.read_entries(), version)
    standing, description = _find_standing(lookup, version, known=bool(entries))
    if as_json:
        print_json({"version": version, "standing": standing, "entries": entries})
        return
    say(f"# {lookup.model_name}, version {version} ({standing})\n")
    if not entries:
        say(description or "Nothing was decided about it yet.")
    for entry in entries:
        say(f"## {entry['at'][:19].replace('T', ' ')} UTC: {_title(entry)}\n")
        say(f"{_reveal(lookup, entry['reason'])}\n")
        if entry["version"] == version and entry["decision"]:
            say(f"{_reveal(lookup, _render(entry['decision']))}\n")
        say(_trace(entry))


def _find_standing(lookup: Lookup, version: str, *, known: bool) -> tuple[str, str]:
    """Return the aliases of a version, or that it was deleted, and its description in MLflow.

    Args:
        lookup: the storage.
        version: a version.
        known: whether the ledger has entries about it.

    Raises:
        RegistryError: there is no such version, and was none.
    """
    registered = lookup.ask_registry(version)
    if registered is not None and version in registered.versions:
        aliases = [name for name, to in registered.aliases.items() if to == version]
        return ", ".join(sorted(aliases)) or "no alias", registered.versions[version]
    if registered is not None and known:
        return "deleted in MLflow", ""
    from image_classification.champion import registry

    open_context()
    try:
        found = registry.get_version(lookup.model_name, version)
    except RegistryError:
        if not known:
            raise
        return "deleted in MLflow", ""
    return ", ".join(found.aliases) or "no alias", found.description or ""


@click.command()
@click.argument("version", default="previous", shell_complete=complete_version)
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


def _verify(accept: str | None) -> None:
    """Tell how the ledger agrees with itself and with MLflow.

    Args:
        accept: why what disagrees is accepted; None or "" where it is not.

    Raises:
        click.exceptions.Exit: it does not agree.
    """
    from image_classification.commands.settling import look, open_release

    release = open_release(open_context())
    look(release)
    if accept:
        for said in release.accept(accept):
            say(f"Accepted: {said}")
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
    from image_classification.champion.card import render_decision

    try:
        return render_decision(decision)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        return f"The decision of this entry cannot be shown: it is damaged ({error!r})."


def _reveal(lookup: Lookup, text: str) -> str:
    """Return a text with the names of the patients that the index still knows."""
    if PREFIX not in text:
        return text
    return reveal_patients(text, lookup.patients, lookup.ledger.read_key())


def _trace(entry: ledger.Entry) -> str:
    lines = {
        "Code": entry["git_commit"],
        "Airflow": entry["airflow_url"],
        "MLflow": entry["mlflow_url"],
        **{name.replace("_", " "): value for name, value in entry["data"].items()},
    }
    return "".join(f"{name}: {value}\n" for name, value in lines.items() if value)
