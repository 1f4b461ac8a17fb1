"""The default parameters on the real images, where they are at hand."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from PIL import Image

from image_classification.datasets.delivery import Source, deliver, read_date

PROJECT = Path(__file__).resolve().parents[2]
REAL_IMAGES = PROJECT.parent / "shared" / "data" / "cell_images.zip"
KEPT_BACK = "20150930"
"""A capture date whose images arrive after the first training."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.end_to_end,
    pytest.mark.skipif(
        not REAL_IMAGES.exists(),
        reason="the NIH malaria images are not beside the project (../shared/data)",
    ),
]

Spoil = Callable[[str, bytes], tuple[str, bytes]]
"""From label and content to those of the spoilt image."""


def run(pipeline: str) -> None:
    bootstrap_project(PROJECT)
    with KedroSession.create(project_path=PROJECT) as session:
        session.run(pipeline_names=[pipeline])


def encode(pixels: np.ndarray, mode: str = "RGB") -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels, mode).convert("RGB").save(content, "PNG")
    return content.getvalue()


def swap_label(label: str, content: bytes) -> tuple[str, bytes]:
    return {"Parasitized": "Uninfected", "Uninfected": "Parasitized"}[label], content


def turn_hue(label: str, content: bytes) -> tuple[str, bytes]:
    """Turn the hue by 90 degrees: another stain."""
    pixels = np.array(Image.open(io.BytesIO(content)).convert("HSV"))
    pixels[..., 0] += 64
    return label, encode(pixels, "HSV")


def blank(label: str, content: bytes) -> tuple[str, bytes]:
    pixels = np.array(Image.open(io.BytesIO(content)))
    return label, encode(np.full_like(pixels, pixels.mean()))


def draw_texture(label: str, content: bytes) -> tuple[str, bytes]:
    """Draw stripes of a random colour: another domain."""
    width, height = Image.open(io.BytesIO(content)).size
    random = np.random.default_rng(list(content[-64:]))
    wave = np.sin(np.arange(width) / random.uniform(1, 9))[None, :, None]
    colour = random.uniform(60, 200, 3)
    stripes = np.broadcast_to(colour + 50 * wave, (height, width, 3))
    return label, encode(np.clip(stripes, 0, 255).astype(np.uint8))


SPOILT: dict[str, Spoil] = {
    "swapped": swap_label,
    "stain": turn_hue,
    "blank": blank,
    "domain": draw_texture,
}


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """All images but those of one date are taken in and trained on, by default parameters."""
    root = tmp_path_factory.mktemp("storage")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(root))
        patch.setenv("KEDRO_ENV", "local")
        source = Source(REAL_IMAGES)
        files = [file for file in source.files if read_date(file) != KEPT_BACK]
        deliver(source, str(root / "incoming"), "all", files=files)
        run("retraining")
        yield root


def find_kept_back() -> tuple[Source, list[PurePosixPath]]:
    source = Source(REAL_IMAGES)
    return source, [file for file in source.files if read_date(file) == KEPT_BACK]


def test_every_image_is_counted_once_with_its_patient_and_date(storage: Path) -> None:
    source, kept_back = find_kept_back()
    splits = pd.read_parquet(storage / "runs" / "local" / "image_splits.parquet")
    quarantine = pd.read_parquet(storage / "index" / "quarantine" / "all.parquet")
    assert len(splits) + len(quarantine) + len(kept_back) == len(source.files) == 12_442
    assert splits["patient"].str.fullmatch(r"C\d+").all()
    assert (splits["captured_on"] != "").all()


def test_default_parameters_reach_0_94_on_the_validation_patients(storage: Path) -> None:
    decision = json.loads((storage / "runs/local/decision.json").read_text())
    assert decision["challenger"]["metrics"]["accuracy"] >= 0.94
    assert decision["promote"]


def test_four_kinds_of_bad_batches_are_held_and_an_honest_one_passes(storage: Path) -> None:
    source, files = find_kept_back()
    deliver(source, str(storage / "incoming"), "honest", files=files)
    for file, content in zip(files, source.read(files), strict=True):
        for name, spoil in SPOILT.items():
            label, spoilt = spoil(file.parent.name, content)
            path = storage / "incoming" / name / label / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(spoilt)
    for name in SPOILT:
        (storage / "incoming" / name / "_READY").touch()

    run("data_processing")

    records = {
        name: json.loads((storage / "index" / "screenings" / f"{name}.json").read_text())
        for name in ("honest", *SPOILT)
    }
    verdicts = {name: record["verdict"] for name, record in records.items()}
    assert verdicts == {"honest": "accepted", **dict.fromkeys(SPOILT, "held")}
    assert "otherwise than their labels" in " ".join(records["swapped"]["reasons"])
    assert "are blank" in " ".join(records["blank"]["reasons"])
