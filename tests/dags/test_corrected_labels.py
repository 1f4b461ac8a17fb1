"""Labels that contradict what is known: Airflow asks, and carries the answer out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from dag_nights import Laboratory, quick_work
from terminal import call

if TYPE_CHECKING:
    import pandas as pd

pytestmark = [pytest.mark.usefixtures("airflow_database"), pytest.mark.slow]

OTHER = {"Parasitized": "Uninfected", "Uninfected": "Parasitized"}


def deliver_again(laboratory: Laboratory, image: pd.Series) -> None:
    """Let an image arrive once more, under the other label."""
    folder = laboratory.storage / "incoming" / "again" / OTHER[image["label"]]
    folder.mkdir(parents=True)
    content = (laboratory.storage / "images" / image["path"]).read_bytes()
    (folder / "again.png").write_bytes(content)
    (folder.parent / "_READY").touch()


def test_airflow_asks_about_labels_and_carries_the_answer_out(laboratory: Laboratory) -> None:
    with quick_work():
        first = laboratory.spend_night("data_processing")
        image = first.index.iloc[0]
        deliver_again(laboratory, image)
        asked = laboratory.spend_night("data_processing")

        assert asked.state == "success"
        assert asked.tasks["request_reviews"] == "success"
        assert "another label for 1 known images" in asked.outcome
        assert "Held for a review: labels of again." in asked.notes[-1]
        assert asked.index.set_index("path").loc[image["path"], "label"] == image["label"]

        said = ["--accept", "--reason", "read again", "--by", "Ada"]
        answered = call("review", "again", "--labels", *said)
        assert answered.exit_code == 0, answered.output
        done = laboratory.spend_night("data_processing")

    assert done.tasks["announce_images"] == "success", "the retraining starts by itself"
    assert done.outcome.endswith("1 labels corrected")
    assert "Held for a review" not in done.notes[-1]
    row = done.index.set_index("path").loc[image["path"]]
    assert (row["label"], row["labelled_by"]) == (OTHER[image["label"]], "Ada")
