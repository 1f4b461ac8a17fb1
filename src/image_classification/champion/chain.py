"""The chain of the ledger: numbered records, each with the digest of the one before it.

A record is one file of canonical JSON, named by its number and never changed. Its digest is the
SHA-256 of its bytes. A change of champion is two records: *intended*, before anything moves, and
*done* or *undone*, once it is known what came of it. Any other decision is one record, and so is a
patient who was forgotten, and a removal of old packages.

Nothing here reads a file or asks MLflow: it takes the content of files and says what it means.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from image_classification.gate.verdict import EVENTS, PROMOTED, TAKEN_BACK

INTENDED, DONE, UNDONE, DECIDED = "intended", "done", "undone", "decided"
TAKEN_OVER, ACCEPTED = "taken over", "accepted"
FORGOTTEN, LET_GO = "forgotten", "let go"
STEPS = (INTENDED, DONE, UNDONE, DECIDED, TAKEN_OVER, ACCEPTED, FORGOTTEN, LET_GO)

SUFFIX: Final = ".json"
NUMBERED = re.compile(r"\d{8,}")
NOTHING = "0" * 64
"""Stands for the digest of a record before the first."""

LACKING: dict[str, Any] = {
    "airflow_run": "",
    "airflow_url": "",
    "by": "",
    "champion_after": None,
    "champion_before": None,
    "comment": "",
    "data": {},
    "decision": None,
    "git_commit": "",
    "mlflow_run_id": "",
    "mlflow_url": "",
    "mode": "",
    "reason": "",
    "typed": "",
}
"""What a reader finds in an entry that was written without a key."""

REQUIRED = ("at", "event", "model", "version")

KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("at", "by", "comment", "event", "git_commit", "mode", "model"), str),
    **dict.fromkeys(("airflow_run", "airflow_url", "mlflow_run_id", "mlflow_url", "typed"), str),
    **dict.fromkeys(("previous", "reason", "token", "version", "lease_until"), str),
    **dict.fromkeys(("champion_before", "champion_after"), (str, type(None))),
    **dict.fromkeys(("data", "files", "mover", "versions", "packages", "origin"), dict),
    "patient": str,
    "decision": (dict, type(None)),
    "faults": list,
    "of": int,
}
"""What the values are, where they are there: a file may have been edited."""

Record = dict[str, Any]


@dataclass(frozen=True)
class Head:
    """The last record: its number, 0 for none, and its digest."""

    number: int = 0
    digest: str = NOTHING

    def __str__(self) -> str:
        return f"{self.number} sha256:{self.digest}"


@dataclass(frozen=True)
class Chain:
    """What the files of a ledger say together.

    Attributes:
        entries: every decision that can be read, oldest first: those of an earlier release, then
            the numbered ones, with `number` and `digest` of the record that concluded each.
        intentions: records of moves that were intended, and neither done nor undone. Those before a
            record that is missing or damaged are left out: it may have ended them.
        undone: entries of moves whose alias was taken back, the last one last.
        head: the last record.
        digests: of each record that is there, by number.
        faults: what was edited, removed or added since, each a sentence.
        acceptances: who has accepted a fault, when and why, by what was wrong.
        forgotten: records of patients who were forgotten, oldest first: `patient` (a pseudonym),
            `versions` that had seen them, by the splits they were in, and `packages` that were
            made anew.
        let_go: records of packages that were removed as old, oldest first: `versions`, each
            with its logged model, and `reason`.
        notes: what is worth knowing, and no fault.
        untaken: digests of the files of an earlier release, where none has been taken over yet.
    """

    entries: list[Record] = field(default_factory=list)
    intentions: list[Record] = field(default_factory=list)
    undone: list[Record] = field(default_factory=list)
    head: Head = Head()
    digests: dict[int, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    acceptances: dict[str, str] = field(default_factory=dict)
    forgotten: list[Record] = field(default_factory=list)
    let_go: list[Record] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    untaken: dict[str, str] = field(default_factory=dict)

    def find_acceptance(self, fault: str) -> str:
        """Return a fault with who has accepted it, and why; "" if nobody has."""
        said = self.acceptances.get(_identify(fault))
        return f"{fault} ({said})" if said else ""

    def find_let_go(self, model_name: str, version: str) -> str:
        """Return when and why the package of a version was let go; "" if it was not."""
        for record in self.let_go:
            if record["model"] == model_name and version in record["versions"]:
                return f"on {record['at'][:10]}, {record['reason']}"
        return ""

    def is_settled(self, number: int) -> bool:
        """Tell whether a move that was intended has been done or undone."""
        return all(record["number"] != number for record in self.intentions)


def encode_record(record: Mapping[str, Any]) -> bytes:
    """Return a record as canonical JSON: keys sorted, no blanks, ASCII."""
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


def digest_record(content: bytes) -> str:
    """Return the digest of a record, 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def name_record(number: int) -> str:
    """Return the name of the file of a record."""
    return f"{number:08}{SUFFIX}"


