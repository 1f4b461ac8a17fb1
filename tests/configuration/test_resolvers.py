"""How the YAML files, the environment and a run's own parameters come together."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from kedro.config import OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from image_classification import tracking
from image_classification.configuration import resolvers
from image_classification.errors import ConfigurationError, TrackingError
from image_classification.settings import CONFIG_LOADER_ARGS

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path, storage: Path) -> Path:
    """A copy of the configuration, to be changed."""
    for path in (PROJECT / "conf").rglob("*.yml"):
        copy = tmp_path / path.relative_to(PROJECT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text())
    return tmp_path


def open_session(project: Path = PROJECT, **params: Any) -> KedroContext:
    bootstrap_project(PROJECT)
    session = KedroSession.create(
        project_path=PROJECT, conf_source=str(project / "conf"), runtime_params=params
    )
    return session.load_context()


def load(project: Path, key: str, env: str = "test", **params: Any) -> dict[str, Any]:
    loader = OmegaConfigLoader(
        conf_source=str(project / "conf"), env=env, runtime_params=params, **CONFIG_LOADER_ARGS
    )
    return loader[key]


def write(project: Path, path: str, text: str) -> None:
    (project / "conf" / path).parent.mkdir(exist_ok=True)
    (project / "conf" / path).write_text(text)


class TestMerging:
    def test_an_environment_changes_one_key_and_leaves_the_rest(self, project: Path) -> None:
        write(project, "production/parameters_training.yml", "training:\n  epochs: 77\n")

        base = load(project, "parameters", env="base")["training"]

        merged = load(project, "parameters", env="production")["training"]
        assert merged == {**base, "epochs": 77}

    def test_a_run_changes_one_key_over_an_environment_that_has_the_section(
        self, project: Path
    ) -> None:
        write(project, "production/parameters_training.yml", "training:\n  epochs: 77\n")

        merged = load(project, "parameters", env="production", training={"dropout": 0.5})

        base = load(project, "parameters", env="base")["training"]
        assert merged["training"] == {**base, "epochs": 77, "dropout": 0.5}

    def test_a_run_wins_over_the_environment(self, project: Path) -> None:
        write(project, "production/parameters_training.yml", "training:\n  epochs: 77\n")

        merged = load(project, "parameters", env="production", training={"epochs": 3})

        assert merged["training"]["epochs"] == 3

    @pytest.mark.parametrize("env", ["base", "test", "local"])
    def test_the_parameters_of_each_environment_are_valid(self, project: Path, env: str) -> None:
        from image_classification.configuration.parameters import check_parameters

        (project / "conf" / "local").mkdir(exist_ok=True)

        check_parameters(load(project, "parameters", env=env))


class TestChecksBeforeAnyWork:
    def test_an_unknown_key_of_globals_is_refused_with_the_one_that_was_meant(
        self, project: Path
    ) -> None:
        write(project, "test/globals.yml", "storage_rot: elsewhere\n")

        with pytest.raises(
            ConfigurationError, match=r"'storage_rot' is not a key.*Did you mean 'storage_root'"
        ):
            open_session(project)

    def test_a_misspelt_mode_does_not_promote(self, storage: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"'promotion.mode': .*Received: 'dry-run'"):
            open_session(promotion={"mode": "dry-run"})

    def test_an_unknown_network_is_refused_before_any_image_is_read(self, storage: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"'training.network': .*Received: 'tiny'"):
            open_session(training={"network": "tiny"})

    def test_a_server_that_is_not_there_is_named_at_once(
        self, storage: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        began_at = time.monotonic()

        with pytest.raises(TrackingError, match=r"'http://127\.0\.0\.1:9' does not answer"):
            open_session()

        assert time.monotonic() - began_at < 10
        assert not (storage / "mlflow").exists()

    def test_a_good_configuration_passes_and_makes_the_store(self, storage: Path) -> None:
        context = open_session()

        assert context.params["registered_model_name"] == "test-classifier"
        assert (storage / "mlflow" / "mlflow.db").exists()


class TestResolvers:
    def test_storage_is_below_the_project_by_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("IMAGE_CLASSIFICATION_STORAGE", raising=False)

        assert resolvers.locate_storage("data") == str(PROJECT / "data")

    @pytest.mark.parametrize("root", ["/somewhere/else", "s3://bucket/cells"])
    def test_storage_is_where_the_environment_says(
        self, monkeypatch: pytest.MonkeyPatch, root: str
    ) -> None:
        monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", root)

        assert resolvers.locate_storage("data") == root

    def test_an_empty_variable_counts_as_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", "")
        monkeypatch.setenv("SOME_NAME", "")

        assert resolvers.locate_storage("data") == str(PROJECT / "data")
        assert resolvers.read_environment("SOME_NAME", "default") == "default"

    def test_a_variable_wins_over_the_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert resolvers.read_environment("SOME_NAME") is None
        monkeypatch.setenv("SOME_NAME", "value")
        assert resolvers.read_environment("SOME_NAME", "default") == "value"

    def test_the_project_is_found_from_a_folder_outside_of_it(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert resolvers.find_project_path() == PROJECT

    def test_a_form_shows_the_value_of_base(self) -> None:
        import yaml

        file = PROJECT / "conf" / "base" / "parameters_training.yml"
        expected = yaml.safe_load(file.read_text())["training"]["epochs"]
        assert resolvers.read_parameter("training.epochs") == expected
        assert resolvers.read_parameter("promotion.mode") == "auto"

    def test_a_form_that_names_no_parameter_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match=r"no parameter 'training\.epoch'"):
            resolvers.read_parameter("training.epoch")

    def test_everything_of_a_run_lies_below_the_storage_root(self, storage: Path) -> None:
        catalog = load(PROJECT, "catalog", run_id="retraining/manual-1")
        paths = {
            name: entry.get("filepath") or entry.get("dataset", {}).get("filepath")
            for name, entry in catalog.items()
        }
        outside = {
            name for name, path in paths.items() if path and not path.startswith(f"{storage}/")
        }

        assert outside == set()
        assert paths["incoming_batches"] == f"{storage}/incoming"
        assert paths["image_batches"] == f"{storage}/images"
        assert paths["decision"] == f"{storage}/runs/retraining/manual-1/decision.json"
        assert paths["image_index"] == f"{storage}/index/images"

    def test_batches_arrive_and_are_kept_where_the_environment_says(
        self, storage: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("IMAGE_CLASSIFICATION_INCOMING", "s3://drop")
        monkeypatch.setenv("IMAGE_CLASSIFICATION_IMAGES", "s3://kept")
        catalog = load(PROJECT, "catalog")
        assert catalog["incoming_batches"]["filepath"] == "s3://drop"
        assert catalog["image_batches"]["filepath"] == "s3://kept"


class TestStore:
    def test_a_remote_storage_root_needs_a_server(self, tmp_path: Path) -> None:
        with pytest.raises(TrackingError, match=r"MLFLOW_TRACKING_URI"):
            tracking.prepare_store("sqlite:///s3://bucket/cells/mlflow/mlflow.db")

    def test_a_folder_that_cannot_be_made_is_named_with_the_remedy(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()

        with pytest.raises(TrackingError, match=r"cannot be made.*IMAGE_CLASSIFICATION_STORAGE"):
            tracking.prepare_store(f"sqlite:///{tmp_path}/file/mlflow.db")

    def test_a_server_that_answers_with_an_error_is_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import threading
        from http.server import BaseHTTPRequestHandler, HTTPServer

        class Answer(BaseHTTPRequestHandler):
            status = 500

            def do_GET(self) -> None:
                self.send_response(self.status if self.path == "/health" else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        with HTTPServer(("127.0.0.1", 0), Answer) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{server.server_port}"
            with pytest.raises(TrackingError, match="500 Server Error"):
                tracking.prepare_store(address)
            Answer.status = 200
            tracking.prepare_store(f"{address}/")
            server.shutdown()
