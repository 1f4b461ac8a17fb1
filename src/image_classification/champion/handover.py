"""Hand a version over from one environment to another, with its evidence.

Both use one MLflow, and so the same files: these are checked by the key of the giver, and signed by
that of the taker, who makes the version champion as any other: an entry of its ledger first,
verified in a fresh process, undone by a rollback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from image_classification.champion import consumer, ledger, package, registry, signature
from image_classification.champion.chain import Record
from image_classification.champion.release import Release
from image_classification.champion.statement import Statement
from image_classification.errors import LedgerError, RegistryError, SignatureError
from image_classification.gate import verdict

if TYPE_CHECKING:
    from image_classification.configuration.signing import Signing


@dataclass(frozen=True)
class Party:
    """An environment that hands a version on, or brings it in.

    Attributes:
        name: of the environment.
        release: the changes to its registered model.
        signing: how its models are signed.
        classes: of its images; None for whatever its champion knows.
    """

    name: str
    release: Release
    signing: Signing
    classes: Sequence[str] | None = None

    @property
    def model_name(self) -> str:
        """Its registered model."""
        return self.release.model_name


def hand_over(giver: Party, taker: Party, version: str, statement: Statement) -> str:
    """Make a version of the giver champion of the taker, and write it into both ledgers.

    It may be repeated: what was done is not done again.

    Args:
        giver: whose version it is.
        taker: whose champion it becomes.
        version: of the giver.
        statement: who asked for it, and why; "" as a reason where the giver's promotion is one.

    Returns:
        The outcome, a sentence.

    Raises:
        RegistryError: there is no such version, it was never champion of the giver or was rolled
            back and no reason is given, its classes are not the taker's; or see `bring_in`.
        SignatureError: its files are not those that the giver has signed and measured.
        LedgerError: the ledger of the giver does not agree with itself or with MLflow.
    """
    if giver.model_name == taker.model_name:
        raise RegistryError(
            f"The environments '{giver.name}' and '{taker.name}' share the registered model "
            f"'{giver.model_name}': nothing is to be copied. Give the project a `name` in "
            "conf/base/project.yml: then each environment has its own (docs/environments.md)."
        )
    signature.use(giver.signing)
    found = registry.get_version(giver.model_name, version)
    entry = _find_evidence(giver, version, statement.reason)
    with package.fetch_files(giver.model_name, version) as files:
        digest = consumer.digest_files(files)
        _check_measured(giver, version, entry, digest)
        with package.open_parts(giver.model_name, version) as parts:
            class_names = parts.class_names
        signature.use(taker.signing)
        _check_classes(taker, version, class_names)
        copy = registry.copy_version(found, taker.model_name)
        number = str(copy.version)
        _check_rollback(taker, number, statement.reason)
        package.countersign(taker.model_name, number, files)
    said = _state(giver, version, entry, digest, statement)
    is_done = _is_champion_by_this(taker, number)
    outcome = (
        f"v{number} is champion of {taker.name} already: {said.reason}"
        if is_done
        else taker.release.bring_in(number, said)
    )
    told = f"to {taker.name}, as version {number} of '{taker.model_name}'"
    if not (is_done and _was_told(giver, version, told)):
        giver.release.hand_on(version, replace(statement, comment=statement.reason, reason=told))
    return outcome


def _find_evidence(giver: Party, version: str, reason: str) -> Record | None:
    """Return the last entry by which a version became champion of the giver, or None."""
    disagreements = giver.release.audit(thorough=True).disagreements
    if disagreements:
        raise LedgerError(
            f"The ledger of '{giver.name}' does not agree with itself or with MLflow: "
            f"{'; '.join(disagreements)}. Nothing was copied. `image-classification ledger "
            f"--verify` with KEDRO_ENV={giver.name} tells what to do."
        )
    entries = giver.release.read_entries()
    moves = [
        one for one in entries if one["event"] in verdict.MOVES and one["champion_after"] == version
    ]
    fault = "" if moves else "was never champion there"
    if undone := ledger.find_rollback(entries, version):
        fault = f"was rolled back there ({undone})"
    if fault and not reason:
        raise RegistryError(
            f"Version {version} of '{giver.name}' {fault}. Nothing was copied. Promote it there "
            "first, or say why it shall be champion all the same: --reason."
        )
    return moves[-1] if moves else None


def _check_measured(giver: Party, version: str, entry: Record | None, digest: str) -> None:
    """Check that the files are those that were judged."""
    facts = ((entry or {}).get("decision") or {}).get("facts") or {}
    measured = (facts.get("package") or {}).get("files_digest")
    if measured and measured != digest:
        raise SignatureError(
            f"The files of version {version} of '{giver.name}' are not those that it was promoted "
            f"with: their digest is {digest[:12]}, measured was {measured[:12]}. "
            f"{signature.REMEDY}"
        )


def _check_classes(taker: Party, version: str, class_names: list[str]) -> None:
    expected = taker.classes
    champion = registry.find_champion(taker.model_name)
    if expected is None and champion is not None:
        with package.open_parts(taker.model_name, champion) as parts:
            expected = parts.class_names
    if expected is not None and sorted(expected) != sorted(class_names):
        raise RegistryError(
            f"Version {version} tells {', '.join(sorted(class_names))} apart, and '{taker.name}' "
            f"is about {', '.join(sorted(expected))}. Nothing was copied. Train a version of these "
            "classes."
        )


def _check_rollback(taker: Party, number: str, reason: str) -> None:
    undone = ledger.find_rollback(taker.release.read_entries(), number)
    if undone and not reason:
        raise RegistryError(
            f"The version is v{number} of '{taker.name}' already, and was rolled back there: "
            f"{undone}. Say why it shall be champion all the same: --reason."
        )


def _state(
    giver: Party, version: str, entry: Record | None, digest: str, statement: Statement
) -> Statement:
    """Return what the taker's ledger says of where the version comes from."""
    promoted = (
        f"champion of {giver.name} since {entry['at'][:10]}, entry {entry.get('number')} there: "
        f"{entry['reason']}"
        if entry
        else f"never champion of {giver.name}"
    )
    reason = f"v{version} of {giver.name}, {promoted}"
    origin: dict[str, Any] = {
        "environment": giver.name,
        "model": giver.model_name,
        "version": version,
        "files_digest": digest,
        "entry": f"{entry.get('number')} sha256:{entry.get('digest')}" if entry else "",
        "decision": entry["decision"] if entry else None,
    }
    return replace(statement, reason=reason, comment=statement.reason, origin=origin)


def _is_champion_by_this(taker: Party, number: str) -> bool:
    """Tell whether an earlier call, which may have been killed after that, has brought it in."""
    moves = [one for one in taker.release.read_entries() if one["event"] in verdict.MOVES]
    last = (moves[-1]["event"], moves[-1]["version"]) if moves else None
    is_champion = registry.find_champion(taker.model_name) == number
    return is_champion and last == (verdict.BROUGHT_IN, number)


def _was_told(giver: Party, version: str, told: str) -> bool:
    said = (verdict.HANDED_ON, version, told)
    entries = giver.release.read_entries()
    return any((one["event"], one["version"], one["reason"]) == said for one in entries)
