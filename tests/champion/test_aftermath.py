"""What follows the nodes: each step on its own, and all of them in one process."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from judgement import make_comparison, make_facts, make_policy
from kedro.io import DataCatalog, MemoryDataset
from kedro_datasets.pickle import PickleDataset

from image_classification import tracking
from image_classification.champion import aftermath, registry
from image_classification.champion.aftermath import Aftermath
from image_classification.champion.audit import Audit
from image_classification.champion.record import PLOTS
from image_classification.champion.statement import DecisionRun, Statement
from image_classification.configuration.tag import PROMOTION
from image_classification.errors import LedgerError, RegistryError, SealedError
from image_classification.gate import judgement

AIRFLOW = DecisionRun("run", "retraining/manual__1", "http://airflow")
SUMMARY = {
    "data_digest": "tonight",
    "images": 800,
    "patients": 40,
    "captured_until": "2015-12-07",
    "index_until": "2026-11-22T02:00:00+00:00",
    "batches": ["first"],
    "splits": {"train": {"digest": "rows"}},
    "split_rule": {"split_salt": "salt"},
}


class Release:
    """Stands for what is done with the registered model: remembers what it was asked."""

    def __init__(self, decision: dict[str, Any]) -> None:
        self.decision = decision
        self.asked: list[Any] = []

    def measure_package(self, version: str) -> dict[str, Any]:
        self.asked.append(("measure", version))
        return {"load_s": 1.0}

    def conclude(self, version: str, compared: Any, package: Any) -> dict[str, Any]:
        self.asked.append(("conclude", version, package))
        return self.decision

    def log_decision(self, decision: dict[str, Any]) -> None:
        self.asked.append("log")

    def promote(self, version: str, decision: Any, statement: Statement) -> str:
        self.asked.append(("promote", version, statement.by))
        assert decision == self.decision
        return "promoted"

    def keep(self, version: str, decision: Any, event: str, statement: Statement) -> str:
        self.asked.append(("keep", version, event, statement.by))
        assert decision == self.decision
        return "kept"

    def roll_back(self, plan: Any) -> str:
        self.asked.append(("roll back", plan["to"]))
        return "rolled back"


def make_catalog(**entries: Any) -> DataCatalog:
    datasets = {name: MemoryDataset(value) for name, value in entries.items()}
    datasets.setdefault("params:registered_model_name", MemoryDataset("cells"))
    for name in ("package_measures", "decision", "rollback_plan", "logged_model"):
        datasets.setdefault(name, MemoryDataset())
    return DataCatalog(datasets)


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was written of which run."""
    written: list[tuple[str, str]] = []
    monkeypatch.setattr(tracking, "record_outcome", lambda *what: written.append(what))
    return written


def follow(mode: str, gain: float = 0.01, **how: Any) -> tuple[Release, DataCatalog, str]:
    """Let all that follows a comparison be done in one process."""
    compared = make_comparison(tests={"low": gain - 0.005, "gain": gain})
    decision = judgement.judge(compared, make_facts(), make_policy(mode=mode))
    catalog = make_catalog(comparison=compared)
    after, release = Aftermath(catalog, DecisionRun("run")), Release(decision)
    after.__dict__["release"] = release
    return release, catalog, after.follow(None, decides=True, **how)


def test_a_decision_shows_the_baseline_of_its_run_where_there_is_one() -> None:
    decision = judgement.judge(make_comparison(), make_facts(), make_policy())
    for entries in ({}, {"baseline_report": {"accuracy": 0.8}}):
        catalog = make_catalog(comparison=make_comparison(), package_measures={}, **entries)
        after = Aftermath(catalog, DecisionRun("run"))
        after.__dict__["release"] = Release(dict(decision))
        after.decide()
        assert catalog.load("decision").get("baseline") == entries.get("baseline_report")


@pytest.mark.parametrize(
    ("mode", "gain", "does"),
    [
        ("auto", 0.01, ("promote", "4", "the policy")),
        ("approve", 0.01, ("keep", "4", "rejected", "nobody")),
        ("dry_run", 0.01, ("keep", "4", "dry run", "the policy")),
        ("auto", 0.0, ("keep", "4", "kept champion", "the policy")),
        ("approve", 0.0, ("keep", "4", "kept champion", "the policy")),
    ],
)
def test_a_comparison_is_measured_judged_and_carried_out(
    outcomes: list[tuple[str, str]], mode: str, gain: float, does: tuple[str, ...]
) -> None:
    release, catalog, outcome = follow(mode, gain)
    assert release.asked == [("measure", "4"), ("conclude", "4", {"load_s": 1.0}), "log", does]
    assert catalog.load("decision") == release.decision
    assert catalog.load("package_measures") == {"load_s": 1.0}
    assert outcomes == [("run", outcome)]


