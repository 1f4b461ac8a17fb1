"""The packaged model behind MLflow's own server: what the model can refuse, it refuses there."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow.pyfunc import scoring_server
from packaged_model import package
from samples import draw_image
from starlette.testclient import TestClient

from image_classification import vision

IMAGE = draw_image(1)
ENCODED = base64.b64encode(IMAGE).decode()
SPLIT = {"dataframe_split": {"columns": ["image_name", "image"], "data": [["a", ENCODED]]}}
UNSEEN = "what nobody may read"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("served")
    vision.set_seed(0)
    network = vision.build_network("small", 16, 2, 0.0)
    example = pd.DataFrame({"image_name": ["a"], "image": [IMAGE]})
    model = package(folder / "model", network, ["healthy", "ring"], example)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")
        with TestClient(scoring_server.init(model)) as opened:
            yield opened


def post(client: TestClient, body: Any, kind: str = "application/json") -> Any:
    content = {"json": body} if not isinstance(body, bytes) else {"content": body}
    return client.post("/invocations", headers={"Content-Type": kind}, **content)


def test_the_request_of_the_readme_is_answered(client: TestClient) -> None:
    (row,) = post(client, SPLIT).json()["predictions"]
    assert list(row) == ["image_name", "probability_healthy", "probability_ring", "category"]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["image"], "data": [[ENCODED]]}},
        {"dataframe_records": [{"image": ENCODED}]},
        {"dataframe_records": [{"image": ENCODED, "image_name": None}]},
    ],
)
def test_a_name_may_be_left_out(client: TestClient, body: Any) -> None:
    told = post(client, body)
    assert told.status_code == 200, told.text
    assert told.json()["predictions"][0]["image_name"] == "0"


@pytest.mark.parametrize("runner", ["os.abort", "builtins.breakpoint", "ThreadRunner"])
def test_no_function_that_a_caller_names_is_called(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, runner: str
) -> None:
    monkeypatch.setattr(os, "abort", lambda: pytest.fail("it was called"))
    plain = post(client, SPLIT).json()
    told = post(client, SPLIT | {"params": {"runner": runner, "inference.batch_size": 0}})
    assert told.json() == plain
    assert post(client, SPLIT).json() == plain


@pytest.mark.parametrize("kind", ["text/csv", "application/vnd.apache.parquet", "application/json"])
def test_no_file_of_the_server_is_read(client: TestClient, tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(IMAGE + UNSEEN.encode())
    table = pd.DataFrame({"image_name": ["a"], "image": [str(secret)]})
    body: Any = {"dataframe_records": table.to_dict("records")}
    if kind == "text/csv":
        body = table.to_csv(index=False).encode()
    elif kind != "application/json":
        content = io.BytesIO()
        table.to_parquet(content)
        body = content.getvalue()
    told = post(client, body, kind)
    assert told.status_code == 400
    assert UNSEEN not in told.text
    assert "probability_" not in told.text
