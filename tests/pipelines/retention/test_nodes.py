"""What is old goes, and nothing that something rests on does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from judgement import make_entry

from image_classification.gate import verdict
from image_classification.pipelines.retention.nodes import let_go, plan_retention

MODEL = "cells"
NIGHTS = {"runs": 30, "versions": 60, "logs": 20, "pixels": 10}
PARAMETERS: Any = {"mode": "dry_run"} | {f"{kind}_nights": n for kind, n in NIGHTS.items()}
LISTS = ("run_folders", "mlflow_runs", "versions", "models", "logs", "pixels")


def ago(nights: float) -> str:
    return (datetime.now(UTC) - timedelta(days=nights)).isoformat(timespec="seconds")


def make_version(number: int, nights: float = 100, **more: Any) -> dict[str, Any]:
    return {
        "version": str(number),
        "model_id": f"m-{number}",
        "run_id": f"r{number}",
        "created_at": ago(nights),
        "aliases": [],
        "tags": {"images_digest": "d"},
        **more,
    }


class Held:
    """Stands for what storage and MLflow hold: five old versions, each with its run and model."""

    model_name = MODEL

    def __init__(self, **changed: Any) -> None:
        self.versions = changed.get("versions", [make_version(number) for number in range(1, 6)])
        self.runs = [
            {
                "run_id": one["run_id"],
                "key": f"retraining/{one['run_id']}",
                "ended_at": ago(100),
                "params": {"image_size_px": "48"},
            }
            for one in self.versions
        ]
        self.models = [
            {"model_id": one["model_id"], "run_id": one["run_id"], "created_at": ago(100)}
            for one in self.versions
        ]
        self.uses = [{"model": MODEL, **one} for one in self.versions]
        self.parts: dict[str, list[dict[str, Any]]] = {"run_folders": [], "logs": [], "pixels": []}

    def list_versions(self) -> Any:
        return self.versions

    def list_runs(self) -> Any:
        return self.runs

    def list_models(self) -> Any:
        return self.models

    def list_uses(self) -> Any:
        return self.uses

    def list_run_folders(self) -> Any:
        return self.parts["run_folders"]

    def list_logs(self) -> Any:
        return self.parts["logs"]

    def list_pixels(self) -> Any:
        return self.parts["pixels"]


def plan(held: Held, *entries: dict[str, Any], decisions: int = 1, **changed: Any) -> Any:
    looks_back: Any = {"maximum_decisions": decisions}
    ledger = {str(number): entry for number, entry in enumerate(entries)}
    return plan_retention(held, ledger, 64, looks_back, PARAMETERS | changed)  # type: ignore[arg-type]


def list_versions(made: Any) -> list[str]:
    return [version["version"] for version in made["versions"]]


def decide(event: str, number: str, before: str | None = None, after: str | None = None) -> Any:
    entry = make_entry(event, number, before, after, at=ago(100 - int(number)))
    return {**entry, "model": MODEL, "mlflow_run_id": f"r{number}"}


FIRST = decide(verdict.PROMOTED, "1", None, "1")
KEPT = [decide(verdict.KEPT, number, "1", "1") for number in ("2", "3")]


class TestVersions:
    def test_packages_go_of_old_versions_that_were_never_champion(self) -> None:
        made = plan(Held(), FIRST, *KEPT)
        # 1 is champion, 3 and 1 the last decision, 5 the newest.
        assert made["versions"] == [
            {"version": "2", "model_id": "m-2", "is_recorded": True},
            {"version": "4", "model_id": "m-4", "is_recorded": False},
        ]

    def test_a_former_champion_stays(self) -> None:
        second = decide(verdict.PROMOTED, "2", "1", "2")
        third = decide(verdict.PROMOTED, "3", "2", "3")
        rolled = decide(verdict.ROLLED_BACK, "2", "3", "2")
        assert list_versions(plan(Held(), FIRST, second, third, rolled)) == ["4"]

    def test_a_champion_from_before_there_was_a_ledger_stays(self) -> None:
        held = Held()
        held.versions[0]["tags"]["in_use"] = "until 2026-01-01"
        assert list_versions(plan(held)) == ["2", "3", "4"]

    @pytest.mark.parametrize("alias", ["champion", "challenger", "demo"])
    def test_a_version_with_an_alias_stays(self, alias: str) -> None:
        held = Held()
        held.versions[1]["aliases"] = [alias]
        assert list_versions(plan(held)) == ["1", "3", "4"]

    def test_the_versions_of_the_last_decisions_stay(self) -> None:
        assert list_versions(plan(Held(), FIRST, *KEPT, decisions=2)) == ["4"]

    def test_a_young_version_stays(self) -> None:
        versions = [make_version(1), make_version(2, NIGHTS["versions"] - 1), make_version(3)]
        assert list_versions(plan(Held(versions=versions))) == ["1"]

    def test_a_version_of_somebody_else_stays(self) -> None:
        versions = [make_version(1), make_version(2, tags={}), make_version(3)]
        assert list_versions(plan(Held(versions=versions))) == ["1"]

    def test_a_package_that_another_registered_model_shares_stays(self) -> None:
        held = Held()
        held.uses.append({"model": "production", "version": "1", "model_id": "m-2", "run_id": "r2"})
        assert list_versions(plan(held)) == ["1", "3", "4"]

    def test_a_version_stays_while_its_run_goes_on(self) -> None:
        held = Held()
        held.runs[1]["ended_at"] = ""
        assert list_versions(plan(held)) == ["1", "3", "4"]

    def test_what_lost_its_package_before_is_not_named_again(self) -> None:
        held = Held()
        held.models = [model for model in held.models if model["model_id"] not in ("m-2", "m-4")]
        # 4, which no entry is about, was to be deleted, and that was interrupted.
        assert list_versions(plan(held, FIRST, *KEPT)) == ["4"]

    def test_a_version_that_is_no_logged_model_stays(self) -> None:
        versions = [make_version(1, model_id=None), make_version(2), make_version(3)]
        assert list_versions(plan(Held(versions=versions))) == ["2"]


class TestRuns:
    def test_runs_go_that_neither_a_version_nor_the_ledger_names(self) -> None:
        held = Held()
        held.runs += [
            {"run_id": "intake", "key": "data_processing/1", "ended_at": ago(31), "params": {}},
            {"run_id": "young", "key": "data_processing/2", "ended_at": ago(29), "params": {}},
            {"run_id": "open", "key": "data_processing/3", "ended_at": "", "params": {}},
            {"run_id": "judged", "key": "retraining/9", "ended_at": ago(100), "params": {}},
        ]
        judged = {**FIRST, "mlflow_run_id": "judged"}
        made = plan(held, judged, *KEPT)
        # r4 is of version 4, which is deleted.
        assert made["mlflow_runs"] == ["r4", "intake"]

    def test_the_run_of_a_version_stays_where_another_model_has_the_version_too(self) -> None:
        held = Held()
        held.uses.append({"model": "production", "version": "1", "model_id": "m-9", "run_id": "r4"})
        assert plan(held)["mlflow_runs"] == ["r1", "r2", "r3"]

    def test_an_entry_of_another_model_keeps_its_run(self) -> None:
        other = {**FIRST, "model": "leaves", "mlflow_run_id": "r4"}
        assert plan(Held(), other)["mlflow_runs"] == ["r1", "r2", "r3"]

    def test_folders_of_old_runs_go_but_for_those_that_go_on(self) -> None:
        held = Held()
        held.runs[0] |= {"ended_at": "", "key": "review/waits"}
        held.parts["run_folders"] = [
            {"name": "review/waits", "at": ago(100), "bytes": 2**20},
            {"name": "retraining/old", "at": ago(31), "bytes": 2**20},
            {"name": "retraining/young", "at": ago(29), "bytes": 2**20},
        ]
        made = plan(held)
        assert made["run_folders"] == ["retraining/old"]
        assert made["bytes"] == 2**20

    def test_packages_that_no_version_names_go(self) -> None:
        held = Held()
        held.runs.append({"run_id": "open", "key": "", "ended_at": "", "params": {}})
        held.models += [
            {"model_id": "m-failed", "run_id": "r9", "created_at": ago(61)},
            {"model_id": "m-young", "run_id": "r9", "created_at": ago(59)},
            {"model_id": "m-open", "run_id": "open", "created_at": ago(61)},
        ]
        assert plan(held)["models"] == ["m-failed"]


def test_old_logs_go_and_pixels_of_sizes_that_are_not_in_use() -> None:
    held = Held()
    held.parts["logs"] = [
        {"name": "/logs/a.log", "at": ago(21), "bytes": 1},
        {"name": "/logs/b.log", "at": ago(19), "bytes": 2},
    ]
    held.parts["pixels"] = [
        {"name": "32px", "at": ago(11), "bytes": 4},
        {"name": "48px", "at": ago(9), "bytes": 8},
        {"name": "64px", "at": ago(100), "bytes": 16},
        {"name": "96px", "at": ago(100), "bytes": 32},
    ]
    held.runs.append(
        {"run_id": "open", "key": "", "ended_at": "", "params": {"image_size_px": "96"}}
    )
    made = plan(held)
    assert (made["logs"], made["pixels"], made["bytes"]) == (["/logs/a.log"], ["32px"], 5)


def test_a_dry_run_says_what_is_old_and_how_to_remove_it() -> None:
    made = plan(Held(), FIRST, *KEPT)
    assert made["outcome"] == (
        "dry run, nothing was removed. Old are 1 MLflow run, 2 packages of versions; 0 MiB of the "
        "storage, beside what MLflow holds. retention.mode 'apply' removes them"
    )
    assert let_go(made, PARAMETERS) == {}


def test_applied_it_lets_go_what_was_planned() -> None:
    made = plan(Held(), FIRST, *KEPT, mode="apply")
    assert made["outcome"].startswith("let go: 1 MLflow run, 2 packages of versions; ")
    assert let_go(made, PARAMETERS | {"mode": "apply"}) == made
    # A plan of a dry run, taken up by a run that applies, removes nothing.
    dry = plan(Held(), FIRST, *KEPT)
    assert let_go(dry, PARAMETERS | {"mode": "apply"}) == {}
    assert let_go(made, PARAMETERS) == {}


def test_where_nothing_is_old_it_says_so() -> None:
    made = plan(Held(versions=[make_version(1)]), FIRST)
    assert made["outcome"] == "nothing is old enough to be let go"
    assert not any(made[kind] for kind in LISTS)
