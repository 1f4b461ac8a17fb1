"""Let the packages of old versions go: recorded in the ledger first, so that none is missed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from image_classification import tracking
from image_classification.champion import card, registry
from image_classification.champion.chain import LET_GO, Chain
from image_classification.champion.journal import Journal
from image_classification.champion.statement import name_user
from image_classification.errors import ChampionMovedError, LedgerError


def record_let_go(
    model_name: str, journal: Journal, versions: Mapping[str, str], reason: str
) -> None:
    """Write into the ledger which versions lose their packages; from then on none is promoted.

    Args:
        model_name: the registered model.
        journal: the ledger.
        versions: the logged model of each.
        reason: why, as part of a sentence.

    Raises:
        LedgerError: one of them is champion, was champion, or is about to be: nothing was written.
    """

    def make(chain: Chain) -> dict[str, Any] | None:
        due = {
            version: model_id
            for version, model_id in versions.items()
            if not chain.find_let_go(model_name, version)
        }
        own = [entry for entry in chain.entries if entry["model"] == model_name]
        moving = [one for one in chain.intentions if one["model"] == model_name]
        needed = list_champions([*own, *moving]) | {registry.find_champion(model_name)}
        if wrong := [version for version in due if version in needed]:
            raise LedgerError(
                f"Version {wrong[0]} of '{model_name}' has become champion since it was found old: "
                "nothing was removed. Run this again."
            )
        if not due:
            return None
        said = {"versions": due, "by": name_user(), "reason": reason}
        return {"step": LET_GO, "model": model_name, **said}

    journal.add(make)


def refuse_let_go(model_name: str, version: str, chain: Chain) -> None:
    """Refuse to make a version champion that has no package any more.

    Raises:
        ChampionMovedError: it was removed as old.
    """
    if told := chain.find_let_go(model_name, version):
        raise ChampionMovedError(
            f"The package of version {version} was let go {told}: it cannot be champion. Nothing "
            "was moved."
        )


def list_champions(entries: Iterable[Mapping[str, Any]]) -> set[str | None]:
    """Return the versions that entries, or intentions, name as champion at any time."""
    return {entry.get(role) for entry in entries for role in ("champion_before", "champion_after")}


def remove_package(
    model_name: str, version: str, model_id: str, told: str, *, is_recorded: bool
) -> None:
    """Remove the packaged model of a version; safe to repeat.

    Args:
        model_name: the registered model.
        version: its version.
        model_id: the logged model behind it.
        told: when and why, as `Chain.find_let_go` says it.
        is_recorded: an entry of the ledger is about the version: it stays, without its package, so
            that the entry can still be compared with it. Any other version is deleted.
    """
    if is_recorded:
        text = registry.get_version(model_name, version).description or ""
        tags = {registry.PACKAGE_TAG: f"let go {told}"}
        registry.describe_version(model_name, version, tags, card.mark_let_go(text, told))
    # The version last: by it whoever follows a kill finds what is left.
    tracking.remove_model(model_id)
    if not is_recorded:
        registry.delete_version(model_name, version)
