"""Does the ledger agree with itself, with MLflow's copies, with the alias and with the registry?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from image_classification import tracking
from image_classification.champion import ledger, registry
from image_classification.champion.chain import Chain, Record, list_rewritten
from image_classification.champion.journal import Journal
from image_classification.champion.record import read_entry


@dataclass(frozen=True)
class Audit:
    """What was found, each a sentence.

    Attributes:
        faults: what was edited, removed or added: no champion is promoted until that is mended, or
            a person accepts it.
        moved: how the alias `champion` disagrees with the ledger.
        missing: what MLflow does not have any more: copies, versions, runs.
        strangers: versions that this project has not registered; they are left alone.
        accepted: what a person has accepted, with who and why.
        notes: what is worth knowing.
    """

    faults: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def disagreements(self) -> list[str]:
        """All that somebody should look at."""
        return [*self.faults, *self.moved, *self.missing]


def read_copies(model_name: str) -> dict[str, str]:
    """Return the digests that MLflow keeps on the registered model and on its versions.

    They are to be read before the ledger: an entry is written first, and copied then.
    """
    return _list_copies(model_name, registry.read_all_tags(model_name))


def explain_fault(
    chain: Chain, model_name: str, champion: str | None, copies: Mapping[str, str]
) -> str:
    """Return why the ledger allows no promotion, a sentence; "" if it does.

    That is where something was edited, removed or added, by the chain itself or by MLflow's copies,
    and nobody has accepted it; and where a first champion would follow one that was only deleted.

    Args:
        chain: the ledger.
        model_name: the registered model.
        champion: the version that was compared with; None for a first champion.
        copies: of `read_copies`.
    """
    found = [*chain.faults, *list_rewritten(chain, copies)]
    if faults := [fault for fault in found if not chain.find_acceptance(fault)]:
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        return (
            f"{faults[0]}{more}. `image-classification ledger --verify` tells all, and what to do"
        )
    known = ledger.find_champion(one for one in chain.entries if one["model"] == model_name)
    if champion is None and known is not None:
        return (
            f"no first champion: the ledger knows version {known} as champion, and the alias "
            "'champion' points to none. Roll back, to that version or to another: "
            f"`image-classification rollback {known} --reason …`"
        )
    return ""


def audit(model_name: str, journal: Journal, *, thorough: bool = False) -> Audit:
    """Compare the ledger of a model with all that should agree with it.

    Args:
        model_name: the registered model.
        journal: the ledger.
        thorough: also ask for each MLflow run of an entry, which takes two requests each.
    """
    known = registry.read_all_tags(model_name)
    copies = _list_copies(model_name, known)
    chain = journal.read()
    own = [entry for entry in chain.entries if entry["model"] == model_name]
    under_way = any(one["model"] == model_name for one in chain.intentions)
    found = {
        "faults": [*chain.faults, *list_rewritten(chain, copies)],
        "moved": [] if under_way else list(_compare_alias(model_name, own, known)),
        "missing": [*_list_gone(own, known), *_list_uncopied(model_name, own, known)],
    }
    if thorough:
        edited, gone = _compare_runs(own)
        found["faults"] += edited
        found["missing"] += gone
    accepted = [chain.find_acceptance(said) for group in found.values() for said in group]
    return Audit(
        **{
            group: [said for said in sentences if not chain.find_acceptance(said)]
            for group, sentences in found.items()
        },
        strangers=list(_list_strangers(own, known)),
        accepted=[said for said in accepted if said],
        notes=chain.notes,
    )


def _list_copies(model_name: str, known: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    places: dict[str, Mapping[str, str]] = {
        f"the registered model '{model_name}'": registry.read_model_tags(model_name) or {},
        **{f"version {version}": tags for version, tags in known.items()},
    }
    return {
        place: tags[registry.LEDGER_TAG]
        for place, tags in places.items()
        if registry.LEDGER_TAG in tags
    }


def _compare_alias(model_name: str, own: list[Record], known: Mapping[str, Any]) -> Iterator[str]:
    champion, present = ledger.find_champion(own), registry.find_champion(model_name)
    if champion == present:
        return
    says = f"the ledger says {registry.name_champion(champion)}"
    back = f"`image-classification rollback {champion} --reason …` puts it back"
    if champion is not None and champion not in known:
        back = "that one is not registered any more; roll back to another version"
    if present is None:
        yield (
            f"The alias 'champion' of '{model_name}' points to none, {says}: it was removed by "
            f"hand, or the version or the model was deleted or renamed. {back[0].upper()}{back[1:]}"
        )
    else:
        keep = f"`image-classification rollback {present} --reason …` writes it into the ledger"
        yield (
            f"The alias 'champion' of '{model_name}' points to version {present}, {says}: it was "
            f"moved by hand. {keep[0].upper()}{keep[1:]}" + (f"; {back}" if champion else "")
        )


def _list_gone(own: list[Record], known: Mapping[str, Any]) -> Iterator[str]:
    named = {entry["version"] for entry in own}
    for version in sorted(named - known.keys(), key=lambda name: (len(name), name)):
        yield f"Version {version}, which the ledger names, is not registered any more"


def _list_uncopied(
    model_name: str, own: list[Record], known: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    """Yield the versions and models whose copy of their last entry is not there."""
    last = {entry["version"]: entry["number"] for entry in own if entry.get("number")}
    if not last:
        return
    for version, number in last.items():
        if version in known and _read_number(known[version]) < number:
            yield f"Version {version} keeps no copy of entry {number}: it was removed"
    tags = registry.read_model_tags(model_name)
    if tags is not None and _read_number(tags) == 0:
        yield f"The registered model '{model_name}' keeps no copy of its last entry: it was removed"


def _read_number(tags: Mapping[str, str]) -> int:
    number = tags.get(registry.LEDGER_TAG, "").partition(" ")[0]
    return int(number) if number.isdecimal() else 0


def _compare_runs(own: list[Record]) -> tuple[list[str], list[str]]:
    """Compare the last entry of each run with the copy that MLflow keeps with the run.

    Returns:
        What differs, and what is not there.
    """
    edited, gone = [], []
    for run_id, entry in {entry["mlflow_run_id"]: entry for entry in own}.items():
        if not tracking.is_active_run(run_id):
            gone.append(f"MLflow run {run_id}, of {_name(entry)}, was deleted")
            continue
        copy = read_entry(run_id)
        if copy is None:
            gone.append(f"MLflow run {run_id} keeps no copy of {_name(entry)}: it was removed")
        elif any(entry.get(key) != value for key, value in copy.items()):
            edited.append(f"{_name(entry)} was edited, or its copy in MLflow run {run_id} was")
    return [said[0].upper() + said[1:] for said in edited], gone


def _name(entry: Record) -> str:
    if entry.get("number"):
        return f"entry {entry['number']}"
    return f"the entry of {entry['at'][:19]} UTC, of an earlier release,"


def _list_strangers(own: list[Record], known: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    named = {entry["version"] for entry in own}
    for version, tags in known.items():
        if registry.read_digest(tags) is None and version not in named:
            yield f"Version {version} was not registered by this project: it is left alone"
