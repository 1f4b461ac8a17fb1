"""Where MLflow keeps runs: what cannot work is refused at once, with the remedy."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from mlflow import MlflowClient

from image_classification import tracking
from image_classification.errors import TrackingError
from image_classification.tracking import store


class Health(BaseHTTPRequestHandler):
    status = 500
    login: str | None = None

    def do_GET(self) -> None:
        refused = self.login and self.headers["Authorization"] != self.login
        self.send_response(401 if refused else self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Health) as listening:
        threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


def test_a_remote_storage_root_needs_a_server() -> None:
    with pytest.raises(TrackingError, match=r"MLFLOW_TRACKING_URI"):
        tracking.prepare_store("sqlite:///s3://bucket/cells/mlflow/mlflow.db")


def test_a_folder_that_cannot_be_made_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(TrackingError, match=r"cannot be made.*IMAGE_CLASSIFICATION_STORAGE"):
        tracking.prepare_store(f"sqlite:///{tmp_path}/file/mlflow.db")


def test_the_folder_of_a_file_is_made(tmp_path: Path) -> None:
    tracking.prepare_store(f"sqlite:///{tmp_path}/not/there/mlflow.db")
    assert (tmp_path / "not" / "there").is_dir()


def test_a_path_that_no_address_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"cannot be opened: its path holds '\?'"):
        tracking.prepare_store(f"sqlite:///{tmp_path}/a?b/mlflow.db")
    assert not list(tmp_path.iterdir())


def test_runs_that_start_together_on_a_new_storage_make_its_tables_once(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(tracking.prepare_store, [uri] * 4))
    assert MlflowClient(uri).search_experiments()
    assert [path.name for path in (tmp_path / "mlflow").iterdir()] == ["mlflow.db"]


def test_a_server_on_a_file_serves_the_artifacts_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(store.SERVED_FROM, "elsewhere")
    tracking.prepare_store(f"sqlite:///{tmp_path}/a b/mlflow.db")
    assert os.environ[store.SERVED_FROM] == f"file://{tmp_path}/a%20b/artifacts"


def test_a_store_that_has_runs_is_left_as_it_is(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracking.prepare_store(uri)
    made = MlflowClient(uri).create_experiment("kept")
    tracking.prepare_store(uri)
    assert MlflowClient(uri).get_experiment(made).name == "kept"


def test_a_store_that_was_left_half_made_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "HALF_MADE_TIMEOUT_S", 0)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as half:
        half.execute("CREATE TABLE experiments (name TEXT)")
    with pytest.raises(TrackingError, match=r"is half made.*Remove the file"):
        tracking.prepare_store(f"sqlite:///{tmp_path}/mlflow.db")
    tracking.prepare_store(f"sqlite:///{tmp_path}/mlflow.db", ask=False)


def test_a_server_that_answers_with_an_error_is_refused(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TrackingError, match="500 Server Error"):
        tracking.prepare_store(server)
    tracking.prepare_store(server, ask=False)
    monkeypatch.setattr(Health, "status", 200)
    tracking.prepare_store(f"{server}/")


def test_a_server_that_asks_for_a_login_is_told_from_one_that_refuses_it(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Health, "status", 200)
    monkeypatch.setattr(Health, "login", "Basic dGFza3M6cmlnaHQ=")
    with pytest.raises(TrackingError, match=r"asks for a login, and finds none in MLFLOW_.*login"):
        tracking.prepare_store(server)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "tasks")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    with pytest.raises(TrackingError, match="refuses that of MLFLOW_TRACKING_USERNAME") as refused:
        tracking.prepare_store(server)
    assert "wrong" not in str(refused.value)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "right")
    tracking.prepare_store(server)


def test_a_password_in_an_address_is_not_shown() -> None:
    with pytest.raises(TrackingError) as refused:
        tracking.prepare_store("http://ada:hidden@127.0.0.1:9")
    assert "hidden" not in str(refused.value)
    assert "http://127.0.0.1:9" in str(refused.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://ada:hidden@host:9/a?b", "http://host:9/a?b"),
        ("postgresql://ada:hid@den@host/mlflow", "postgresql://host/mlflow"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
        ("runs/a@b", "runs/a@b"),
    ],
)
def test_an_address_is_shown_without_its_login(address: str, shown: str) -> None:
    assert tracking.hide_login(address) == shown


def test_a_server_that_does_not_answer_is_named_with_the_remedy() -> None:
    with pytest.raises(TrackingError, match=r"http://127.0.0.1:9.*MLFLOW_TRACKING_URI"):
        tracking.prepare_store("http://127.0.0.1:9")


def test_a_server_of_an_open_run_is_not_asked_whether_it_is_well() -> None:
    tracking.prepare_store("http://127.0.0.1:9", ask=False)


def test_an_experiment_is_made_once(mlflow_store: str, tmp_path: Path) -> None:
    place = f"{tmp_path}/artifacts"
    first = tracking.open_experiment("cells", artifact_location=place)
    assert tracking.open_experiment("cells", artifact_location="elsewhere") == first
    assert MlflowClient().get_experiment(first).artifact_location == place
    assert tracking.read_uri() == mlflow_store


def test_an_experiment_that_was_deleted_is_restored_if_asked(mlflow_store: str) -> None:
    first = tracking.open_experiment("cells")
    MlflowClient().delete_experiment(first)
    tracking.open_experiment("cells", restore=False)
    assert MlflowClient().get_experiment(first).lifecycle_stage == "deleted"
    assert tracking.open_experiment("cells") == first
    assert MlflowClient().get_experiment(first).lifecycle_stage == "active"
