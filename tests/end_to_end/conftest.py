"""One real stack for all end-to-end tests: MLflow and Airflow, four nights of `retraining`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import PATIENCE_MS
from laboratories import BLOOD, LEAVES, SharedStack, make_project
from nights import BAD, DAG_ID, PROJECT, Nights
from PIL import Image
from playwright.sync_api import Browser, Page

from image_classification.local.airflow_api import AirflowClient
from image_classification.local.synthetic import make_cells


def make_blank_images(folder: Path) -> None:
    """Let a batch of eight grey images arrive."""
    (folder / "Uninfected").mkdir(parents=True)
    for level in range(8):
        name = f"C90P90ThinF_IMG_20150603_100000_cell_{level}.png"
        Image.new("RGB", (100, 100), (100 + level,) * 3).save(folder / "Uninfected" / name)
    (folder / "_READY").touch()


def make_fresh_batches(incoming: Path) -> None:
    """Let three good batches arrive, ten patients in all."""
    for name, patients in (
        ("a-fresh", range(31, 35)),
        ("m-fresh", range(35, 38)),
        ("z-fresh", range(38, 41)),
    ):
        make_cells(incoming / name, patients, 8, captured_on="20150602")
        (incoming / name / "_READY").touch()


def make_bad_batches(incoming: Path) -> None:
    """Let a batch of each kind in `BAD` arrive, beside what else arrives."""
    for number, name in enumerate(BAD, 60):
        make_cells(incoming / name, range(number, number + 1), 4, captured_on="20150602")
    for label in ("Parasitized", "Uninfected"):  # a patient may have cells of one class alone
        (incoming / "b-typo" / label).rename(incoming / "b-typo" / f"{label}s")
    os.mkfifo(incoming / "c-pipe" / "labels.csv")
    for image in (incoming / "d-empty").rglob("*.png"):
        image.write_bytes(b"")
    for image in (incoming / "e-flat").rglob("*.png"):
        image.rename(incoming / "e-flat" / image.name)
    shutil.make_archive(str(incoming / "f-torn"), "zip", incoming / "f-torn")
    shutil.rmtree(incoming / "f-torn")
    archive = incoming / "f-torn.zip"
    archive.write_bytes(archive.read_bytes()[:-200])
    for name in BAD:
        marker = "f-torn.zip._READY" if name == "f-torn" else f"{name}/_READY"
        (incoming / marker).touch()


@pytest.fixture(scope="session")
def nights() -> Iterator[Nights]:
    """First images, then none, then fresh ones among bad ones, then blank ones, which are held.

    Each run is triggered through Airflow's REST API.
    """
    before = {name: os.environ.get(name) for name in ("KEDRO_ENV", "TF_CPP_MIN_LOG_LEVEL")}
    os.environ["KEDRO_ENV"] = "test"
    stack = SharedStack("end-to-end", PROJECT)
    shutil.rmtree(stack.folder, ignore_errors=True)
    for project in (BLOOD, LEAVES):
        make_project(project, stack.laboratories / project.name)
    incoming = stack.storage / "incoming"
    make_cells(incoming / "first", range(1, 31), 8)
    (incoming / "first" / "_READY").touch()
    stack.start()
    try:
        client = AirflowClient(stack.airflow_url, "admin", stack.password)
        client.wait_for_dag(DAG_ID)
        client.unpause(DAG_ID)
        made = Nights(stack, client)
        made.run(epochs=2)
        made.run()
        make_fresh_batches(incoming)
        make_bad_batches(incoming)
        made.run(minimum_gain=-1)
        make_blank_images(incoming / "blank")
        made.run()
        yield made
    finally:
        stack.stop()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@pytest.fixture(scope="session")
def page(nights: Nights, chromium: Browser) -> Page:
    """A page, logged in to MLflow as one who may only look."""
    login = {
        "username": "viewer",
        "password": nights.stack.accounts.read_mlflow_password("viewer"),
        "origin": nights.stack.mlflow_url,
    }
    opened = chromium.new_page(viewport={"width": 1440, "height": 900}, http_credentials=login)
    opened.set_default_timeout(PATIENCE_MS)
    return opened


@pytest.fixture(scope="session")
def airflow(page: Page, nights: Nights) -> Page:
    """The browser, logged in to Airflow as `make up` says."""
    page.goto(nights.stack.airflow_url)
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", nights.stack.password)
    page.click("button[type=submit]")
    page.wait_for_url(f"{nights.stack.airflow_url}/")
    return page
