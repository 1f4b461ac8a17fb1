"""The registry, asked without MLflow, says what MLflow says."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import pytest
from mlflow import MlflowClient
from registered import register_version

from image_classification import tracking
from image_classification.vendor.mlflow_store import Registered, read_registered

MODEL = "cells"


@pytest.fixture(autouse=True)
def _no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)


class TestFile:
    @pytest.fixture
    def store(self, empty_store: Path, tmp_path: Path) -> str:
        """A store with two versions of a model, of which the second was deleted."""
        path = tmp_path / "a b.db"
        path.write_bytes(empty_store.read_bytes())
        uri = f"sqlite:///{path}"
        tracking.connect(uri)
        client = MlflowClient()
        run_id = client.create_run("0").info.run_id
        for number in ("1", "2"):
            assert register_version(MODEL, run_id, {"decision": "kept"}) == number
        client.update_model_version(MODEL, "1", "a card")
        client.set_registered_model_alias(MODEL, "champion", "1")
        client.set_registered_model_tag(MODEL, "ledger_head", "3 sha256:0")
        client.delete_model_version(MODEL, "2")
        return uri

    def test_it_says_what_mlflow_says(self, store: str) -> None:
        client = MlflowClient()
        model = client.get_registered_model(MODEL)
        found = client.get_model_version(MODEL, "1")
        assert read_registered(store, MODEL, "1") == Registered(
            tags=dict(model.tags),
            aliases={"champion": str(found.version)},
            versions={"1": str(found.description)},
        )
        known = Registered(dict(model.tags), {"champion": "1"})
        assert read_registered(store, MODEL, "2") == known
        assert read_registered(store, "other", "1") == Registered()

    def test_a_store_that_is_not_made_yet_knows_nothing_and_is_not_made(
        self, tmp_path: Path
    ) -> None:
        assert read_registered(f"sqlite:///{tmp_path}/mlflow.db", MODEL) == Registered()
        assert list(tmp_path.iterdir()) == []

    def test_a_file_of_another_kind_is_left_to_mlflow(self, tmp_path: Path) -> None:
        (tmp_path / "text.db").write_text("no database")
        sqlite3.connect(tmp_path / "empty.db").close()
        for name in ("text.db", "empty.db"):
            assert read_registered(f"sqlite:///{tmp_path}/{name}", MODEL) in (None, Registered())
        assert read_registered(f"sqlite:///{tmp_path}/text.db", MODEL) is None


class Registry(BaseHTTPRequestHandler):
    """MLflow's answers, as its REST API documents them."""

    answers: ClassVar[dict[str, Any]] = {
        "registered-models/get": {
            "registered_model": {
                "tags": [{"key": "ledger_head", "value": "3 sha256:0"}],
                "aliases": [{"alias": "champion", "version": "1"}],
            }
        },
        "model-versions/get": {"model_version": {"version": "1", "description": "a card"}},
    }

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        asked = dict(parse_qsl(address.query))
        login = base64.b64encode(b"viewer:secret").decode()
        if self.headers["Authorization"] != f"Basic {login}":
            self.answer(401, {"error_code": "UNAUTHENTICATED"})
        elif asked["name"] != MODEL or asked.get("version", "1") != "1":
            self.answer(404, {"error_code": "RESOURCE_DOES_NOT_EXIST"})
        else:
            self.answer(200, self.answers[address.path.removeprefix("/api/2.0/mlflow/")])

    def answer(self, code: int, content: object) -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None:
        pass


class TestServer:
    @pytest.fixture
    def server(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "viewer")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with HTTPServer(("127.0.0.1", 0), Registry) as server:
            thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()
            thread.join()

    def test_it_is_asked_as_its_api_is_documented(self, server: str) -> None:
        known = Registered({"ledger_head": "3 sha256:0"}, {"champion": "1"})
        assert read_registered(server, MODEL) == known
        assert read_registered(f"{server}/", MODEL, "1") == Registered(
            known.tags, known.aliases, {"1": "a card"}
        )
        assert read_registered(server, MODEL, "2") == known
        assert read_registered(server, "other", "1") == Registered()

    def test_what_it_refuses_is_left_to_mlflow_which_says_why(
        self, server: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
        assert read_registered(server, MODEL) is None
        assert read_registered("http://127.0.0.1:9", MODEL) is None


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://host/mlflow",
        "http://user:secret@host",
        "databricks",
        "",
        "sqlite:///a?mode=ro",
    ],
)
def test_other_stores_are_left_to_mlflow(uri: str) -> None:
    assert read_registered(uri, MODEL) is None


@pytest.mark.parametrize("name", ["MLFLOW_REGISTRY_URI", "MLFLOW_WORKSPACE"])
def test_another_registry_is_left_to_mlflow(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "other")
    assert read_registered(f"sqlite:///{tmp_path}/mlflow.db", MODEL) is None


def test_another_login_is_left_to_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    assert read_registered("http://127.0.0.1:9", MODEL) is None
