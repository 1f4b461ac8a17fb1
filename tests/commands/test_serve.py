"""`image-classification serve` under 32 clients, of whom half are hostile."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import requests
from PIL import Image
from samples import draw_bomb, draw_image
from storage_root import put_in_force

from image_classification import vision
from image_classification.datasets import RegisteredNetworkDataset

pytestmark = [pytest.mark.slow, pytest.mark.end_to_end]

MODEL = "test-classifier"
CLIENTS = 32
REQUESTS = 6
GREEN = [draw_image(seed, (40, 40)) for seed in range(6)]
SERVE = "from image_classification.commands.entry import main; main()"


@dataclass(frozen=True)
class Server:
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def post(self, body: Any, **options: Any) -> requests.Response:
        content = {"data": body} if isinstance(body, bytes) else {"json": body}
        address = f"http://127.0.0.1:{self.port}/invocations"
        return requests.post(address, timeout=90, **content, **options)

    def send(self, *parts: bytes, pause_s: float = 0.0) -> bytes:
        """Send bytes as they are, and return what comes back before the server hangs up."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause_s)
            received = b""
            try:
                while chunk := connection.recv(65536):
                    received += chunk
            except ConnectionError:
                pass
            return received

    def workers(self) -> list[psutil.Process]:
        return [
            child
            for child in psutil.Process(self.process.pid).children()
            if "spawn_main" in " ".join(child.cmdline())
        ]


@pytest.fixture(scope="module")
def server(laboratory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("serve") / "log"
    with pytest.MonkeyPatch.context() as patch, log.open("w") as output:
        put_in_force(patch, laboratory)
        patch.setenv("SECRET_OF_THE_SERVER", "in no worker")
        arguments = ("serve", "--port", str(port), "--maximum-seconds", "20")
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        gives_up_at = time.monotonic() + 120
        while time.monotonic() < gives_up_at and process.poll() is None:
            try:
                assert requests.get(f"http://127.0.0.1:{port}/health", timeout=5).ok
                break
            except requests.ConnectionError:
                time.sleep(0.3)
        else:
            raise AssertionError(f"The server did not start:\n{log.read_text()}")
        yield Server(port, process, log)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def expected(laboratory: Path) -> np.ndarray:
    with pytest.MonkeyPatch.context() as patch:
        put_in_force(patch, laboratory)
        from image_classification.commands.console import open_context

        open_context()
        champion = RegisteredNetworkDataset(model_name=MODEL, alias="champion").load()
    return np.asarray(vision.score_images(champion.network, len(GREEN), GREEN.__getitem__))


def encode(*contents: bytes) -> dict[str, Any]:
    rows = [
        [f"{row}.png", base64.b64encode(content).decode()] for row, content in enumerate(contents)
    ]
    return {"dataframe_split": {"columns": ["image_name", "image"], "data": rows}}


def draw_scans(scans: int) -> bytes:
    content = io.BytesIO()
    Image.new("L", (4000, 4000)).save(content, "JPEG", progressive=True)
    whole = content.getvalue()
    return whole[:-2] + whole[whole.rindex(b"\xff\xda") : -2] * scans + whole[-2:]


def draw_large() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (2001, 2000)).save(content, "PNG")
    return content.getvalue()


