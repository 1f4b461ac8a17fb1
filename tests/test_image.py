"""The image: built, and a whole night run from it through Celery, as a user id nobody has."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fsspec
import psutil
import pytest
from bucket import make_bucket, serve_store
from celery_stack import find_missing
from image_stack import USER_ID, ImageStack
from nights import DAG_ID, PROJECT, Nights

from image_classification.datasets.delivery import Source, deliver
from image_classification.local.airflow_api import AirflowClient

TAG = "localhost/image-classification:test"
MISSING = [*find_missing(), *(each for each in ("buildah", "mmdebstrap") if not shutil.which(each))]

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0 or bool(MISSING),
        reason=f"needs root, and on this machine: {', '.join(MISSING)} "
        "(Debian: apt-get install buildah mmdebstrap redis-server postgresql)",
    ),
]


@dataclass(frozen=True)
class ImageNight:
    """A DAG run whose every process came from the image."""

    stack: ImageStack
    nights: Nights
    root: Path
    began: float
    state: str
    users: set[int]


def ask_buildah(*command: str) -> str:
    environment = {**os.environ, "BUILDAH_ISOLATION": "chroot"}
    done = subprocess.run(
        ["buildah", *command], env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def container() -> Iterator[str]:
    """A container of the image, which is built from what is committed and what is not."""
    subprocess.run([PROJECT / ".ci" / "image", TAG], check=True)
    container = ask_buildah("from", TAG)
    yield container
    ask_buildah("rm", container)


@pytest.fixture(scope="module")
def night(container: str, cells: Path) -> Iterator[ImageNight]:
    """One night; the services run on, to be looked at."""
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory() as place,
        serve_store(patch),
    ):
        patch.setenv("KEDRO_ENV", "test")
        patch.setenv("BUILDAH_ISOLATION", "chroot")
        bucket = make_bucket()
        Path(place).chmod(0o755)
        (Path(place) / "tmp").mkdir()
        (Path(place) / "tmp").chmod(0o1777)
        (Path(place) / "data").mkdir()
        stack = ImageStack(
            "end-to-end-image",
            PROJECT,
            data=f"{place}/data",
            container=container,
            place=Path(place),
            root=f"{bucket}/cells",
            task_logs=f"{bucket}/logs",
        )
        root, began = Path(ask_buildah("mount", container)), time.time()
        stack.start()
        try:
            deliver(Source(cells), f"{stack.root}/incoming", "first")
            client = AirflowClient(stack.airflow_url, "admin", stack.password)
            client.wait_for_dag(DAG_ID)
            client.unpause(DAG_ID)
            run_id = client.trigger(DAG_ID)
            state = client.follow(DAG_ID, run_id, lambda _: None, timeout_s=600)
            nights = Nights(stack, client, [client.get_run(DAG_ID, run_id)])
            yield ImageNight(stack, nights, root, began, state, set(find_users(stack)))
        finally:
            stack.stop()


def find_users(stack: ImageStack) -> Iterator[int]:
    """Yield the user of each process that buildah has started for a stack."""
    for name in ("mlflow", "api-server", "scheduler", "dag-processor", "triggerer", "worker"):
        for process in psutil.Process(stack.processes[name][0]).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
                if not "".join(process.cmdline()[:1]).startswith("buildah"):
                    yield process.uids().effective


def test_the_night_promotes_the_first_champion(night: ImageNight) -> None:
    assert night.state == "success"
    listed = json.loads(night.stack.run("image-classification", "ledger", "--json"))
    assert [entry["event"] for entry in listed] == ["promoted"]


def test_all_ran_as_the_user_that_the_image_does_not_know(night: ImageNight) -> None:
    assert night.users == {USER_ID}
    assert str(USER_ID) not in (night.root / "etc" / "passwd").read_text()


def test_nothing_was_written_but_to_the_temporary_folder(night: ImageNight) -> None:
    written = [
        path
        for folder in ("opt", "usr", "var", "root", "home")
        for path in (night.root / folder).rglob("*")
        if not path.is_symlink() and path.stat().st_ctime > night.began
    ]
    assert written == []


def test_the_logs_of_tasks_are_in_the_bucket_and_are_shown_out_of_it(night: ImageNight) -> None:
    filesystem = fsspec.filesystem("s3")
    (log,) = [name for name in filesystem.find(night.stack.task_logs) if "/task_id=train_" in name]
    assert b"MLflow run: " in filesystem.cat_file(log)
    shutil.rmtree(night.stack.folder / "airflow" / "logs")
    run_id = quote(night.nights.runs[0]["dag_run_id"])
    path = f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/train_network/logs/1"
    assert "MLflow run: " in json.dumps(night.nights.ask(path))


def test_nothing_of_the_build_is_left(container: str) -> None:
    root = Path(ask_buildah("mount", container))
    found = [
        name
        for name in ("gcc", "cc", "c++", "make", "pip", "pip3", "uv", "pytest")
        for folder in ("usr/bin", "usr/local/bin", "opt/image-classification/venv/bin")
        if (root / folder / name).exists()
    ]
    assert found == []
    assert not (root / "etc" / "pip.conf").exists()
    ours = [path for path in (root / "opt").rglob("*") if not path.is_symlink()]
    assert len(ours) > 1000
    assert [path for path in ours if path.stat().st_mode & 0o022] == []
    assert not [path for path in (root / "root" / ".cache").rglob("*") if path.is_file()]
    config: dict[str, Any] = json.loads(ask_buildah("inspect", "--type", "image", TAG))
    settings = config["OCIv1"]["config"]
    assert not [each for each in settings["Env"] if each.startswith(("PIP_", "UV_", "SSL_"))]
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert settings["Labels"]["org.opencontainers.image.revision"] == commit
    assert settings["User"] == "50000:0"
