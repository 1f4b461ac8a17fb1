"""Write a decision into the ledger, the MLflow run and the model version."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from image_classification import tracking
from image_classification.champion import card, ledger, registry
from image_classification.champion.statement import DecisionRun, Statement
from image_classification.configuration import names
from image_classification.gate import verdict

FOLDER = "promotion"
RESTORED = "restored"
OF_A_FORMER_CHAMPION = ("replaced_by", "replaced_because", "champion_until")
"""Tags of a former champion; they are removed when it becomes champion again."""
PLOTS = {
    "Challenger and champion, patient by patient": names.COMPARISON_PLOT,
    "Confusion matrix": names.CONFUSION_MATRIX,
    "ROC curve": names.ROC_CURVE,
}
"""Datasets that a card shows, by title."""


class Ledger(Protocol):
    """Entries by name, each written once, as `datasets.LedgerDataset` does it."""

    @property
    def folder(self) -> str | None:
        """The folder of the entries on a disk; None if they are on an object store."""

    def load(self) -> Mapping[str, Any]:
        """Return all entries."""

    def save(self, data: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the entries that do not exist yet, and leave the others as they are."""


class Recorder:
    """Writes the decisions of one run; a retry writes nothing twice."""

    def __init__(
        self,
        model_name: str,
        entries: Ledger,
        mode: str,
        run: DecisionRun,
        plots: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare; nothing is written yet.

        Args:
            model_name: the registered model.
            entries: the ledger, a `LedgerDataset`.
            mode: the mode of the policy.
            run: the run that all entries belong to.
            plots: artifacts of the training run that a card shows, by title.
        """
        self.model_name = model_name
        self.mode = mode
        self._plots = plots or {}
        self.run = run
        self._entries = entries

    def read_entries(self) -> list[dict[str, Any]]:
        """Return the entries of the ledger about this model, in the order of time."""
        found = [
            entry for entry in self._entries.load().values() if entry["model"] == self.model_name
        ]
        return [dict(entry) for entry in ledger.sort_entries(found)]

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
        before: str | None = None,
    ) -> None:
        """Write a decision into the ledger, the MLflow run and the version.

        Args:
            event: a name in `gate.verdict.EVENTS`.
            version: the version that the decision is about.
            decision: the decision of the gate; None for a rollback.
            statement: who decided, and why.
            before: the champion before the move, for an event that moves it.
        """
        entry = self._make_entry(event, version, decision, statement, before)
        name = self._name_entry(entry)
        self._entries.save({name: entry})
        # Another process may have written this entry first: then that one holds.
        self.publish(self._entries.load()[name])

    def publish(self, entry: Mapping[str, Any]) -> None:
        """Write an entry of the ledger into the MLflow run and the version; safe to repeat."""
        tracking.log_json(self.run.mlflow_run_id, entry, f"{FOLDER}/ledger_entry.json")
        self._describe_version(entry)

    def _make_entry(
        self,
        event: str,
        version: str,
        decision: Mapping[str, Any] | None,
        statement: Statement,
        before: str | None,
    ) -> dict[str, Any]:
        present = registry.find_champion(self.model_name)
        tags = registry.get_version(self.model_name, version).tags
        return {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event,
            "model": self.model_name,
            "version": version,
            "champion_before": before if event in verdict.MOVES else present,
            "champion_after": present,
            "by": statement.by,
            "comment": statement.comment,
            "mode": self.mode if decision else "",
            "reason": statement.reason or (decision or {}).get("reason", ""),
            "decision": decision,
            "data": {key: value for key, value in tags.items() if key.endswith("digest")},
            "git_commit": read_git_commit(),
            "airflow_run": self.run.airflow_run,
            "airflow_url": self.run.airflow_url,
            "mlflow_run_id": self.run.mlflow_run_id,
            "mlflow_url": tracking.locate_run(self.run.mlflow_run_id),
        }

    def _describe_version(self, entry: Mapping[str, Any]) -> None:
        version = entry["version"]
        if entry["event"] not in verdict.MOVES and entry["champion_after"] == version:
            return  # A champion that was judged against itself keeps the record of its promotion.
        moved = entry["event"] in verdict.MOVES
        registry.describe_version(
            self.model_name,
            version,
            _make_tags(entry),
            self._render_card(entry),
            outdated=OF_A_FORMER_CHAMPION if moved else (),
        )
        before = entry["champion_before"]
        if moved and before and before != version:
            values = (version, f"{entry['event']}: {entry['reason']}", entry["at"])
            tags = dict(zip(OF_A_FORMER_CHAMPION, values, strict=True))
            if entry["event"] == verdict.ROLLED_BACK:
                tags |= _state_decision(entry, verdict.ROLLED_BACK)
            replaced = registry.get_version(self.model_name, before)
            text = card.mark_replaced(replaced.description or "", entry)
            registry.describe_version(self.model_name, before, tags, text)

    def _render_card(self, entry: Mapping[str, Any]) -> str:
        found = registry.get_version(self.model_name, entry["version"])
        run_id = found.run_id or self.run.mlflow_run_id
        addresses = {
            title: tracking.locate_artifact_file(run_id, path)
            for title, path in self._plots.items()
        }
        links = {"MLflow run of the training": tracking.locate_run(run_id)}
        if self.run.mlflow_run_id != run_id:
            links["MLflow run of this decision"] = tracking.locate_run(self.run.mlflow_run_id)
        if self.run.airflow_url:
            links["DAG run"] = self.run.airflow_url
        history = ledger.select_version(self.read_entries(), entry["version"])
        judged = [
            past["decision"]
            for past in history
            if past["version"] == entry["version"] and past["decision"]
        ]
        # A rollback compares nothing, so the card shows the last judgement of the version.
        decision = entry["decision"] or (judged[-1] if judged else None)
        return card.render_card(
            {**entry, "decision": decision},
            found.tags,
            pictures={title: address for title, address in addresses.items() if address},
            links=links,
            history=history,
        )

    def _name_entry(self, entry: Mapping[str, Any]) -> str:
        """Name an entry by a digest of its content, so that a retry gives it the same name."""
        said = [entry[key] for key in ("version", "reason", "by", "comment")]
        digest = hashlib.sha256(json.dumps(said).encode()).hexdigest()[:8]
        return f"{self.run.mlflow_run_id}-{entry['event'].replace(' ', '-')}-{digest}"


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
    """Return the tags that say what was decided about a version, when and by whom."""
    return {
        registry.DECISION_TAG: decided,
        registry.REASON_TAG: str(entry["reason"]),
        "decided_at": str(entry["at"]),
        "decided_by": str(entry["by"]),
    }


def _make_tags(entry: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags that a decision sets on its version."""
    decision, event = entry["decision"], entry["event"]
    # The entry of a rollback is about the version that is put back, not the one taken out.
    tags = _state_decision(entry, RESTORED if event == verdict.ROLLED_BACK else event)
    tags["git_commit"] = str(entry["git_commit"])
    if event in verdict.MOVES:
        tags["champion_since"] = str(entry["at"])
    if decision and event == verdict.REFUSED:
        tags[registry.GUARDS_TAG] = ", ".join(_list_failed_guards(decision))
    if not decision:
        return tags
    champion, tests = decision["champion"], decision["tests"]
    tags["compared_with_version"] = champion["version"] if champion else "none"
    tags["mode"] = str(entry["mode"])
    for role, prefix in (("challenger", "validation"), ("champion", "champion")):
        for name, value in ((decision[role] or {}).get("metrics") or {}).items():
            tags[f"{prefix}_{name}"] = f"{value:.4f}"
    for name in ("gain", "low", "high", "p_value") if tests else ():
        tags[name if name in ("gain", "p_value") else f"gain_{name}"] = f"{tests[name]:.4g}"
    return tags
