"""Find what is old and decides nothing any more, and let it go where that is configured."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from image_classification.champion import ledger, registry
from image_classification.champion.retention import list_champions
from image_classification.configuration.parameters import RetentionParameters
from image_classification.datasets import Holdings
from image_classification.gate.hindsight import HindsightParameters, list_decisions
from image_classification.progress import progress

logger = logging.getLogger(__name__)

APPLY = "apply"

NOUNS = {
    "run_folders": ("folder of a run", "folders of runs"),
    "mlflow_runs": ("MLflow run", "MLflow runs"),
    "versions": ("package of a version", "packages of versions"),
    "models": ("package that no version names", "packages that no version names"),
    "logs": ("log", "logs"),
    "pixels": ("size of packed pixels", "sizes of packed pixels"),
}
"""What a plan lists, and how it is told."""


def plan_retention(
    holdings: Holdings,
    entries: Mapping[str, dict[str, Any]],
    image_size_px: int,
    looks_back: HindsightParameters,
    parameters: RetentionParameters,
) -> dict[str, Any]:
    """List what is older than so many nights, and what nothing rests on.

    Args:
        holdings: what storage and MLflow hold.
        entries: the ledger.
        image_size_px: the size at which pixels are in use.
        looks_back: the parameters `hindsight`: the last decisions are judged again.
        parameters: the parameters `retention`.

    Returns:
        `at`, `mode` and `outcome` (a sentence); and what goes: names of `run_folders`, `logs` and
        `pixels` with their `bytes`, `mlflow_runs` by their ids, `models` by theirs, and `versions`,
        each with `version`, `model_id` and `is_recorded`.
    """
    now = datetime.now(UTC)
    cut = {
        kind: (now - timedelta(days=nights)).isoformat(timespec="seconds")
        for kind, nights in _list_nights(parameters).items()
    }
    recorded = [entry for entry in entries.values() if entry["model"] == holdings.model_name]
    runs, models, uses = holdings.list_runs(), holdings.list_models(), holdings.list_uses()
    open_runs = {run["run_id"] for run in runs if not run["ended_at"]}
    open_keys = {run["key"] for run in runs if not run["ended_at"]}
    needed = _list_needed(recorded, looks_back)
    old = [
        version
        for version in _choose_versions(holdings, uses, needed)
        if version["created_at"] < cut["versions"] and version["run_id"] not in open_runs
    ]
    in_ledger = {entry["version"] for entry in recorded}
    packaged = {model["model_id"] for model in models}
    old = [one for one in old if one["model_id"] in packaged or one["version"] not in in_ledger]
    gone = {one["version"] for one in old} - in_ledger
    kept_runs = {entry["mlflow_run_id"] for entry in entries.values()} | open_runs
    kept_runs |= {
        use["run_id"]
        for use in uses
        if use["model"] != holdings.model_name or use["version"] not in gone
    }
    named = {use["model_id"] for use in uses}
    folders = _choose_old(holdings.list_run_folders(), cut["runs"], open_keys)
    logs = _choose_old(holdings.list_logs(), cut["logs"])
    sizes = {f"{run['params'].get('image_size_px')}px" for run in runs if not run["ended_at"]}
    pixels = _choose_old(holdings.list_pixels(), cut["pixels"], {f"{image_size_px}px", *sizes})
    found: dict[str, list[Any]] = {
        "run_folders": [part["name"] for part in folders],
        "mlflow_runs": [
            run["run_id"]
            for run in runs
            if run["run_id"] not in kept_runs and run["ended_at"] < cut["runs"]
        ],
        "versions": [
            {
                "version": one["version"],
                "model_id": one["model_id"],
                "is_recorded": one["version"] in in_ledger,
            }
            for one in old
        ],
        "models": [
            model["model_id"]
            for model in models
            if model["model_id"] not in named
            and model["run_id"] not in open_runs
            and model["created_at"] < cut["versions"]
        ],
        "logs": [part["name"] for part in logs],
        "pixels": [part["name"] for part in pixels],
    }
    size = sum(part["bytes"] for part in (*folders, *logs, *pixels))
    plan: dict[str, Any] = {
        "at": now.isoformat(timespec="seconds"),
        "mode": parameters["mode"],
        **found,
    }
    plan |= {"bytes": size, "versions_nights": parameters["versions_nights"]}
    return plan | {"outcome": _tell(found, size, parameters["mode"])}


def let_go(plan: dict[str, Any], parameters: RetentionParameters) -> dict[str, Any]:
    """Return what the plan lists, to be removed; nothing where the plan is a dry run.

    Args:
        plan: of `plan_retention`.
        parameters: the parameters `retention`.
    """
    progress.info("%s", plan["outcome"])
    return plan if parameters["mode"] == plan["mode"] == APPLY else {}


def _list_nights(parameters: RetentionParameters) -> dict[str, int]:
    return {
        "runs": parameters["runs_nights"],
        "versions": parameters["versions_nights"],
        "logs": parameters["logs_nights"],
        "pixels": parameters["pixels_nights"],
    }


def _list_needed(
    recorded: Iterable[Mapping[str, Any]], looks_back: HindsightParameters
) -> set[str | None]:
    """Return the versions that were champion, and those that the last decisions chose between."""
    decisions = list_decisions(ledger.sort_entries(recorded))[-looks_back["maximum_decisions"] :]
    judged = {decision[role] for decision in decisions for role in ("version", "against")}
    return list_champions(recorded) | judged


def _choose_versions(
    holdings: Holdings, uses: Iterable[Mapping[str, Any]], needed: set[str | None]
) -> list[dict[str, Any]]:
    """Return the versions that nothing rests on, however old they are.

    Never a champion, former or present, one with an alias, the newest, which new images are counted
    from, one that another registered model shares, or one that this project has not registered.
    """
    versions = holdings.list_versions()
    own = [version for version in versions if registry.read_digest(version["tags"])]
    others = {use["model_id"] for use in uses if use["model"] != holdings.model_name}
    return [
        version
        for version in own[:-1]
        if version["version"] not in needed
        and version["model_id"] is not None
        and version["model_id"] not in others
        and not version["aliases"]
        and registry.IN_USE_TAG not in version["tags"]
    ]


def _choose_old(
    parts: Iterable[Mapping[str, Any]], before: str, kept: set[str] | None = None
) -> list[Mapping[str, Any]]:
    return [part for part in parts if part["at"] < before and part["name"] not in (kept or ())]


def _tell(found: Mapping[str, list[Any]], size: int, mode: str) -> str:
    """Return what goes, a sentence."""
    parts = [
        f"{len(listed):,} {NOUNS[kind][len(listed) != 1]}"
        for kind, listed in found.items()
        if listed
    ]
    if not parts:
        return "nothing is old enough to be let go"
    listed = f"{', '.join(parts)}; {size / 2**20:,.0f} MiB of the storage, beside what MLflow holds"
    if mode == APPLY:
        return f"let go: {listed}"
    return f"dry run, nothing was removed. Old are {listed}. retention.mode 'apply' removes them"
