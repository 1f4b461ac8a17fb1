"""The logged model answers where nobody has heard of the project: from Python, and served."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import requests
from arrivals import deliver_cells

PROJECT = Path(__file__).resolve().parents[2]
MODEL = "test-classifier"
STARTS_WITHIN_S = 120

# What MLflow, Keras and Kedro warn of is theirs; our own code still may not.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.end_to_end,
    pytest.mark.filterwarnings("ignore", "error:::(image_classification|test_)"),
]

CALLER = """
import importlib.util, json, sys
from pathlib import Path
import mlflow, pandas

strange = [name for name in ("image_classification", "airflow") if importlib.util.find_spec(name)]
model = mlflow.pyfunc.load_model(sys.argv[1])
files = [Path(name) for name in sys.argv[3:]]
images = pandas.DataFrame({
    "image_name": [file.name for file in files], "image": [file.read_bytes() for file in files]
})
import image_classification
Path(sys.argv[2]).write_text(json.dumps({
    "known_before": strange,
    "code": image_classification.__file__,
    "predictions": model.predict(images).to_dict("records"),
    "loaded": sorted(name for name in sys.modules if name.startswith("image_classification")),
}))
"""


@dataclass(frozen=True)
class Packaged:
    """The champion as downloaded from the store, and what its network says of some images here."""

    folder: Path
    files: list[Path]
    class_names: list[str]
    probabilities: npt.NDArray[np.float32]

    def assert_right(self, predictions: list[dict[str, Any]]) -> None:
        columns = [f"probability_{name}" for name in self.class_names]
        assert [list(row) for row in predictions] == [
            ["image_name", *columns, "category"] for _ in self.files
        ]
        assert [row["image_name"] for row in predictions] == [file.name for file in self.files]
        received = np.array([[row[column] for column in columns] for row in predictions])
        np.testing.assert_allclose(received, self.probabilities, atol=1e-5)
        best = [self.class_names[number] for number in self.probabilities.argmax(axis=1)]
        assert [row["category"] for row in predictions] == best


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory, cells: Path) -> Packaged:
    """Train, promote and download a champion, and score images by its network in this process."""
    import mlflow
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    from image_classification import vision
    from image_classification.datasets import RegisteredNetworkDataset

    files = sorted(cells.rglob("*cell_[14].png"))[:6]
    with pytest.MonkeyPatch.context() as patch:
        storage = tmp_path_factory.mktemp("storage")
        patch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(storage))
        deliver_cells(cells, storage)
        patch.setenv("KEDRO_ENV", "test")
        bootstrap_project(PROJECT)
        with KedroSession.create(project_path=PROJECT) as session:
            session.run(pipeline_names=["retraining"])
        folder = mlflow.artifacts.download_artifacts(
            f"models:/{MODEL}@champion", dst_path=str(tmp_path_factory.mktemp("model"))
        )
        champion = RegisteredNetworkDataset(model_name=MODEL, alias="champion").load()
    assert champion is not None
    probabilities = vision.score_images(
        champion.network, len(files), lambda rows: [file.read_bytes() for file in files[rows]]
    )
    # Of several images, or a model that answers each alike would pass.
    assert probabilities[:, 0].std() > 1e-4
    return Packaged(Path(folder), files, champion.class_names, probabilities)


@dataclass(frozen=True)
class Stranger:
    """A virtual environment that holds what the model asks for, and a home elsewhere."""

    environment: Path
    home: Path

    @property
    def variables(self) -> dict[str, str]:
        return {
            "PATH": f"{self.environment}/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory, packaged: Packaged) -> Iterator[Stranger]:
    folder = tmp_path_factory.mktemp("stranger")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    subprocess.run(
        [
            *(sys.executable, "-m", "uv", "pip", "install", "--quiet"),
            *("--python", environment / "bin" / "python"),
            *("--requirement", packaged.folder / "requirements.txt"),
        ],
        check=True,
    )
    (folder / "home").mkdir()
    yield Stranger(environment, folder / "home")
    shutil.rmtree(environment)  # gigabytes, where they are not links into uv's cache


@pytest.fixture(scope="module")
def ask(packaged: Packaged, stranger: Stranger) -> Iterator[Callable[[Any], requests.Response]]:
    """Serve the model by `mlflow models serve`; give the function that posts to it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    log = stranger.home / "serve.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [
                *(stranger.environment / "bin" / "mlflow", "models", "serve"),
                *("--model-uri", packaged.folder, "--env-manager", "local"),
                *("--host", "127.0.0.1", "--port", str(port)),
            ],
            cwd=stranger.home,
            env=stranger.variables,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(f"{address}/health", server, log)
        yield lambda body: requests.post(f"{address}/invocations", json=body, timeout=60)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    gives_up_at = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < gives_up_at and server.poll() is None:
        try:
            if requests.get(address, timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.2)
    raise AssertionError(f"The server did not start:\n{log.read_text()}")


def encode(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


def test_every_requirement_is_pinned(packaged: Packaged) -> None:
    lines = (packaged.folder / "requirements.txt").read_text().split()
    assert {"kedro-mlflow", "tensorflow"} <= {line.partition("==")[0] for line in lines}
    assert [line for line in lines if "==" not in line] == []


def test_model_answers_in_python_as_its_network_does_here(
    packaged: Packaged, stranger: Stranger
) -> None:
    answer = stranger.home / "answer.json"
    subprocess.run(
        [
            *(stranger.environment / "bin" / "python", "-c", CALLER),
            *(packaged.folder, answer, *packaged.files),
        ],
        cwd=stranger.home,
        env=stranger.variables,
        check=True,
    )
    result = json.loads(answer.read_text())
    assert result["known_before"] == []
    assert Path(result["code"]).is_relative_to(packaged.folder)
    packaged.assert_right(result["predictions"])
    code = packaged.folder / "code"
    files = [file.relative_to(code).with_suffix("") for file in code.rglob("*.py")]
    carried = {".".join(file.parts).removesuffix(".__init__") for file in files}
    unused = carried - set(result["loaded"])
    assert all(name.startswith("image_classification.vision.") for name in unused)


def test_served_model_takes_base64_images_by_column_and_by_row(
    packaged: Packaged, ask: Callable[[Any], requests.Response]
) -> None:
    rows = [[file.name, encode(file)] for file in packaged.files]
    columns = ["image_name", "image"]
    for body in (
        {"dataframe_split": {"columns": columns, "data": rows}},
        {"dataframe_records": [dict(zip(columns, row, strict=True)) for row in rows]},
    ):
        answer = ask(body)
        assert answer.status_code == 200, answer.text
        packaged.assert_right(answer.json()["predictions"])


def test_served_model_refuses_a_request_without_images_and_goes_on(
    packaged: Packaged, ask: Callable[[Any], requests.Response]
) -> None:
    refused = ask({"dataframe_records": [{"image_name": "cell.png"}]})
    assert refused.status_code == 400
    assert "Model is missing inputs ['image']" in refused.json()["message"]
    rows = [{"image_name": file.name, "image": encode(file)} for file in packaged.files]
    packaged.assert_right(ask({"dataframe_records": rows}).json()["predictions"])