JSON = {"Content-Type": "application/json"}
HEAD = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
HOSTILE: dict[str, Callable[[Server], requests.Response | bytes]] = {
    "a callable": lambda s: s.post(encode(GREEN[0]) | {"params": {"runner": "os.abort"}}),
    "a path": lambda s: s.post({"dataframe_records": [{"image": "/etc/passwd"}]}),
    "a path in csv": lambda s: s.post(
        b"image\n/etc/passwd\n", headers={"Content-Type": "text/csv"}
    ),
    "a bomb": lambda s: s.post(encode(draw_bomb(60_000, 60_000))),
    "many pixels": lambda s: s.post(encode(*[draw_large()] * 30)),
    "many scans": lambda s: s.post(encode(draw_scans(3000))),
    "many images": lambda s: s.post(encode(*[b"x"] * 300)),
    "a large body": lambda s: s.post(b" " * (17 * 2**20), headers=JSON),
    "a deep body": lambda s: s.post(b"[" * 10**6, headers=JSON),
    "no image": lambda s: s.post(encode(b"no image", b"", GREEN[0][:50])),
    "another type": lambda s: s.post(
        b"PAR1", headers={"Content-Type": "application/vnd.apache.parquet"}
    ),
    "half a body": lambda s: s.send(HEAD + b"Content-Length: 100\r\n\r\n{"),
    "a broken chunk": lambda s: s.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "no http": lambda s: s.send(os.urandom(3000)),
    "half a header": lambda s: s.send(b"POST /invo"),
    "nothing": lambda s: s.send(),
    "a long header": lambda s: s.send(HEAD + b"X: " + b"x" * 10**6 + b"\r\n\r\n"),
}


def test_good_requests_are_answered_rightly_beside_hostile_ones(
    server: Server, expected: np.ndarray
) -> None:
    def behave(number: int) -> None:
        one = number % len(GREEN)
        told = server.post(encode(GREEN[one]))
        assert told.status_code == 200, told.text
        (row,) = told.json()["predictions"]
        found = [value for name, value in row.items() if name.startswith("probability_")]
        np.testing.assert_allclose(found, expected[one], atol=1e-5)

    def attack(number: int) -> None:
        name = list(HOSTILE)[number * 7 % len(HOSTILE)]
        told = HOSTILE[name](server)
        text = told.decode("latin-1") if isinstance(told, bytes) else told.text
        status = int(text[9:12] or 0) if isinstance(told, bytes) and text else 0
        status = status if isinstance(told, bytes) else told.status_code
        assert status in (0, 400, 408, 413, 415, 422), (name, text[:500])
        for leak in ("Traceback", ".py", "root:", str(server.log.parent.parent), "site-packages"):
            assert leak not in text, name

    def run(client: int) -> None:
        for number in range(client * REQUESTS, (client + 1) * REQUESTS):
            (behave if client % 2 else attack)(number)

    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(run, range(CLIENTS)))
    assert server.process.poll() is None
    behave(0)
    log = server.log.read_text()
    assert "A request failed by a fault" not in log, log[-3000:]


@pytest.mark.parametrize("name", HOSTILE)
def test_each_attack_is_refused_in_time(server: Server, name: str) -> None:
    began = time.monotonic()
    told = HOSTILE[name](server)
    assert time.monotonic() - began < 60
    if not isinstance(told, bytes):
        assert told.status_code in (400, 413, 415, 422)
        told.json()


def test_a_worker_that_is_killed_is_replaced_and_the_other_answers_meanwhile(
    server: Server,
) -> None:
    first, *others = server.workers()
    assert len(others) == 1
    first.kill()
    codes = [server.post(encode(GREEN[0])).status_code for _ in range(6)]
    assert sorted(codes) in ([200] * 6, [200] * 5 + [422])
    gives_up_at = time.monotonic() + 60
    while len(server.workers()) < 2 and time.monotonic() < gives_up_at:
        time.sleep(0.2)
    assert {worker.pid for worker in server.workers()} > {worker.pid for worker in others}


def test_workers_hold_no_secret_of_the_server(server: Server) -> None:
    assert "SECRET_OF_THE_SERVER" in psutil.Process(server.process.pid).environ()
    for worker in server.workers():
        names = set(worker.environ())
        assert not {name for name in names if "SECRET" in name or name.startswith("MLFLOW")}
        assert "PATH" in names


def test_a_name_that_looks_like_markup_or_a_path_comes_back_as_it_was(server: Server) -> None:
    body = json.loads(json.dumps(encode(GREEN[0])))
    body["dataframe_split"]["data"][0][0] = "<script>../../x\u202e"
    told = server.post(body)
    assert told.headers["content-type"] == "application/json"
    assert told.json()["predictions"][0]["image_name"] == "<script>../../x\u202e"
