"""Write a decision into the ledger, the MLflow run and the model version."""

from __future__ import annotations

import json
import logging
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException

from image_classification import tracking
from image_classification.champion import card, ledger, lineage, registry
from image_classification.champion.chain import DECIDED, Chain
from image_classification.champion.journal import Journal, tell_time
from image_classification.champion.statement import DecisionRun, Statement
from image_classification.configuration import names
from image_classification.errors import RegistryError
from image_classification.gate import verdict

logger = logging.getLogger(__name__)

FOLDER = "promotion"
ENTRY_FILE = "ledger_entry.json"
RESTORED = "restored"
CHAMPION_SINCE = "champion_since"
"""What an earlier release called the tag `in_use`: only since when."""
OF_A_FORMER_CHAMPION = ("replaced_by", "replaced_because", "champion_until", CHAMPION_SINCE)
"""Tags that an earlier release gave champions; they are removed when one becomes champion again."""
PLOTS = {
    "Challenger and champion, side by side": names.COMPARISON_PLOT,
    "Confusion matrix": names.CONFUSION_MATRIX,
    "ROC curve": names.ROC_CURVE,
}
"""Datasets that a card shows, by title."""


class Recorder:
    """Writes the decisions of one run; a retry writes nothing twice."""

    def __init__(
        self,
        model_name: str,
        journal: Journal,
        mode: str,
        run: DecisionRun,
        plots: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare; nothing is written yet.

        Args:
            model_name: the registered model.
            journal: the ledger.
            mode: the mode of the policy.
            run: the run that all entries belong to.
            plots: artifacts of the training run that a card shows, by title.
        """
        self.model_name = model_name
        self.mode = mode
        self._plots = plots or {}
        self.run = run
        self._journal = journal

    def read_entries(self) -> list[dict[str, Any]]:
        """Return the entries of the ledger about this model, in the order of time."""
        return self.select_entries(self._journal.read())

    def select_entries(self, chain: Chain) -> list[dict[str, Any]]:
        """Return the entries of a chain about this model, in the order of time."""
        return [entry for entry in chain.entries if entry["model"] == self.model_name]

    def find_entry(self, event: str) -> dict[str, Any] | None:
        """Return the last entry of this run with this event, or None."""
        found = [entry for entry in self._read_own() if entry["event"] == event]
        return found[-1] if found else None

    def read_last(self) -> dict[str, Any] | None:
        """Return the last entry of this run, or None."""
        own = self._read_own()
        return own[-1] if own else None

    def _read_own(self) -> list[dict[str, Any]]:
        return [
            entry
            for entry in self.read_entries()
            if entry["mlflow_run_id"] == self.run.mlflow_run_id
        ]

    def record(
        self,
        event: str,
        version: str,
        decision: Mapping[str, Any] | None,
        statement: Statement,
    ) -> None:
        """Write a decision that moves nothing into the ledger, the MLflow run and the version.

        What this run has said before is not written again.

        Args:
            event: a name in `gate.verdict.EVENTS`.
            version: the version that the decision is about.
            decision: the decision of the gate; None for a rollback.
            statement: who decided, and why.
        """
        entry = self.make_entry(event, version, decision, statement)

        def make(chain: Chain) -> dict[str, Any] | None:
            said_before = self._find_same(entry, chain)
            return None if said_before else {**entry, "step": DECIDED}

        self._journal.add(make)
        found = self._find_same(entry, self._journal.read())
        if found is not None:  # it is, unless somebody has damaged it since
            self.publish(found)

    def _find_same(self, entry: Mapping[str, Any], chain: Chain) -> dict[str, Any] | None:
        keys = ("model", "mlflow_run_id", "event", "version", "reason", "by", "comment")
        found = [one for one in chain.entries if all(one[key] == entry[key] for key in keys)]
        return found[-1] if found else None

    def publish(self, entry: Mapping[str, Any]) -> None:
        """Copy an entry of the ledger into the MLflow run and the versions; safe to repeat.

        What cannot be written there, because it was deleted, is said in the log: the entry stands.
        The copy on the registered model comes last, and shows that the others are there.
        """
        number, digest = entry.get("number"), entry.get("digest")
        tags = {registry.LEDGER_TAG: f"{number} sha256:{digest}"} if number else {}
        for what, write in (
            ("its MLflow run", self._copy_to_run),
            ("the version before it", self._mark_replaced),
            ("its version", self._describe_version),
            ("the registered model", self._tag_model),
        ):
            try:
                write(entry, tags)
            except (MlflowException, RegistryError) as error:
                if not tracking.is_gone(error):
                    raise
                logger.warning("Entry %s is not copied to %s: %s", number, what, error)

    def publish_missing(self) -> list[str]:
        """Copy the entries that are newer than the newest copy: a run was stopped before it did.

        Returns:
            What was copied, as sentences.
        """
        tags = registry.read_model_tags(self.model_name)
        if tags is None:
            return []
        copied = tags.get(registry.LEDGER_TAG, "0").partition(" ")[0]
        newest = int(copied) if copied.isdecimal() else 0
        if not newest and any(
            registry.LEDGER_TAG in tags for tags in registry.read_all_tags(self.model_name).values()
        ):
            return []  # Somebody has removed it: an audit says so.
        missing = [entry for entry in self.read_entries() if entry.get("number", 0) > newest]
        for entry in missing:
            self.publish(entry)
        return [f"MLflow had no copy of entry {one['number']}: it was written" for one in missing]

    def _copy_to_run(self, entry: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        run_id = entry["mlflow_run_id"]
        tracking.log_json(run_id, entry, f"{FOLDER}/{ENTRY_FILE}")
        tracking.tag_run(run_id, tags)

    def make_entry(
        self,
        event: str,
        version: str,
        decision: Mapping[str, Any] | None,
        statement: Statement,
    ) -> dict[str, Any]:
        """Return an entry about a version, which moves nothing; see `record`."""
        present = registry.find_champion(self.model_name)
        facts = lineage.read_facts(registry.get_version(self.model_name, version))
        return {
            "at": tell_time(),
            "event": event,
            "model": self.model_name,
            "version": version,
            "champion_before": present,
            "champion_after": present,
            "by": statement.by,
            "typed": statement.typed,
            "comment": statement.comment,
            "mode": self.mode if decision else "",
            "reason": statement.reason or (decision or {}).get("reason", ""),
            "decision": dict(decision) if decision else None,
            "data": {key: value for key, value in facts.items() if key.endswith("digest")},
            "git_commit": read_git_commit(),
            "airflow_run": self.run.airflow_run,
            "airflow_url": self.run.airflow_url,
            "mlflow_run_id": self.run.mlflow_run_id,
            "mlflow_url": tracking.locate_run(self.run.mlflow_run_id),
            **({"origin": dict(statement.origin)} if statement.origin else {}),
        }

    def _describe_version(self, entry: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        version, event = entry["version"], entry["event"]
        found = registry.get_version(self.model_name, version)
        judged_itself = event not in verdict.MOVES and entry["champion_after"] == version
        was_champion = event in verdict.FAILURES and _was_champion(found.tags)
        if judged_itself or was_champion or event == verdict.HANDED_ON:
            # It keeps the record of its promotion.
            registry.tag_version(self.model_name, version, tags)
            return
        registry.describe_version(
            self.model_name,
            version,
            {**_make_tags(entry), **tags},
            self._render_card(entry),
            outdated=_list_outdated(event),
        )

    def _tag_model(self, entry: Mapping[str, Any], tags: Mapping[str, str]) -> None:  # noqa: ARG002
        registry.tag_model(self.model_name, tags)

    def _mark_replaced(
        self,
        entry: Mapping[str, Any],
        tags: Mapping[str, str],  # noqa: ARG002
    ) -> None:
        """Write on the former champion what it was replaced by, and why."""
        version, before = entry["version"], entry["champion_before"]
        if entry["event"] not in verdict.MOVES or not before or before == version:
            return
        replaced = registry.get_version(self.model_name, before)
        replacement = {registry.IN_USE_TAG: _end_use(replaced.tags, entry)}
        if entry["event"] == verdict.ROLLED_BACK:
            replacement |= _state_decision(entry, verdict.ROLLED_BACK)
        text = card.mark_replaced(replaced.description or "", entry)
        registry.describe_version(self.model_name, before, replacement, text)

    def _render_card(self, entry: Mapping[str, Any]) -> str:
        found = registry.get_version(self.model_name, entry["version"])
        own = entry["mlflow_run_id"]
        run_id = found.run_id or own
        pictures = {
            title: tracking.link_artifact_file(run_id, path) for title, path in self._plots.items()
        }
        chain = self._journal.read()
        history = ledger.select_version(self.select_entries(chain), entry["version"])
        judged = [
            past["decision"]
            for past in history
            if past["version"] == entry["version"] and past["decision"]
        ]
        # A rollback compares nothing, so the card shows the last judgement of the version.
        elsewhere = (entry.get("origin") or {}).get("decision")
        decision = entry["decision"] or elsewhere or (judged[-1] if judged else None)
        return card.render_card(
            {**entry, "decision": decision},
            lineage.read_facts(found),
            pictures=pictures,
            links=_list_links(run_id, entry),
            history=history,
            forgotten=card.tell_forgotten(chain.forgotten, entry["version"]),
        )


def _list_links(run_id: str, entry: Mapping[str, Any]) -> dict[str, str]:
    """Return the pages that a card leads to: of the training, and of the decision if apart."""
    own = entry["mlflow_run_id"]
    pages = {
        "The night on one page": f"{tracking.link_run(own)}/artifacts/{tracking.PAGE_ARTIFACT}",
        "Training run": tracking.link_run(run_id),
        "DAG run": entry["airflow_url"],
    }
    if own != run_id:
        pages["DAG run"] = tracking.read_tag(run_id, tracking.AIRFLOW_URL_TAG)
        pages |= {"Decision": tracking.link_run(own), "its DAG run": entry["airflow_url"]}
    return {title: address for title, address in pages.items() if address}


def read_entry(run_id: str) -> dict[str, Any] | None:
    """Return the copy of the last entry of the ledger that an MLflow run keeps, or None.

    It is empty where it cannot be read.
    """
    content = tracking.read_artifact(run_id, f"{FOLDER}/{ENTRY_FILE}")
    try:
        found = json.loads(content) if content else None
    except ValueError:
        return {}
    return found if isinstance(found, dict) else None


def read_git_commit() -> str:
    """Return the commit of the code that runs, or "" if it is not known.

    ``IMAGE_CLASSIFICATION_COMMIT`` names it where the code is deployed without its repository.
    """
    if commit := os.environ.get("IMAGE_CLASSIFICATION_COMMIT"):
        return commit
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(  # noqa: S603
            [*command, "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _list_failed_guards(decision: Mapping[str, Any]) -> list[str]:
    """Return the names of the guards that made a comparison unfair."""
    return [
        check["name"]
        for check in decision["checks"]
        if check["group"] == "guard" and not check["passed"]
    ]


def _state_decision(entry: Mapping[str, Any], decided: str) -> dict[str, str]:
    """Return the tags that say what was decided about a version, and why."""
    return {registry.DECISION_TAG: decided, registry.REASON_TAG: str(entry["reason"])}


def _make_tags(entry: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags that a decision sets on its version: few, since MLflow shows all of them.

    Everything else about the decision is in `ENTRY_FILE` of its MLflow run, and in the ledger.
    """
    decision, event = entry["decision"], entry["event"]
    # The entry of a rollback is about the version that is put back, not the one taken out.
    tags = _state_decision(entry, RESTORED if event == verdict.ROLLED_BACK else event)
    if event in verdict.MOVES:
        tags[registry.IN_USE_TAG] = f"since {_tell_minute(entry['at'])} UTC"
    if decision and event == verdict.REFUSED:
        tags[registry.GUARDS_TAG] = ", ".join(_list_failed_guards(decision))
    if decision and "accuracy" in decision["challenger"]["metrics"]:
        tags[registry.REFERENCE_TAG] = f"{decision['challenger']['metrics']['accuracy']:.4f}"
    return tags


def _list_outdated(event: str) -> list[str]:
    """Return the tags that a version must not keep after a decision about it."""
    outdated = [] if event == verdict.REFUSED else [registry.GUARDS_TAG]
    return [*outdated, *(OF_A_FORMER_CHAMPION if event in verdict.MOVES else ())]


def _was_champion(tags: Mapping[str, str]) -> bool:
    return registry.IN_USE_TAG in tags or CHAMPION_SINCE in tags


def _end_use(tags: Mapping[str, str], entry: Mapping[str, Any]) -> str:
    """Return from when to when a champion was in use; the same where it is asked for again."""
    since = tags.get(registry.IN_USE_TAG, "").removeprefix("since ").removesuffix(" UTC")
    began = since.partition(" to ")[0] or _tell_minute(tags.get(CHAMPION_SINCE, ""))
    ended = f"{_tell_minute(entry['at'])} UTC, then version {entry['version']}"
    return f"{began} to {ended}" if began else f"to {ended}"


def _tell_minute(time: str) -> str:
    return time[:16].replace("T", " ")
