"""Labels corrected by hand: one, or a list of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from terminal import call, read_table

pytestmark = pytest.mark.usefixtures("in_laboratory")

OTHER = {"Parasitized": "Uninfected", "Uninfected": "Parasitized"}


@pytest.fixture
def listed() -> pd.DataFrame:
    return read_table(call("images"))


def read_records(laboratory: Path) -> list[dict[str, Any]]:
    folder = laboratory / "index" / "corrections"
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def test_a_correction_is_recorded_with_who_when_before_after_and_why(
    laboratory: Path, listed: pd.DataFrame
) -> None:
    row = listed.iloc[0]
    other = OTHER[row["label"]]
    result = call(
        "relabel", row["path"], "--to", other, "--reason", "a ring, seen anew", "--by", "Ada"
    )
    assert result.exit_code == 0, result.output
    assert "Recorded: 1 labels corrected by Ada." in result.output
    assert f"{row['path']}: {row['label']} → {other}" in result.output
    record = read_records(laboratory)[-1]
    assert (record["by"], record["reason"], record["how"]) == (
        "Ada",
        "a ring, seen anew",
        "relabel",
    )
    assert record["at"].endswith("+00:00")
    assert record["labels"] == [
        {
            "image_id": row["image_id"],
            "path": row["path"],
            "before": row["label"],
            "after": other,
        }
    ]
    again = call("relabel", row["path"], "--to", other, "--reason", "again")
    assert again.exit_code == 1
    assert f"is {other} already" in again.output


def test_an_image_is_named_by_its_file_too(
    laboratory: Path, delivered: Path, listed: pd.DataFrame
) -> None:
    row = listed[listed["batch"] == "first"].iloc[1]
    file = delivered / row["path"].removeprefix("first/")
    other = OTHER[row["label"]]
    result = call("relabel", str(file), "--to", other, "--reason", "a ring")
    assert result.exit_code == 0, result.output
    assert read_records(laboratory)[-1]["labels"][0]["path"] == row["path"]


def test_one_bad_row_keeps_its_reason_and_stops_nothing(
    laboratory: Path, listed: pd.DataFrame, tmp_path: Path
) -> None:
    good = listed.iloc[10:12]
    rows = [
        "image,label,reason",
        f"{good['path'].iloc[0]},{OTHER[good['label'].iloc[0]]},a ring",
        "nowhere.png,Uninfected,",
        f"{good['image_id'].iloc[1]},{OTHER[good['label'].iloc[1]]},",
        f"{listed['path'].iloc[12]},Uninfekted,",
    ]
    source = tmp_path / "corrections.csv"
    source.write_text("\n".join(rows))
    before = len(read_records(laboratory))
    result = call("relabel", "--from", str(source), "--reason", "slide 7", "--by", "Ada")
    assert result.exit_code == 0, result.output
    assert "Recorded: 2 labels corrected by Ada; 2 could not be used." in result.output
    assert "line 3: there is no image 'nowhere.png'" in result.stderr
    assert "line 5: 'Uninfekted' is not a class" in result.stderr
    assert "Did you mean 'Uninfected'?" in result.stderr
    made = read_records(laboratory)[before:]
    assert {record["reason"] for record in made} == {"a ring", "slide 7"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["relabel"], "Give either IMAGE and --to, or --from."),
        (["relabel", "a.png"], "Give either IMAGE and --to, or --from."),
        (["relabel", "a.png", "--to", "Uninfected", "--reason", "x"], "there is no image 'a.png'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(arguments: list[str], message: str) -> None:
    result = call(*arguments)
    assert result.exit_code != 0
    assert message in result.output
    assert "Traceback" not in result.output
