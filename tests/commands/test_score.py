"""Images are scored with the champion."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from storage_root import use_store
from terminal import call

pytestmark = pytest.mark.usefixtures("in_laboratory")


def test_a_folder_is_scored_with_the_champion_and_written_to_a_file(
    delivered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(delivered)
    result = call("score", "Uninfected", "--to", str(tmp_path / "scores.csv"))
    assert result.exit_code == 0, result.output
    count = len(list((delivered / "Uninfected").glob("*.png")))
    assert f"scored {count} images with v1: " in result.output
    assert f"{count} rows: {tmp_path / 'scores.csv'}" in result.output
    table = pd.read_csv(tmp_path / "scores.csv")
    assert set(table["model_version"]) == {1}
    assert table["image_name"].tolist() == sorted(
        p.name for p in (delivered / "Uninfected").iterdir()
    )


def test_without_a_file_the_place_of_the_table_is_told(delivered: Path, tmp_path: Path) -> None:
    image = next(delivered.rglob("*.png"))
    (tmp_path / "cells.csv").write_text(f"path\n{image}\ngone.png\n")
    result = call("score", str(tmp_path / "cells.csv"), "--allow", str(delivered))
    assert result.exit_code == 0, result.output
    assert "; 1 could not be read" in result.output
    place = result.output.partition("Table: ")[2].strip()
    assert pd.read_csv(place)["path"].tolist() == [str(image), str(tmp_path / "gone.png")]


def test_json_is_a_row_for_each_image_and_nothing_else(delivered: Path, tmp_path: Path) -> None:
    image = next(delivered.rglob("*.png"))
    (tmp_path / "cells.csv").write_text(f"path\n{image}\ngone.png\n")
    result = call("score", str(tmp_path / "cells.csv"), "--allow", str(delivered), "--json")
    assert result.exit_code == 0, result.output
    read, gone = json.loads(result.stdout)
    assert read["path"] == str(image)
    assert read["category"] in ("Parasitized", "Uninfected")
    assert read["probability_Parasitized"] + read["probability_Uninfected"] == pytest.approx(1)
    assert (read["error"], read["model_version"]) == ("", "1")
    assert gone["probability_Parasitized"] is None
    assert gone["error"].startswith("the file cannot be read")
    assert "scored 1 images with v1" in result.stderr


def test_a_list_names_images_beside_it_and_of_the_storage_and_no_others(
    in_laboratory: Path, delivered: Path, tmp_path: Path
) -> None:
    elsewhere, *_ = sorted(delivered.rglob("*.png"))
    kept = next((in_laboratory / "images").rglob("*.png"))
    (tmp_path / "beside.png").write_bytes(elsewhere.read_bytes())
    (tmp_path / "link.png").symlink_to(elsewhere)
    listed = ["beside.png", str(kept), str(elsewhere), f"file://{elsewhere}", "link.png"]
    listed += [f"../{delivered.name}/{elsewhere.relative_to(delivered)}", "/proc/self/environ"]
    (tmp_path / "cells.txt").write_text("\n".join(listed))
    result = call("score", str(tmp_path / "cells.txt"), "--to", str(tmp_path / "scores.csv"))
    assert result.exit_code == 0, result.output
    errors = pd.read_csv(tmp_path / "scores.csv", keep_default_na=False)["error"]
    assert errors[:2].tolist() == ["", ""]
    assert errors[2:].str.startswith("the file cannot be read: it lies in none of the ").all()


def test_scoring_without_a_champion_is_said_in_one_line(
    delivered: Path, tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(tmp_path))
    use_store(tmp_path, empty_store)
    result = call("score", str(delivered))
    assert result.exit_code == 1
    assert "Error: Registered model 'test-classifier' has no version with the" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/nowhere", "--to", "a.xlsx"], "'a.xlsx' ends in '.xlsx': .csv and .parquet"),
        (["/nowhere"], "'/nowhere' does not exist. Name a folder of images, or a list"),
    ],
)
def test_what_cannot_be_scored_is_said_in_one_line(arguments: list[str], message: str) -> None:
    result = call("score", *arguments)
    assert result.exit_code != 0
    assert message in result.output
    assert "Traceback" not in result.output
