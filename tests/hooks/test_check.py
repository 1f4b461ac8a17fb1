"""What is wrong is refused before any work starts."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from storage_root import put_in_force

from image_classification.champion import sandbox
from image_classification.configuration.loader import LOADER_ARGUMENTS, ReadOnceConfigLoader
from image_classification.configuration.scope import Scope
from image_classification.datasets.neighbour import MARK
from image_classification.errors import ConfigurationError, TrackingError
from image_classification.hooks import CheckHook

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty storage root in force, with the `test` environment."""
    put_in_force(monkeypatch, tmp_path / "storage")
    return tmp_path / "storage"


def read_configuration(env: str = "test", **params: Any) -> ReadOnceConfigLoader:
    conf = str(PROJECT / "conf")
    return ReadOnceConfigLoader(conf, env=env, runtime_params=params, **LOADER_ARGUMENTS)


def check(loader: ReadOnceConfigLoader) -> None:
    context: Any = SimpleNamespace(config_loader=loader)
    CheckHook().after_context_created(context)


def identity(value: int) -> int:
    return value


def run_with(output: str) -> None:
    catalog = DataCatalog({"source": MemoryDataset(1), "decision": MemoryDataset()})
    pipeline = Pipeline([Node(identity, inputs="source", outputs=output, name="identity")])
    CheckHook().before_pipeline_run(pipeline=pipeline, catalog=catalog)


def test_accepts_a_pipeline_whose_datasets_are_all_declared() -> None:
    run_with("decision")


def test_refuses_a_misspelt_dataset_and_names_the_one_that_was_meant() -> None:
    with pytest.raises(ConfigurationError, match=r"'decisoin' is not in .*Did you mean 'decision'"):
        run_with("decisoin")


def test_an_unknown_key_of_globals_is_refused_with_the_one_that_was_meant() -> None:
    loader = read_configuration()
    loader["globals"] = loader["globals"] | {"storage_rot": "elsewhere"}

    with pytest.raises(
        ConfigurationError, match=r"'storage_rot' is not a key.*Did you mean 'storage_root'"
    ):
        check(loader)


def test_a_process_that_is_confined_sees_no_storage_of_another_project(
    storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, hidden in (("", storage), ("leaves", storage)):
        loader = read_configuration()
        loader.scope = Scope(name)
        loader["globals"] = loader["globals"] | {"storage_root": loader.scope.locate(str(storage))}
        check(loader)
        assert hidden in sandbox._hidden


@pytest.mark.parametrize(("dataset", "marks"), [("incoming_batches", True), ("images", False)])
def test_an_intake_marks_what_is_its_projects_of_shared_places(
    storage: Path, dataset: str, marks: bool
) -> None:
    catalog = DataCatalog({dataset: MemoryDataset(1), "decision": MemoryDataset()})
    pipeline = Pipeline([Node(identity, inputs=dataset, outputs="decision", name="identity")])
    for prefix in ("leaves", ""):
        loader = read_configuration()
        loader.scope = Scope(prefix)
        settings = {key: f"{storage}/{key}/{prefix}" for key in ("incoming", "images")}
        loader["globals"] = loader["globals"] | settings | {"storage_root": f"{storage}/{prefix}"}
        hook, context = CheckHook(), SimpleNamespace(config_loader=loader)
        hook.after_context_created(context)  # type: ignore[arg-type]
        hook.before_pipeline_run(pipeline=pipeline, catalog=catalog)
    marked = {path.parent.relative_to(storage).as_posix() for path in storage.rglob(MARK)}
    assert marked == ({"leaves", "incoming/leaves", "images/leaves"} if marks else set())


def test_an_unknown_network_is_refused_before_any_image_is_read() -> None:
    with pytest.raises(ConfigurationError, match=r"'training.network': .*Received: 'tiny'"):
        check(read_configuration(training={"network": "tiny"}))


def test_a_server_that_is_not_there_is_named_at_once(
    storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    began_at = time.monotonic()

    with pytest.raises(TrackingError, match=r"'http://127\.0\.0\.1:9' does not answer"):
        check(read_configuration())

    assert time.monotonic() - began_at < 10
    assert not (storage / "mlflow").exists()


def test_a_server_is_not_asked_again_by_a_run_that_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    check(read_configuration(mlflow_run_id="of an earlier task"))


def test_a_session_with_a_misspelt_mode_does_not_promote() -> None:
    with pytest.raises(ConfigurationError, match=r"'promotion.mode': .*Received: 'dry-run'"):
        load_context(promotion={"mode": "dry-run"})


def test_a_session_with_a_good_configuration_makes_the_store(storage: Path) -> None:
    context = load_context()

    assert context.params["registered_model_name"] == "test-classifier"
    assert (storage / "mlflow" / "mlflow.db").exists()


def load_context(**params: Any) -> Any:
    bootstrap_project(PROJECT)
    session = KedroSession.create(project_path=PROJECT, runtime_params=params)
    return session.load_context()


def test_a_run_that_loosens_a_rule_is_refused_before_the_store_is_made(storage: Path) -> None:
    loose = {"promotion": {"improvement": {"minimum_gain": -0.5}}}
    with pytest.raises(ConfigurationError, match="may not loosen the rules of the configuration"):
        check(read_configuration("local", **loose))
    assert not (storage / "mlflow").exists()
    load_context(**loose)  # the environment in force allows it