def test_an_unfair_comparison_is_refused(outcomes: list[tuple[str, str]]) -> None:
    compared = make_comparison()
    decision = judgement.judge(compared, make_facts(rolled_back="by Ada"), make_policy())
    catalog = make_catalog(comparison=compared, package_measures={"load_s": 1.0})
    after, release = Aftermath(catalog, AIRFLOW), Release(decision)
    after.__dict__["release"] = release
    action, reason = after.decide()
    assert (action.name, action.task) == ("refuse", "refuse_challenger")
    assert "rolled back: by Ada" in reason
    after.keep(Statement())
    assert release.asked[-1] == ("keep", "4", "refused", "the policy")


def test_the_model_is_changed_by_the_ledger_and_the_policy_of_the_catalog(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aftermath, "Release", lambda *given: given)
    ledger, policy = MemoryDataset(), make_policy()
    catalog = make_catalog(**{"params:promotion": policy})
    catalog["ledger"] = ledger
    monkeypatch.setattr(aftermath, "locate_artifact_path", lambda _, name: f"plots/{name}.png")
    plots = {title: f"plots/{name}.png" for title, name in PLOTS.items()}
    assert Aftermath(catalog, AIRFLOW).release == ("cells", ledger, policy, AIRFLOW, plots)


def test_nothing_follows_a_run_that_compares_and_plans_nothing() -> None:
    assert Aftermath(make_catalog(), DecisionRun("run")).follow(None) == ""


def test_a_plan_of_a_rollback_is_carried_out(outcomes: list[tuple[str, str]]) -> None:
    release = Release({})
    after = Aftermath(make_catalog(rollback_plan={"to": "2"}), DecisionRun("run"))
    after.__dict__["release"] = release
    assert after.follow(None, rolls_back=True) == "rolled back"
    assert release.asked == [("roll back", "2")]
    assert outcomes == [("run", "rolled back")]


def test_the_version_that_a_run_is_about_is_the_one_planned_judged_or_registered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = SimpleNamespace(version=7)
    monkeypatch.setattr(registry, "find_version_of_model", lambda *_: own)
    judged = {"challenger": {"version": "4"}}
    plan = {"to": "2"}
    for entries, expected in (
        ({"rollback_plan": plan, "decision": judged}, "2"),
        ({"decision": judged}, "4"),
        ({"logged_model": NOTE}, "7"),
    ):
        assert Aftermath(make_catalog(**entries), AIRFLOW).find_candidate() == expected
    assert Aftermath(make_catalog(), AIRFLOW).find_candidate() is None


def test_a_network_that_was_just_trained_is_judged_as_the_version_of_its_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalog = make_catalog(comparison={"challenger": {"version": ""}}, logged_model=NOTE)
    monkeypatch.setattr(registry, "find_version_of_model", lambda *_: SimpleNamespace(version=7))
    assert Aftermath(catalog, AIRFLOW).challenger == "7"
    monkeypatch.setattr(registry, "find_version_of_model", lambda *_: None)
    with pytest.raises(RegistryError, match="run log_model again"):
        _ = Aftermath(catalog, AIRFLOW).challenger


# The model of a run is logged once


def log_model(
    monkeypatch: pytest.MonkeyPatch, folder: Path, run: DecisionRun, note: dict[str, str] | None
) -> tuple[str, list[Any], DataCatalog]:
    """Log the model of a run, which has this note about the one that it has logged before."""
    (folder / "network").write_bytes(b"the network now")
    logged: list[Any] = []
    monkeypatch.setattr(tracking, "is_model_ready", lambda model_id: model_id == "m-ready")
    monkeypatch.setattr(tracking, "discard_models", lambda *_: logged.append("discard"))
    monkeypatch.setattr(tracking, "log_model_frugally", lend)
    monkeypatch.setattr(
        aftermath.package, "seal", lambda name, files, cells: logged.append((name, files, cells))
    )
    monkeypatch.setattr(aftermath, "log_pipeline_model", lambda *_: sealing[-1]("m-new", folder))
    monkeypatch.setattr(
        registry,
        "register_challenger",
        lambda *given: logged.append(given) or SimpleNamespace(version="3"),
    )
    catalog = make_catalog(golden_cells="some cells", data_summary=SUMMARY)
    if note is not None:
        catalog.save("logged_model", note)
    catalog["network"] = PickleDataset(filepath=str(folder / "network"))
    pipeline: Any = SimpleNamespace()
    return Aftermath(catalog, run).log_challenger(pipeline), logged, catalog


