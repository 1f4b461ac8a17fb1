"""The pages in Airflow: who may see them, and what a browser may do there."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import airflow_home  # noqa: F401 - before Airflow is imported
import pytest
from fastapi import Depends, HTTPException
from fastapi.testclient import TestClient

from image_classification.configuration.scope import Scope
from image_classification.orchestration import night_app
from image_classification.orchestration.address import locate_night
from image_classification.orchestration.run_name import name_run
from image_classification.pages import NIGHTS

PROJECT = Path(__file__).resolve().parents[2]
RUN_ID = "a" * 32
PAGE = '<html><body><a href="index.html">All nights</a></body></html>'


@pytest.fixture(scope="module")
def _storage(tmp_path_factory: pytest.TempPathFactory, sessions_read_once: None) -> Path:
    """The place of a storage: one for all tests, so that its configuration is read once."""
    return tmp_path_factory.mktemp("laboratory") / "storage"


@pytest.fixture
def folder(_storage: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the pages, in an empty storage that is in force."""
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(_storage))
    shutil.rmtree(_storage, ignore_errors=True)
    (_storage / "pages").mkdir(parents=True)
    return _storage / "pages"


@pytest.fixture
def client(folder: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """Somebody who is logged in."""
    asked: list[str] = []
    monkeypatch.setattr(
        night_app, "require_reader", lambda dag_id: Depends(lambda: asked.append(dag_id))
    )
    app = night_app.make_app()
    (folder / f"{RUN_ID}.html").write_text(PAGE)
    return TestClient(app)


def test_nobody_sees_a_page_without_a_login(folder: Path) -> None:
    (folder / "index.html").write_text("secret")
    from airflow.api_fastapi.app import create_auth_manager, init_auth_manager

    init_auth_manager()
    assert create_auth_manager()
    stranger = TestClient(night_app.make_app())
    for path in ("/", "/index.html", f"/{RUN_ID}.html", "/run/retraining/one", "/../x", "/x"):
        answer = stranger.get(path)
        assert answer.status_code in (401, 404), path
        assert "secret" not in answer.text
    for path in ("/index.html", "/run/retraining/one"):
        answer = stranger.get(path, follow_redirects=False)
        assert answer.status_code == 401
        assert "Log in first" in answer.text
        assert "sandbox" in answer.headers["content-security-policy"]
    stranger.headers["Authorization"] = "Bearer forged"
    assert stranger.get("/index.html").status_code in (401, 403)


def test_who_may_not_read_the_nightly_dag_sees_no_page(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise HTTPException(403)

    monkeypatch.setattr(night_app, "require_reader", lambda _: Depends(refuse))
    (folder / f"{RUN_ID}.json").write_text(json.dumps({"airflow_run": "retraining/one"}))
    client = TestClient(night_app.make_app())
    for path in (f"/{RUN_ID}.html", "/run/retraining/one", "/run/retraining/two"):
        assert client.get(path).status_code == 403


def test_a_page_is_shown_in_a_sandbox(client: TestClient) -> None:
    answer = client.get(f"/{RUN_ID}.html")
    assert (answer.status_code, answer.text) == (200, PAGE)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox allow-same-origin " in policy
    assert "allow-scripts" not in policy
    assert "frame-ancestors 'self'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_in_a_frame_the_addresses_are_shown(client: TestClient) -> None:
    framed = client.get(f"/{RUN_ID}.html", headers={"Sec-Fetch-Dest": "iframe"})
    assert '<body class="framed">' in framed.text


@pytest.mark.parametrize(
    "name",
    ["..%2Fledger%2Fx", "secret.html", f"{RUN_ID}.json", "%2e%2e", "a" * 31 + ".html"],
)
def test_nothing_but_pages_is_read(client: TestClient, folder: Path, name: str) -> None:
    (folder / "secret.html").write_text("secret")
    (folder / f"{RUN_ID}.json").write_text("{}")
    answer = client.get(f"/{name}")
    assert answer.status_code == 404
    assert "secret" not in answer.text
    assert "sandbox" in answer.headers["content-security-policy"]


def test_a_dag_run_leads_to_its_page(client: TestClient, folder: Path) -> None:
    record = {"airflow_run": "retraining/manual__2026-11-22T02-00-00-00-00"}
    (folder / f"{RUN_ID}.json").write_text(json.dumps(record))
    found = client.get("/run/retraining/manual__2026-11-22T02:00:00+00:00")
    assert found.text == PAGE
    # Where the note of the run leads, too, and by a step that tells other sites nothing either.
    assert str(found.url) == f"http://testserver/{RUN_ID}.html"
    assert [step.headers["referrer-policy"] for step in found.history] == ["no-referrer"]
    assert client.get("/run/retraining/another").status_code == 404


def test_a_run_whose_id_somebody_chose_leads_to_its_page(client: TestClient, folder: Path) -> None:
    record = {"airflow_run": name_run("retraining", "the first+best")}
    (folder / f"{RUN_ID}.json").write_text(json.dumps(record))
    assert client.get("/run/retraining/the%20first%2Bbest").text == PAGE


@pytest.mark.parametrize("damage", ["", "[]", "{}", "7"])
def test_what_is_damaged_of_one_night_hides_no_other(
    client: TestClient, folder: Path, damage: str
) -> None:
    (folder / f"{RUN_ID}.json").write_text(json.dumps({"airflow_run": "retraining/one"}))
    (folder / f"{'b' * 32}.json").write_text(damage)
    assert client.get("/run/retraining/one").text == PAGE
    answer = client.get("/run/retraining/two")
    assert answer.status_code == 404
    assert "is damaged" in answer.text


def test_before_the_first_night_it_says_so(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 404
    assert "No night yet" in answer.text


def make_project(folder: Path, name: str) -> str:
    """Make the configuration of a project, with an environment; return its folder."""
    for env in ("base", "production"):
        (folder / "conf" / env).mkdir(parents=True)
    for file in (PROJECT / "conf" / "base").glob("*.yml"):
        (folder / "conf" / "base" / file.name).write_text(file.read_text())
    file = folder / "conf" / "base" / "project.yml"
    file.write_text(file.read_text().replace("name: null\n\n", f"name: {name}\n\n", 1))
    return str(folder)


@pytest.mark.parametrize(("second", "said"), [("leaves", 2), ("blood", 0)])
def test_two_projects_of_one_name_are_told(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    second: str,
    said: int,
) -> None:
    projects = [make_project(tmp_path / "one", "leaves"), make_project(tmp_path / "two", second)]
    monkeypatch.setenv("AIRFLOW__IMAGE_CLASSIFICATION__PROJECTS", ",".join(projects))
    night_app.make_app()
    told = [record.getMessage() for record in caplog.records if "are called" in record.getMessage()]
    assert len(told) == said  # of the project, and of its environment
    assert all(f"{tmp_path}/one" in line and f"{tmp_path}/two" in line for line in told)


def test_each_project_and_environment_shows_its_own_pages_to_its_own_readers(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaves = make_project(tmp_path / "leaves", "leaves")
    monkeypatch.setenv("AIRFLOW__IMAGE_CLASSIFICATION__PROJECTS", leaves)
    asked: list[str] = []
    monkeypatch.setattr(
        night_app, "require_reader", lambda dag_id: Depends(lambda: asked.append(dag_id))
    )
    for scope in ("", "leaves", "leaves-production"):
        pages = folder.parent / scope / "pages"
        pages.mkdir(parents=True, exist_ok=True)
        (pages / "index.html").write_text(f"<body>nights of {scope}</body>")
        run = f"{scope}-retraining/one" if scope else "retraining/one"
        (pages / f"{RUN_ID}.json").write_text(json.dumps({"airflow_run": run}))
        (pages / f"{RUN_ID}.html").write_text(f"<body>a night of {scope}</body>")
    client = TestClient(night_app.make_app())
    for scope in ("", "leaves", "leaves-production"):
        asked.clear()
        assert client.get(f"/{scope}/index.html".replace("//", "/")).text == (
            f"<body>nights of {scope}</body>"
        )
        dag_id = f"{scope}-retraining" if scope else "retraining"
        led_to = client.get(f"/run/{dag_id}/one")
        assert led_to.text == f"<body>a night of {scope}</body>"
        noted = locate_night(RUN_ID, Scope(*scope.split("-"))).partition(NIGHTS)[2]
        assert led_to.url.path == noted
        assert set(asked) == {dag_id}
    assert client.get("/run/leaves-staging-retraining/one").status_code == 404
    assert os.environ.get("IMAGE_CLASSIFICATION_CONFIGURATION", "") == ""
