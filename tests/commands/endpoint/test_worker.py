"""What a worker process does, and what becomes of one that ends."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
from samples import draw_bomb, draw_image

from image_classification import vision
from image_classification.commands.endpoint import worker
from image_classification.commands.endpoint.worker import Task, Worker, WorkerError, serve_requests

IMAGES = [draw_image(seed, (40, 30)) for seed in range(3)]


@pytest.fixture(scope="module")
def network() -> keras.Model:
    vision.set_seed(0)
    return vision.build_network("small", 16, 2, 0.0)


@pytest.fixture(scope="module")
def task(network: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Task:
    path = tmp_path_factory.mktemp("network") / "network.keras"
    network.save(path)
    return Task(path, 40 * 30)


def test_it_scores_what_comes_until_nobody_asks(
    task: Task, network: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_limit_memory", lambda: None)
    monkeypatch.setattr(worker.signal, "signal", lambda *_: None)
    ours, theirs = multiprocessing.Pipe()
    thread = threading.Thread(target=serve_requests, args=(theirs, task))
    thread.start()
    assert ours.recv() == "ready"
    ours.send([*IMAGES, b"no image", draw_image(9, (41, 30)), draw_bomb(60_000, 60_000)])
    *sound, broken, large, bomb = ours.recv()
    expected = vision.score_images(network, 3, IMAGES.__getitem__)
    np.testing.assert_allclose([answer.probabilities for answer in sound], expected, atol=1e-6)
    assert {(answer.error, answer.warning) for answer in sound} == {("", "")}
    assert broken.error.startswith("the file cannot be decoded")
    assert large == ([], "41 x 30 pixels: at most 1200 pixels are allowed", "")
    assert "Image size (3600000000 pixels) exceeds limit" in bomb.error
    ours.close()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.slow
def test_a_worker_that_ends_or_takes_too_long_is_replaced(task: Task) -> None:
    tried = Worker(task, 60)
    try:
        tried.wait()
        assert len(tried.ask(IMAGES)) == 3
        first = tried._process
        first.kill()
        with pytest.raises(WorkerError, match="the process that scored the images ended"):
            tried.ask(IMAGES)
        assert not tried.ready
        tried.wait()
        assert tried.ready
        assert tried._process.pid != first.pid
        tried._seconds = 0
        with pytest.raises(WorkerError, match="scoring took more than 0 s"):
            tried.ask(IMAGES * 30)
        tried._seconds = 60
        assert len(tried.ask(IMAGES)) == 3
    finally:
        tried.stop()
    assert not tried._process.is_alive()


@pytest.mark.slow
def test_a_network_that_cannot_be_loaded_is_said_and_a_stopped_worker_stays_stopped(
    tmp_path: Path,
) -> None:
    (tmp_path / "network.keras").write_bytes(b"no network")
    tried = Worker(Task(tmp_path / "network.keras", 100), 60)
    with pytest.raises(WorkerError, match="the network could not be loaded"):
        tried.wait()
    tried.stop()
    with pytest.raises(WorkerError):
        tried.wait()
    assert not tried._process.is_alive()
