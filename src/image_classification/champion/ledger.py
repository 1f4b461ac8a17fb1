"""The ledger: every decision about the champion, for ever, and what follows from all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from image_classification.gate.verdict import EVENTS, MOVES, PROMOTED, ROLLED_BACK

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = [
    "at",
    "event",
    "version",
    "champion_before",
    "champion_after",
    "by",
    "typed",
    "comment",
    "mode",
    "reason",
    "gain",
    "gain_low",
    "gain_high",
    "p_value",
    "validation_images",
    "validation_patients",
    "challenger_accuracy",
    "champion_accuracy",
    "data_digest",
    "validation_digest",
    "git_commit",
    "airflow_run",
    "airflow_url",
    "mlflow_run_id",
    "model",
    "number",
    "digest",
]

Entry = Mapping[str, Any]


def name_event(entry: Entry) -> str:
    """Return in a few words what was decided about which version."""
    return EVENTS[entry["event"]].title.format(version=entry["version"])


def sort_entries(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries, oldest first: by number, and by time where they have none."""
    return sorted(entries, key=lambda entry: (entry.get("number", 0), str(entry["at"])))


def find_champion(entries: Iterable[Entry]) -> str | None:
    """Return the version that is champion by the last move in the ledger, or None."""
    moves = [entry for entry in sort_entries(entries) if entry["event"] in MOVES]
    return moves[-1]["champion_after"] if moves else None


def trace_champions(entries: Iterable[Entry], present: str | None = None) -> list[str]:
    """Return the champions that led to the present one, oldest first, the present one last.

    A promotion adds a version. If a former champion becomes champion again, by a rollback or by
    hand, the history is again as it was when that version was champion. A rollback to a version
    that was never champion puts it in the place of the one that is rolled back. Any other version
    that turns up as champion was made so by hand, and is added.

    Args:
        entries: all entries of the ledger; even those that moved nothing say who was champion then.
        present: the present champion, if it is known.
    """
    champions: list[str] = []
    stood: dict[str, list[str]] = {}
    for event, version in _list_sightings(entries, present):
        if champions and champions[-1] == version:
            continue
        if event != PROMOTED and version in stood:
            champions = stood[version]
        else:
            kept = champions[:-1] if event == ROLLED_BACK else champions
            champions = [*kept, version]
        stood[version] = champions
    return champions


def _list_sightings(entries: Iterable[Entry], present: str | None) -> Iterator[tuple[str, str]]:
    """List the champions that the entries name, oldest first, each with the move to it, or ""."""
    for entry in sort_entries(entries):
        if entry["champion_before"]:
            yield "", entry["champion_before"]
        if entry["event"] in MOVES:
            yield entry["event"], entry["champion_after"]
    if present:
        yield "", present


def find_previous(entries: Iterable[Entry], champion: str) -> str | None:
    """Return the version that was champion before the present one, or None.

    Args:
        entries: all entries of the ledger.
        champion: the present champion; somebody may have set it by hand, without an entry.
    """
    before = trace_champions(entries, champion)[:-1]
    return before[-1] if before else None


def find_rollback(entries: Iterable[Entry], version: str) -> str:
    """Return who rolled a version back, when and why; "" if nobody did, or it was put back."""
    found = ""
    for entry in sort_entries(entries):
        if entry["event"] != ROLLED_BACK:
            continue
        if entry["champion_before"] == version:
            found = f"by {entry['by']} on {entry['at'][:10]}, {entry['comment']}"
        elif entry["champion_after"] == version:
            found = ""
    return found


def select_version(entries: Iterable[Entry], version: str) -> list[Entry]:
    """Return the entries about a version, oldest first: as challenger, and as champion that moved.

    Entries about challengers that it was compared with, and that did not replace it, are left out.
    """
    return [
        entry
        for entry in sort_entries(entries)
        if version == entry["version"]
        or (
            entry["event"] in MOVES
            and version in (entry["champion_before"], entry["champion_after"])
        )
    ]


def tabulate_entries(entries: Iterable[Entry]) -> pd.DataFrame:
    """Return the ledger as a table, a row per decision, in the order of time.

    Columns: `COLUMNS`, then each measure of `measure.MEASURES` that is not among them, of
    challenger and champion.
    """
    import pandas as pd  # noqa: PLC0415

    from image_classification.gate.measure import MEASURES  # noqa: PLC0415

    measured = [
        f"{role}_{measure.name}" for measure in MEASURES for role in ("challenger", "champion")
    ]
    more = [column for column in measured if column not in COLUMNS]
    return pd.DataFrame(list_rows(entries), columns=[*COLUMNS, *more])


def list_rows(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return what each decision says about a version, in the order of time; see `COLUMNS`."""
    return [_flatten(entry) for entry in sort_entries(entries)]


def _flatten(entry: Entry) -> dict[str, Any]:
    decision = entry["decision"] or {}
    tests = decision.get("tests") or {}
    measures = {
        f"{role}_{name}": value
        for role in ("challenger", "champion")
        for name, value in ((decision.get(role) or {}).get("metrics") or {}).items()
    }
    return {
        **{name: value for name, value in entry.items() if name not in ("decision", "data")},
        **measures,
        "gain": tests.get("gain"),
        "gain_low": tests.get("low"),
        "gain_high": tests.get("high"),
        "p_value": tests.get("p_value"),
        "validation_images": decision.get("images"),
        "validation_patients": decision.get("patients"),
        "data_digest": entry["data"].get("data_digest"),
        "validation_digest": entry["data"].get("validation_digest"),
    }
