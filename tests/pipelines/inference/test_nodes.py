"""Scoring with the champion: its nodes, and the pipeline over the project's catalog."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kedro.io import MemoryDataset
from kedro.runner import SequentialRunner
from laboratory import Laboratory
from samples import draw_bomb, draw_image, fill_folder

from image_classification import vision
from image_classification.champion import package, registry
from image_classification.datasets import ImageSource, RegisteredNetwork
from image_classification.errors import DataError
from image_classification.pipelines.inference import create_pipeline
from image_classification.pipelines.inference.nodes import list_images, report_scores, score_images
from image_classification.vision import HeldPixels, Network, scoring
from image_classification.vision.colour import GREY_WARNING, mark_learnt_colours

CLASSES = ["gametocyte", "healthy", "ring"]
PROBABILITIES = [f"probability_{name}" for name in CLASSES]
COLUMNS = [
    "image_name",
    "path",
    *PROBABILITIES,
    "category",
    "error",
    "model_name",
    "model_version",
    "scored_at",
]
FILES = {"top.png": draw_image(1), "any/where/deep.png": draw_image(2), "b/1.png": draw_image(3)}
UNREADABLE = {"bad.png": b"no image", "empty.png": b"", "cut.png": draw_image(4)[:100]}


@pytest.fixture(scope="module")
def champion() -> RegisteredNetwork:
    vision.set_seed(0)
    return RegisteredNetwork(vision.build_network("small", 16, 3, 0.0), CLASSES, "4")


def score(folder: Path | str, champion: RegisteredNetwork) -> pd.DataFrame:
    source = ImageSource("nowhere")
    return score_images(list_images(source, str(folder)), source, champion, "cells", 2)


def test_every_image_has_a_row_in_order_with_the_version_that_scored_it(
    champion: RegisteredNetwork, tmp_path: Path
) -> None:
    table = score(fill_folder(tmp_path, FILES), champion)

    assert list(table) == COLUMNS
    names = sorted(FILES)
    assert table["image_name"].tolist() == names
    assert table["path"].tolist() == [str(tmp_path / name) for name in names]
    expected = vision.score_pixels(
        champion.network, vision.decode_images([FILES[name] for name in names], 16)
    )
    np.testing.assert_allclose(table[PROBABILITIES], expected, rtol=1e-5)
    best = table[PROBABILITIES].idxmax(axis=1).str.removeprefix("probability_")
    assert table["category"].tolist() == best.tolist()
    assert table["error"].tolist() == ["", "", ""]
    assert set(table["model_name"]) == {"cells"}
    assert set(table["model_version"]) == {"4"}
    (scored_at,) = set(table["scored_at"])
    age = datetime.now(UTC) - datetime.fromisoformat(scored_at)
    assert timedelta(0) <= age < timedelta(minutes=1)


def test_images_that_cannot_be_scored_keep_their_rows_with_the_reason(
    champion: RegisteredNetwork, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill_folder(tmp_path, FILES | UNREADABLE)
    listed = [*FILES, *UNREADABLE, "gone.png"]
    (tmp_path / "cells.txt").write_text("\n".join(listed))

    table = score(tmp_path / "cells.txt", champion)

    sound, bad = table[: len(FILES)], table[len(FILES) :]
    assert table["image_name"].tolist() == listed
    assert set(sound["error"]) == {""}
    assert sound[PROBABILITIES].notna().all(axis=None)
    assert bad[[*PROBABILITIES, "category"]].isna().all(axis=None)
    assert bad["error"].str.startswith("the file cannot be decoded").tolist() == [True] * 3 + [
        False
    ]
    assert bad["error"].iloc[-1] == "the file cannot be read: there is no such file"
    assert set(table["model_version"]) == {"4"}
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith("4 of 7 images cannot be scored. The first is 'bad.png': the file ca")


def test_images_of_which_none_can_be_scored_keep_their_rows_too(
    champion: RegisteredNetwork, tmp_path: Path
) -> None:
    fill_folder(tmp_path, UNREADABLE)
    table = score(tmp_path, champion)
    assert table["error"].str.startswith("the file cannot be decoded").tolist() == [True] * 3
    summary, _, _ = report_scores(table)
    assert summary["outcome"].startswith("scored 0 images with v4: ")
    assert summary["outcome"].endswith("; 3 could not be read")


def test_no_bomb_among_the_images_ends_the_run(champion: RegisteredNetwork, tmp_path: Path) -> None:
    scans = draw_image(5, kind="JPEG")
    scans = scans[:-2] + scans[scans.rindex(b"\xff\xda") : -2] * 1000 + scans[-2:]
    bombs = {"a.png": draw_bomb(60_000, 60_000), "b.png": draw_bomb(9_000, 9_000), "c.jpg": scans}
    table = score(fill_folder(tmp_path, FILES | bombs), champion).set_index("image_name")
    assert table.loc[sorted(FILES), "error"].tolist() == [""] * len(FILES)
    assert table.loc[sorted(bombs), "category"].isna().all()
    reasons = ["exceeds limit", "9000 x 9000 pixels: at most", "the JPEG has 1001 scans"]
    for name, reason in zip(sorted(bombs), reasons, strict=True):
        assert reason in table.loc[name, "error"]


def test_a_grey_image_keeps_its_answer_with_a_warning(tmp_path: Path) -> None:
    vision.set_seed(0)
    network = vision.build_network("small", 16, 3, 0.0)
    colours = vision.decode_images([draw_image(seed) for seed in range(3)], 16)
    mark_learnt_colours(network, HeldPixels(colours))
    of_colours = RegisteredNetwork(network, CLASSES, "4")
    files = FILES | {"grey.png": draw_image(7, mode="L"), "bad.png": b"no image"}
    table = score(fill_folder(tmp_path, files), of_colours).set_index("image_name")
    assert table.loc["grey.png", "warning"] == GREY_WARNING
    assert table.loc["grey.png", PROBABILITIES].notna().all()
    assert set(table["warning"].drop("grey.png")) == {""}
    columns = list(table)
    assert columns.index("warning") == columns.index("error") + 1
    summary, _, _ = report_scores(table)
    assert summary["outcome"].endswith(
        "could not be read; 1 cannot be relied on (column 'warning')"
    )


@pytest.mark.parametrize("there", [0, 1])
def test_a_run_fails_where_no_image_at_all_is_where_the_list_says(
    champion: RegisteredNetwork, tmp_path: Path, there: int
) -> None:
    fill_folder(tmp_path, dict(list(FILES.items())[:there]))
    listed = [*list(FILES)[:there], "gone.png", "lost.png"]
    (tmp_path / "cells.txt").write_text("\n".join(listed))
    if there:
        assert (score(tmp_path / "cells.txt", champion)["error"] == "").sum() == 1
        return
    with pytest.raises(
        DataError,
        match=r"None of 2 images can be read\. The first is 'gone.png': .*inference.images",
    ):
        score(tmp_path / "cells.txt", champion)


def test_a_store_that_fails_fails_the_run_and_blames_no_image(
    champion: RegisteredNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise TimeoutError("no answer")

    fill_folder(tmp_path, FILES)
    monkeypatch.setattr("image_classification.datasets.source.read_file", fail)
    with pytest.raises(TimeoutError):
        score(tmp_path, champion)


def test_a_long_list_is_read_a_part_at_a_time(
    champion: RegisteredNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    class Endless(ImageSource):
        def read(self, paths: Sequence[str]) -> list[bytes | str]:
            sizes.append(len(paths))
            return [FILES["top.png"]] * len(paths)

    monkeypatch.setattr(scoring, "CHUNK_IMAGES", 4)
    images = pd.DataFrame({"image_name": ["x"] * 11, "path": ["x"] * 11})

    assert len(score_images(images, Endless(""), champion, "cells", 256)) == 11
    assert sizes == [4, 4, 3]


def test_categories_that_are_numbers_are_told_from_their_counts() -> None:
    table = pd.DataFrame({"category": ["3", "7", "7"], "probability_3": 0.5, "probability_7": 0.5})
    table = table.assign(error="", model_name="digits", model_version="2", scored_at="2026-11-22")
    assert report_scores(table)[0]["outcome"] == "scored 3 images with v2: 1 '3', 2 '7'"


@pytest.mark.parametrize(
    ("scored", "unreadable", "outcome"),
    [
        (
            ["ring"] * 600 + ["healthy"] * 634,
            2,
            "scored 1,234 images with v4: 0 gametocyte, 634 healthy, 600 ring; 2 could not be read",
        ),
        (["ring"], 0, "scored 1 images with v4: 0 gametocyte, 0 healthy, 1 ring"),
    ],
)
def test_the_summary_counts_each_category_and_says_so(
    scored: list[str], unreadable: int, outcome: str
) -> None:
    table = pd.DataFrame({"category": [*scored, *[None] * unreadable]})
    table[PROBABILITIES] = 0.5
    table["error"] = [""] * len(scored) + ["broken"] * unreadable
    table = table.assign(model_name="cells", model_version="4", scored_at="2026-11-22T02:00:00")

    summary, counts, given = report_scores(table)

    assert summary == {
        "outcome": outcome,
        "images": len(table),
        "unreadable": unreadable,
        "categories": {name: scored.count(name) for name in CLASSES},
        "model_name": "cells",
        "model_version": "4",
        "scored_at": "2026-11-22T02:00:00",
    }
    assert json.loads(json.dumps(summary)) == summary
    assert {name: entry["value"] for name, entry in counts.items()} == {
        "images": len(table),
        "unreadable": unreadable,
    }
    assert given is table


# The pipeline, each node in a run of its own, with the alias moving all the time


@contextmanager
def moving_champion(network: Network, patch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let every look at the alias find another version; the list holds those looked at."""
    found: list[str] = []

    def find_version(model_name: str, alias: str) -> Any:
        assert (model_name, alias) == ("test-classifier", "champion")
        found.append(str(len(found) + 3))
        return SimpleNamespace(version=int(found[-1]))

    @contextmanager
    def open_parts(model_name: str, version: Any) -> Iterator[package.ModelParts]:
        yield package.ModelParts(Path(f"network-of-{version}"), CLASSES)

    patch.setattr(registry, "find_version", find_version)
    patch.setattr(package, "open_parts", open_parts)
    patch.setattr(vision, "load_network", lambda _: network, raising=False)
    yield found


