"""The whole storage is looked over, and mended where it can be."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from terminal import call

from image_classification.intake.index import settle_index

pytestmark = pytest.mark.usefixtures("in_laboratory")


def read_index(storage: Path) -> pd.DataFrame:
    parts = [pd.read_parquet(path) for path in sorted((storage / "index/images").glob("*"))]
    settled = settle_index(pd.concat(parts, ignore_index=True)).sort_values("image_id")
    return settled.drop(columns=["recorded_at", "first_seen"]).reset_index(drop=True)


def test_what_is_whole_is_said_and_what_is_not_is_mended(laboratory: Path) -> None:
    result = call("check")
    assert (result.exit_code, "is what was written" in result.output) == (0, True), result.output

    before = read_index(laboratory)
    (part,) = (laboratory / "index/images").glob("*.parquet")
    part.write_bytes(part.read_bytes()[:100])
    result = call("check")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0].startswith(f"index/images/{part.name}: ")
    # It is told once, and what cannot be looked at is said.
    assert result.stdout.splitlines()[1:] == [
        "  - its rows are made again from the inspections",
        "The images are not looked at: which there are, only a whole index tells.",
    ]
    assert "is damaged" in call("batches").output

    result = call("check", "--repair")
    assert result.exit_code == 0, result.output
    assert "64 rows of the index were made again" in result.output
    assert (laboratory / "damaged/index/images" / part.name).exists()
    pd.testing.assert_frame_equal(read_index(laboratory), before)


def test_images_and_a_champion_that_were_changed_are_named(laboratory: Path) -> None:
    image = next((laboratory / "images/first").rglob("*.png"))
    content = image.read_bytes()
    image.write_bytes(b"another")
    result = call("check", "--repair")
    assert result.exit_code == 1
    assert f"{image.relative_to(laboratory)}: it is gone, or not what was indexed" in result.output
    image.write_bytes(content)

    network = next((laboratory / "mlflow").rglob("network.keras"))
    network.write_bytes(b"other weights")
    result = call("check")
    assert result.exit_code == 1
    assert "is not what was packaged and signed" in result.output
