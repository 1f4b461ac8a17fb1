"""The synthetic cells of the demonstration: the same each time, and not told apart by colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from image_classification.local.synthetic import make_cells


def test_the_same_call_gives_the_same_cells(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_cells(tmp_path / name, range(1, 3), 3)
    for path in (tmp_path / "one").rglob("*.png"):
        twin = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == twin.read_bytes()


def test_colour_alone_does_not_tell_the_classes_apart(cells: Path) -> None:
    colours, labels = [], []
    for path in cells.rglob("*.png"):
        pixels = np.asarray(Image.open(path)).astype(float)
        inside = pixels[pixels.sum(axis=2) > 0]
        colours.append([*inside.mean(axis=0), *inside.std(axis=0)])
        labels.append(path.parent.name)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    accuracy = cross_val_score(model, np.array(colours), labels, cv=5).mean()
    assert accuracy < 0.75