@pytest.mark.parametrize("by", ["folder", "list", "environment"])
def test_a_champion_that_moves_meanwhile_does_not_mix_versions(
    champion: RegisteredNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    cells = fill_folder(tmp_path / "cells", FILES | UNREADABLE)
    (cells / "cells.txt").write_text("\n".join([*FILES, "gone.png"]))
    place = {"folder": str(cells), "list": str(cells / "cells.txt"), "environment": ""}[by]
    catalog = Laboratory(tmp_path / "storage").catalog(
        score_counts=MemoryDataset(), image_source=MemoryDataset(ImageSource(str(cells)))
    )
    catalog["params:inference.images"] = place
    catalog["params:registered_model_name"] = "test-classifier"
    catalog["params:inference.batch_size"] = 256
    pipeline = create_pipeline()

    with moving_champion(champion.network, monkeypatch) as looked_at:
        for node in pipeline.nodes:
            SequentialRunner().run(pipeline.only_nodes(node.name), catalog)

    run = tmp_path / "storage" / "runs" / "local"
    table = pd.read_parquet(run / "scores.parquet")
    assert looked_at == ["3"]
    assert list(table) == COLUMNS
    assert table["model_version"].tolist() == ["3"] * (4 if by == "list" else 6)
    summary = json.loads((run / "score_summary.json").read_text())
    assert summary["model_version"] == "3"
    assert summary["images"] == len(table)
    assert summary["unreadable"] == (1 if by == "list" else 3)
    assert sum(summary["categories"].values()) == 3
    printed = pd.read_csv(run / "scores.csv", dtype={"model_version": str})
    pd.testing.assert_frame_equal(printed[COLUMNS[2:5]], table[COLUMNS[2:5]])
    assert printed["error"].fillna("").tolist() == table["error"].tolist()
