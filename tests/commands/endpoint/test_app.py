"""The app answers images, and what it does not answer it refuses in a sentence."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from samples import draw_image
from starlette.testclient import TestClient

from image_classification.commands.endpoint.app import Endpoint
from image_classification.commands.endpoint.message import Limits
from image_classification.commands.endpoint.worker import Answer, WorkerError

IMAGE = draw_image(1)
CLASSES = ["healthy", "ring"]
BODY = {"dataframe_records": [{"image_name": "a", "image": base64.b64encode(IMAGE).decode()}]}
ROW = {"image_name": "a", "probability_healthy": 0.25, "probability_ring": 0.75, "category": "ring"}
SOUND = Answer([0.25, 0.75], "", "")


class Stand:
    """In the place of a worker: gives one answer for each image, or fails."""

    def __init__(self, *answers: Answer | Exception, wait_s: float = 0.0) -> None:
        self.answers = list(answers) or [SOUND]
        self.wait_s = wait_s
        self.asked: list[Sequence[bytes]] = []
        self.ready = True
        self.stopped = False

    def wait(self) -> None:
        self.ready = True

    def ask(self, contents: Sequence[bytes]) -> list[Answer]:
        self.asked.append(contents)
        time.sleep(self.wait_s)
        if isinstance(self.answers[0], Exception):
            self.ready = False
            raise self.answers.pop(0)
        return self.answers[: len(contents)]

    def stop(self) -> None:
        self.stopped = True


@contextmanager
def serve(*workers: Any, limits: Limits | None = None) -> Iterator[TestClient]:
    endpoint = Endpoint(workers, CLASSES, "4", limits or Limits())
    with TestClient(endpoint.make_app(), raise_server_exceptions=False) as client:
        yield client
    assert endpoint._held_bytes == 0
    assert all(worker.stopped for worker in workers)


def test_an_image_is_answered_with_the_version() -> None:
    worker = Stand()
    with serve(worker) as client:
        told = client.post("/invocations", json=BODY)
    assert told.status_code == 200
    assert told.json() == {"predictions": [ROW], "model_version": "4"}
    assert worker.asked == [[IMAGE]]


def test_each_image_has_its_row_its_reason_or_its_warning() -> None:
    worker = Stand(SOUND, Answer([], "no image", ""), Answer([0.5, 0.5], "", "grey"))
    names = ["a", "b", "c"]
    rows = [BODY["dataframe_records"][0] | {"image_name": name} for name in names]
    with serve(worker) as client:
        told = client.post("/invocations", json={"dataframe_records": rows})
    assert told.status_code == 200
    first, second, third = told.json()["predictions"]
    assert first == ROW
    assert second == {"image_name": "b", "error": "no image"}
    assert (third["category"], third["warning"]) == ("healthy", "grey")


def test_a_request_of_which_no_image_can_be_scored_is_no_success() -> None:
    with serve(Stand(Answer([], "no image", ""))) as client:
        told = client.post("/invocations", json=BODY)
    assert told.status_code == 422
    assert told.json()["predictions"] == [{"image_name": "a", "error": "no image"}]


@pytest.mark.parametrize("path", ["/health", "/ping"])
def test_it_tells_that_it_lives(path: str) -> None:
    with serve(Stand()) as client:
        assert client.get(path).json() == {"model_version": "4"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/invocations", 405),
        ("POST", "/health", 405),
        ("GET", "/", 404),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
        ("GET", "/version", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/invocations/../../etc/passwd", 404),
        ("PUT", "/invocations", 405),
    ],
)
def test_nothing_else_is_there(method: str, path: str, status: int) -> None:
    worker = Stand()
    with serve(worker) as client:
        told = client.request(method, path, content=b"{}")
    assert told.status_code == status
    assert told.json()["error"].startswith("POST images to /invocations")
    assert worker.asked == []


@pytest.mark.parametrize(
    "kind", ["text/csv", "application/vnd.apache.parquet", "application/x-pickle", "", "multipart/"]
)
def test_nothing_but_json_is_parsed(kind: str) -> None:
    with serve(Stand()) as client:
        told = client.post(
            "/invocations", content=b"image\n/etc/passwd", headers={"Content-Type": kind}
        )
    assert (told.status_code, told.json()["error"]) == (
        415,
        "The content type must be application/json.",
    )


def test_the_size_of_a_body_is_limited_whatever_its_header_says() -> None:
    limits = Limits(request_bytes=1000)
    kind = {"Content-Type": "application/json"}

    def chunks() -> Iterator[bytes]:
        yield from [b" " * 400] * 3

    with serve(Stand(), limits=limits) as client:
        for content in (b" " * 1001, chunks()):
            told = client.post("/invocations", content=content, headers=kind)
            assert told.status_code == 413
            assert told.json()["error"] == "The body is larger than 1000 bytes."
        lies = kind | {"Content-Length": "9" * 19}
        assert client.post("/invocations", content=b"{}", headers=lies).status_code in (400, 413)
        assert client.post("/invocations", content=b" " * 1000, headers=kind).status_code == 400


def test_bodies_in_memory_are_limited_together() -> None:
    with serve(Stand(), limits=Limits(held_bytes=100)) as client:
        told = client.post("/invocations", json=BODY)
    assert (told.status_code, told.json()["error"]) == (503, "The server is busy: ask again later.")


def test_a_worker_that_ends_costs_its_own_request_and_no_other() -> None:
    worker = Stand(WorkerError("the process that scored the images ended"), SOUND)
    with serve(worker) as client:
        told = client.post("/invocations", json=BODY)
        assert told.status_code == 422
        assert told.json()["error"] == (
            "These images could not be scored: the process that scored the images ended."
        )
        assert client.post("/invocations", json=BODY).json()["predictions"] == [ROW]


def test_a_fault_of_the_server_is_told_without_its_traceback() -> None:
    with serve(Stand(KeyError("/secret/path"))) as client:
        told = client.post("/invocations", json=BODY)
        assert told.status_code == 500
        assert told.json() == {"error": "The server failed to answer; its log says why."}
        assert client.get("/health").status_code == 200


def test_who_waits_too_long_for_others_is_told_that_the_server_is_busy() -> None:
    worker = Stand(wait_s=0.6)
    with serve(worker, limits=Limits(seconds=0.1)) as client:
        codes: list[int] = []

        def ask() -> None:
            codes.append(client.post("/invocations", json=BODY).status_code)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert codes == [503, 503, 503]
        time.sleep(0.8)
        assert len(worker.asked) == 1, "nothing is scored that nobody waits for"