sealing: list[Any] = []


def lend(seal: Any) -> Any:
    sealing.append(seal)
    return nullcontext()


NETWORK_NOW = hashlib.sha256(b"the network now").hexdigest()
NOTE = {"mlflow_run_id": "run", "model_id": "m-ready", "network_digest": NETWORK_NOW}


def test_a_model_is_sealed_and_noted_before_it_is_uploaded_and_registered_by_its_id(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = DecisionRun("run", "retraining/manual__1", "http://airflow")
    monkeypatch.setattr(tracking, "resume_run", lambda *_: nullcontext())
    version, logged, catalog = log_model(monkeypatch, tmp_path, run, None)
    assert version == "3"
    discarded, sealed, (name, model_id, tags) = logged
    assert (discarded, sealed) == ("discard", ("cells", tmp_path, "some cells"))
    assert (name, model_id) == ("cells", "m-new")
    assert tags["images_digest"] == "tonight"
    assert next(iter(tags)) == "decision"
    assert catalog.load("logged_model") == {**NOTE, "model_id": "m-new"}


def test_a_retry_registers_the_model_already_logged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    version, logged, _ = log_model(monkeypatch, tmp_path, AIRFLOW, NOTE)
    assert version == "3"
    assert [given[:2] for given in logged] == [("cells", "m-ready")]


@pytest.mark.parametrize(
    "note",
    [
        {**NOTE, "model_id": "m-cut-short"},
        {**NOTE, "mlflow_run_id": "an earlier run", "network_digest": "of another network"},
    ],
)
def test_a_model_that_was_cut_short_or_is_of_another_run_is_logged_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, note: dict[str, str]
) -> None:
    _, logged, catalog = log_model(monkeypatch, tmp_path, DecisionRun("run"), note)
    assert logged[-1][1] == "m-new"
    assert catalog.load("logged_model")["mlflow_run_id"] == "run"


def test_a_run_that_was_trained_again_after_its_model_was_logged_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    note = {**NOTE, "network_digest": "of the network before"}
    with pytest.raises(RegistryError, match=r"of another network.*Trigger a new run"):
        log_model(monkeypatch, tmp_path, AIRFLOW, note)


@pytest.mark.parametrize(
    ("run", "named"),
    [(AIRFLOW, "retraining/manual__1 may not"), (DecisionRun("run"), "This run may")],
)
@pytest.mark.parametrize("entry", [None, {"event": "promoted"}])
def test_what_was_decided_is_not_decided_again_and_the_run_is_named(
    run: DecisionRun, named: str, entry: dict[str, str] | None
) -> None:
    after = Aftermath(make_catalog(decision={"challenger": {"version": "4"}}), run)
    after.__dict__["release"] = SimpleNamespace(read_last=lambda: entry)
    after.refuse_sealed({"another part"})
    if entry is None:
        after.refuse_sealed({PROMOTION})
        return
    with pytest.raises(SealedError, match=f"^{named}.*ledger holds what came of it.*Trigger a new"):
        after.refuse_sealed({PROMOTION})


@pytest.mark.parametrize(("error", "stops"), [(RegistryError, False), (LedgerError, True)])
def test_what_cannot_be_ended_stops_no_night_but_a_store_that_keeps_nothing_does(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception], stops: bool
) -> None:
    def fail() -> list[str]:
        raise error("version 2 is gone")

    after = Aftermath(DataCatalog(), DecisionRun("run"))
    after.__dict__["release"] = SimpleNamespace(look=fail, audit=lambda: Audit(moved=["moved"]))
    monkeypatch.setattr(tracking, "tag_run", lambda *_: None)
    if stops:
        with pytest.raises(LedgerError):
            after.look()
        return
    urgent, told = after.look()
    assert urgent == ["moved"]
    assert told == ["What an earlier run has left half done stays so: version 2 is gone"]
