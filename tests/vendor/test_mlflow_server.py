"""What MLflow's server opens, and what is read of it while it is down."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import flask
import mlflow
import pytest
from mlflow.exceptions import MlflowException

from image_classification.local.mlflow_settings import MLFLOW_APP
from image_classification.vendor import mlflow_server


@pytest.fixture
def destination(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the artifacts of a server."""
    folder = tmp_path / "artifacts"
    folder.mkdir()
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_DESTINATION", str(folder))
    return folder


def test_mlflow_finds_both_by_name() -> None:
    apps = entry_points(group="mlflow.app", name=MLFLOW_APP)
    assert [app.load() for app in apps] == [mlflow_server.create_app]
    served = entry_points(group="mlflow.artifact_repository", name="mlflow-artifacts")
    assert [each.load() for each in served] == [mlflow_server.open_served]


@pytest.mark.parametrize("place", ["{0}", "{0}/1/a", "file://{0}/1/a", "file:{0}"])
def test_the_server_opens_what_lies_in_its_artifacts(destination: Path, place: str) -> None:
    (destination / "1" / "a").mkdir(parents=True)
    opened = mlflow_server._open_below_destination(place.format(destination))
    assert Path(opened.artifact_dir).is_relative_to(destination)


@pytest.mark.parametrize(
    "place",
    ["/etc", "file:///etc", "file:/etc", "{0}/..", "{0}/1/../..", "file://{0}/%2e%2e", "{0}2", "."],
)
def test_the_server_opens_nothing_else(destination: Path, place: str) -> None:
    with pytest.raises(MlflowException, match="opens no folder but that of its artifacts"):
        mlflow_server._open_below_destination(place.format(destination))


def test_a_link_out_of_the_artifacts_is_not_followed(destination: Path) -> None:
    (destination / "link").symlink_to("/etc")
    with pytest.raises(MlflowException, match="opens no folder"):
        mlflow_server._open_below_destination(str(destination / "link"))


class TestExperiment:
    @pytest.fixture
    def ask(self) -> Any:
        app = flask.Flask("tried")
        app.before_request(mlflow_server._refuse_location)
        rule = "/api/2.0/mlflow/experiments/create"
        app.add_url_rule(rule, "create", lambda: "made", methods=["POST"])
        client, kind = app.test_client(), "application/json"
        return lambda body: client.post(rule, data=body, content_type=kind)

    def test_that_names_no_place_is_made(self, ask: Any) -> None:
        assert ask('{"name": "a"}').text == "made"

    @pytest.mark.parametrize(
        "body",
        [
            '{"name": "a", "artifact_location": "mlflow-artifacts:/1"}',
            '{"name": "a", "artifactLocation": "/etc"}',
            '"{\\"name\\": \\"a\\", \\"artifact_location\\": \\"/etc\\"}"',
        ],
    )
    def test_that_names_its_place_is_refused(self, ask: Any, body: str) -> None:
        assert ask(body).status_code in (400, 403)

    @pytest.mark.parametrize("body", ["", "[]", "nothing", '{"no_such_field": 1}'])
    def test_that_is_no_request_is_left_to_mlflow_or_refused(self, ask: Any, body: str) -> None:
        assert ask(body).status_code in (200, 400)


def test_what_a_server_keeps_is_read_and_written_while_it_is_down(
    mlflow_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = mlflow.MlflowClient()
    experiment = client.create_experiment("served", "mlflow-artifacts:/1")
    run = client.create_run(experiment)
    client.log_text(run.info.run_id, "hello", "notes/a.txt")
    folder = Path(mlflow_store.removeprefix("sqlite:///")).parent / "artifacts" / "1"
    assert (folder / run.info.run_id / "artifacts" / "notes" / "a.txt").read_text() == "hello"
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/notes/a.txt") == "hello"


def test_an_address_that_leads_out_of_what_a_server_keeps_is_refused(mlflow_store: str) -> None:
    with pytest.raises(MlflowException, match="Invalid path"):
        mlflow_server.open_served("mlflow-artifacts:/../../etc", mlflow_store)


def test_a_server_is_asked_where_there_is_one() -> None:
    opened = mlflow_server.open_served("mlflow-artifacts:/1/a", "http://127.0.0.1:5000")
    assert type(opened).__name__ == "MlflowArtifactsRepository"