def read_chain(files: Mapping[str, bytes | OSError]) -> Chain:
    """Read all files of a ledger; whatever cannot be read is named, and the rest is read.

    Args:
        files: the content of each by its name, or the error that reading it gave. Names that do not
            end in ".json" are of files that are being written, and are ignored.
    """
    numbered: dict[int, bytes | OSError] = {}
    earlier: dict[str, bytes | OSError] = {}
    for name, content in files.items():
        if not name.endswith(SUFFIX) or name.startswith("."):
            continue
        stem = name.removesuffix(SUFFIX)
        if NUMBERED.fullmatch(stem) and name == name_record(int(stem)):
            numbered[int(stem)] = content
        else:
            earlier[name] = content
    return _Reader(numbered, earlier).read()


class _Reader:
    """Reads the files of a ledger once."""

    def __init__(
        self, numbered: Mapping[int, bytes | OSError], earlier: Mapping[str, bytes | OSError]
    ) -> None:
        self._numbered = numbered
        self._earlier = earlier
        self._faults: list[str] = []
        self._notes: list[str] = []
        self._records: dict[int, Record] = {}
        self._digests: dict[int, str] = {}

    def read(self) -> Chain:
        self._read_numbered()
        self._check_links()
        taken = self._find_step(TAKEN_OVER)
        entries, untaken = self._read_earlier(taken)
        intentions, undone = self._fold(entries)
        last = max(self._numbered, default=0)
        return Chain(
            entries=entries,
            intentions=intentions,
            undone=undone,
            head=Head(last, self._digests.get(last, NOTHING)),
            digests=self._digests,
            faults=self._faults,
            acceptances=self._read_acceptances(),
            forgotten=self._find_step(FORGOTTEN),
            let_go=self._find_step(LET_GO),
            notes=self._notes,
            untaken=untaken,
        )

    def _read_numbered(self) -> None:
        for number in range(1, max(self._numbered, default=0) + 1):
            content = self._numbered.get(number)
            if content is None:
                self._faults.append(f"Entry {number} was removed: {name_record(number)} is missing")
                continue
            if isinstance(content, bytes):
                self._digests[number] = digest_record(content)
            record = parse_record(content, number)
            if isinstance(record, str):
                self._faults.append(f"Entry {number} is damaged: {record}")
            else:
                self._records[number] = record

    def _check_links(self) -> None:
        """Compare the digest of each record with the one that the next record names."""
        for number, record in self._records.items():
            own = self._digests.get(number - 1, NOTHING) if number > 1 else NOTHING
            if number - 1 and number - 1 not in self._digests:
                continue  # It is missing, or cannot be read: that was said.
            if record["previous"] != own:
                self._faults.append(
                    f"Entry {number - 1} was edited, or entry {number} was put in its place: its "
                    f"digest is {own}, entry {number} names {record['previous']}"
                    if number > 1
                    else "Entry 1 is not the first: it names an entry before it"
                )

    def _find_step(self, step: str) -> list[Record]:
        return [record for record in self._records.values() if record["step"] == step]

    def _read_earlier(self, taken: list[Record]) -> tuple[list[Record], dict[str, str]]:
        """Read the files of an earlier release: those taken over, or all where none was yet."""
        known = {name: digest for record in taken for name, digest in record["files"].items()}
        digests = {
            name: digest_record(content) if isinstance(content, bytes) else ""
            for name, content in self._earlier.items()
        }
        is_taken = bool(self._numbered)
        found: list[Record] = []
        for name, content in sorted(self._earlier.items()):
            if is_taken and name not in known:
                self._faults.append(f"'{name}' was added: no entry names it; it is not counted")
                continue
            if is_taken and known[name] != digests[name]:
                self._faults.append(f"'{name}', of an earlier release, was edited")
            entry = parse_entry(content)
            if isinstance(entry, str):
                self._notes.append(f"'{name}', of an earlier release, is damaged: {entry}")
            else:
                found.append(LACKING | entry)
        removed = sorted(known.keys() - digests.keys())
        self._faults += [f"'{name}', of an earlier release, was removed" for name in removed]
        found.sort(key=lambda entry: str(entry["at"]))
        return found, {} if is_taken else digests

    def _fold(self, entries: list[Record]) -> tuple[list[Record], list[Record]]:
        """Add an entry for each decision; return the open intentions, and what was undone."""
        intended: dict[int, Record] = {}
        undone = []
        for number, record in sorted(self._records.items()):
            step = record["step"]
            seal = {"number": number, "digest": self._digests[number]}
            if step == INTENDED:
                intended[number] = record
            elif step == DECIDED:
                entries.append(LACKING | _strip(record) | seal)
            elif step in (DONE, UNDONE):
                before = intended.pop(record["of"], None)
                if before is None:
                    self._faults.append(f"Entry {number} ends a move that was not intended")
                    continue
                seal["intended"] = record["of"]
                entries.append(LACKING | _strip(before) | _strip(record) | seal)
                if step == UNDONE and record["event"] in TAKEN_BACK:
                    undone.append(entries[-1])
        # Whether one was ended cannot be told where a later record is missing or damaged.
        numbers = range(1, max(self._numbered, default=0) + 1)
        unread = max(set(numbers) - self._records.keys(), default=0)
        return [record for number, record in intended.items() if number > unread], undone

    def _read_acceptances(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for record in self._find_step(ACCEPTED):
            said = f"accepted by {record['by']} on {record['at'][:10]}: {record['reason']}"
            found |= {_identify(str(fault)): said for fault in record["faults"]}
        return found


def _identify(fault: str) -> str:
    """Return what stays the same of a fault: an entry that is missing is later another one."""
    return fault.replace(" was removed: ", " was edited: ", 1)


def read_record(name: str, content: bytes | OSError) -> Record | None:
    """Return the record in a file, or None if there is none in it."""
    stem = name.removesuffix(SUFFIX)
    record = parse_record(content, int(stem)) if NUMBERED.fullmatch(stem) else None
    return record if isinstance(record, dict) else None


def parse_record(content: bytes | OSError, number: int) -> Record | str:
    """Return the record in a file, or what is wrong with it."""
    record = _parse(content)
    if isinstance(record, str):
        return record
    if record.get("number") != number or record.get("step") not in STEPS:
        return "it is not the record of this number"
    if encode_record(record) != content:
        return "it is not written as this project writes it"
    missing = sorted(_list_keys(record["step"]) - record.keys())
    return _explain_faults(record, missing) or record


def parse_entry(content: bytes | OSError) -> Record | str:
    """Return the entry in a file of an earlier release, or what is wrong with it."""
    entry = _parse(content)
    if isinstance(entry, str):
        return entry
    missing = sorted(set(REQUIRED) - entry.keys())
    return _explain_faults(entry, missing) or entry


def _explain_faults(record: Record, missing: list[str]) -> str:
    if missing:
        return f"it lacks {', '.join(missing)}"
    wrong = [
        key for key, kind in KINDS.items() if key in record and not isinstance(record[key], kind)
    ]
    if record.get("event", PROMOTED) not in EVENTS:
        wrong.append("event")
    return f"it has a wrong {', '.join(wrong)}" if wrong else ""


def _parse(content: bytes | OSError) -> Record | str:
    if isinstance(content, OSError):
        return f"it cannot be read ({content})"
    if not content:
        return "it is empty"
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return "it is no whole JSON"
    return found if isinstance(found, dict) else "it is no entry"


def _list_keys(step: str) -> set[str]:
    shared = {"at", "previous"}
    own: dict[str, tuple[str, ...]] = {
        INTENDED: (*REQUIRED, "mover", "lease_until"),
        DECIDED: REQUIRED,
        DONE: ("of", "model", "champion_after"),
        UNDONE: ("of", "model", "champion_after", "event", "reason"),
        TAKEN_OVER: ("files",),
        ACCEPTED: ("faults", "by", "reason"),
        FORGOTTEN: ("model", "patient", "versions", "packages", "by", "reason"),
        LET_GO: ("model", "versions", "by", "reason"),
    }
    return shared | set(own[step])


def _strip(record: Record) -> Record:
    """Return a record without what only the chain needs."""
    chained = ("previous", "step", "mover", "lease_until", "of", "token")
    return {key: value for key, value in record.items() if key not in chained}


def list_rewritten(chain: Chain, copies: Mapping[str, str]) -> Iterator[str]:
    """Yield, for each copy of a digest that the chain disagrees with, what was changed.

    Args:
        chain: of `read_chain`.
        copies: what MLflow keeps: by where it stands, a `Head` as text.
    """
    for place, text in copies.items():
        number, _, digest = text.partition(" sha256:")
        if not number.isdecimal() or not digest:
            yield f"{place} keeps no digest of an entry: '{text}'"
        elif int(number) > chain.head.number:
            yield f"Entry {number} was removed: {place} keeps its digest, {digest}"
        elif int(number) in chain.digests and chain.digests[int(number)] != digest:
            yield f"Entry {number} was edited: {place} keeps its digest, {digest}"
