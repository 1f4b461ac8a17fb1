"""A package that shows a patient is made and signed anew, also after it was cut short."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from kills import Killed, kill_at
from mlflow import MlflowClient
from registry_store import log_model as log
from registry_store import open_run

from image_classification import tracking
from image_classification.champion import signature
from image_classification.champion.consumer import GOLDEN_CELLS, digest_files
from image_classification.champion.repackage import Repackager
from image_classification.intake.scrub import Person

pytestmark = pytest.mark.usefixtures("store")

THEIRS, OTHER, NEW = b"their cell", b"another's cell", b"a third one's cell"
PERSON = Person("C5", "p-1", frozenset({hashlib.sha256(THEIRS).hexdigest()}))
STEPS = ((MlflowClient, "log_model_artifact"), (Path, "write_bytes"))


def tabulate(*images: bytes) -> pd.DataFrame:
    names = [f"{image.decode()}.png" for image in images]
    return pd.DataFrame({"image_name": names, "image": list(images), "probability_A": 0.25})


def lay_out(folder: Path, *images: bytes) -> Path:
    """Write the files of a packaged model that shows some images, and sign them."""
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {}\n")
    (folder / "network.keras").write_bytes(b"weights")
    cells = tabulate(*images)
    cells.to_parquet(folder / GOLDEN_CELLS, index=False)
    rows = [[name, base64.encodebytes(image).decode()] for name, image in cells.values[:, :2]]
    example = {"columns": ["image_name", "image"], "data": rows}
    (folder / "input_example.json").write_text(json.dumps(example))
    served = {"dataframe_split": example}
    (folder / "serving_input_example.json").write_text(json.dumps(served))
    with signature.make_key():
        signature.sign_folder(folder)
    return folder


class Shelf:
    """Keeps what is put aside in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, bytes]] = {}

    def read(self, model_id: str) -> dict[str, bytes] | None:
        return dict(self.kept[model_id]) if model_id in self.kept else None

    def write(self, model_id: str, files: dict[str, bytes]) -> None:
        self.kept[model_id] = files

    def remove(self, model_id: str) -> None:
        del self.kept[model_id]


@pytest.fixture(autouse=True)
def _signed(tmp_path: Path) -> Iterator[None]:
    signature.use({"method": "key", "private_key": str(tmp_path / "keys" / "signing.pem")})
    yield
    signature._signing = None


def make_anew(
    model_id: str, shelf: Shelf | None = None, cells: pd.DataFrame | None = None
) -> dict[str, Any]:
    notes: dict[str, Any] = {}
    others = tabulate(OTHER, NEW) if cells is None else cells
    repackager = Repackager(shelf or Shelf(), lambda *_: others, notes.__setitem__)
    for _, _, apply in list(repackager.find(model_id, PERSON)):
        apply()
    return notes


def list_shown(folder: Path) -> list[list[bytes]]:
    """Return the images that a model shows: in its golden cells, and in its two examples."""
    examples = [
        json.loads((folder / "input_example.json").read_text()),
        json.loads((folder / "serving_input_example.json").read_text())["dataframe_split"],
    ]
    return [
        pd.read_parquet(folder / GOLDEN_CELLS)["image"].tolist(),
        *([base64.b64decode(row[1]) for row in example["data"]] for example in examples),
    ]


def assert_shows(model_id: str, *images: bytes) -> str:
    with tracking.fetch_model(model_id) as folder:
        assert folder is not None
        signature.check_folder(folder, "The model")
        assert list_shown(folder) == [list(images)] * 3
        return digest_files(folder)


def test_it_shows_others_verifies_and_the_digests_are_told(tmp_path: Path) -> None:
    model_id = log(open_run("one"), lay_out(tmp_path / "model", THEIRS, OTHER))
    before = assert_shows(model_id, THEIRS, OTHER)
    notes = make_anew(model_id)
    after = assert_shows(model_id, OTHER, NEW)
    assert notes == {model_id: {"before": before, "after": after}}
    with tracking.fetch_model(model_id) as folder:
        assert folder is not None
        cells = pd.read_parquet(folder / GOLDEN_CELLS)
    pd.testing.assert_frame_equal(cells, tabulate(OTHER, NEW))
    assert list(cells.columns) == ["image_name", "image", "probability_A"]
    assert make_anew(model_id) == {}


def test_the_signature_is_uploaded_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model_id = log(open_run("one"), lay_out(tmp_path / "model", THEIRS, OTHER))
    uploaded: list[str] = []
    attach = tracking.attach_file

    def note(model: str, path: Path) -> None:
        uploaded.append(path.name)
        attach(model, path)

    monkeypatch.setattr(tracking, "attach_file", note)
    make_anew(model_id)
    assert uploaded[-1] == signature.SIGNATURE
    assert len(uploaded) == 4


def test_a_package_of_others_is_left_alone(tmp_path: Path) -> None:
    model_id = log(open_run("one"), lay_out(tmp_path / "model", OTHER))
    assert make_anew(model_id) == {}
    empty = log(open_run("two"))
    assert make_anew(empty) == {}


def test_where_no_other_images_are_left_it_shows_fewer(tmp_path: Path) -> None:
    model_id = log(open_run("one"), lay_out(tmp_path / "model", THEIRS, OTHER))
    make_anew(model_id, cells=pd.DataFrame())
    assert_shows(model_id, OTHER)


def test_one_that_was_tampered_with_loses_them_and_is_refused_as_before(tmp_path: Path) -> None:
    files = lay_out(tmp_path / "model", THEIRS)
    (files / "network.keras").write_bytes(b"other weights")
    model_id = log(open_run("one"), files)
    make_anew(model_id)
    with tracking.fetch_model(model_id) as folder:
        assert folder is not None
        assert list_shown(folder) == [[OTHER, NEW]] * 3
        with pytest.raises(Exception, match="is not what was packaged and signed"):
            signature.check_folder(folder, "The model")


@pytest.mark.slow
def test_whoever_is_killed_is_followed_by_one_who_ends_it(tmp_path: Path) -> None:
    files = lay_out(tmp_path / "model", THEIRS)
    with kill_at(-1, steps=STEPS) as points:
        make_anew(log(open_run("whole"), files))
    assert len(points) > 8
    for point in range(len(points)):
        model_id, shelf = log(open_run(f"killed-{point}"), files), Shelf()
        with kill_at(point, steps=STEPS), pytest.raises(Killed):
            make_anew(model_id, shelf)
        make_anew(model_id, shelf)
        assert_shows(model_id, OTHER, NEW)
        assert shelf.kept == {}
