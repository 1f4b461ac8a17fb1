"""Contact sheets: images in a grid, each with a caption."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from image_classification import words

SHEET_COLUMNS = 6


def plot_contact_sheet(
    mistakes: pd.DataFrame,
    pixels: npt.NDArray[np.uint8],
    mistake_count: int,
    image_count: int,
) -> Figure:
    """Show misclassified images in a grid, each with its label, its category and the confidence.

    Args:
        mistakes: `label`, `category`, `patient` and `confidence` (0 to 1) of each image shown.
        pixels: the images shown, ``(n, size, size, 3)`` uint8.
        mistake_count: how many images are misclassified in all.
        image_count: how many were classified.
    """
    title = (
        f"The {len(mistakes)} most confident of {mistake_count} mistakes in {image_count} images"
        if mistake_count
        else f"No mistake in {image_count} images"
    )
    captions = [
        f"label {mistake.label}\ncalled {mistake.category} {mistake.confidence:.0%}\n"
        f"{words.current().group} {mistake.patient}"
        for mistake in mistakes.itertuples()
    ]
    return _draw_sheet(title, pixels, captions)


def plot_suspects(
    batch: str, suspects: pd.DataFrame, pixels: npt.NDArray[np.uint8], beyond: Sequence[str] = ()
) -> Figure:
    """Show the most suspicious images of a batch in a grid, each with its label.

    Args:
        batch: name of the batch.
        suspects: `path`, `label` and `patient` of each image shown, the most suspicious first.
        pixels: the images shown, ``(n, size, size, 3)`` uint8.
        beyond: what was measured of the batch and is beyond a limit, a line each.
    """
    rows = suspects[["label", "patient", "path"]].astype(str).to_numpy()
    captions = [
        f"{label}\n{words.current().group} {patient[:12]}\n{path.rsplit('/')[-1][-24:]}"
        for label, patient, path in rows
    ]
    title = f"Batch '{batch}': its {len(suspects)} most suspicious images, with their labels"
    return _draw_sheet("\n".join([title, *beyond]), pixels, captions)


def plot_proposals(
    batch: str, proposals: pd.DataFrame, pixels: npt.NDArray[np.uint8], count: int
) -> Figure:
    """Show images that a batch has another label for, each with both labels.

    Args:
        batch: name of the batch.
        proposals: `before` (the label that it has, "" for none), `label` (that of the batch),
            `patient` and `path` of each image shown.
        pixels: the images shown, ``(n, size, size, 3)`` uint8.
        count: how many there are in all.
    """
    rows = proposals[["before", "label", "patient", "path"]].astype(str).to_numpy()
    captions = [
        f"{before or 'no label'}\n→ {label}\n{words.current().group} {patient[:12]}\n"
        f"{path.rsplit('/')[-1][-24:]}"
        for before, label, patient, path in rows
    ]
    title = f"Batch '{batch}': {len(rows)} of {count} images with another label, now → new"
    return _draw_sheet(title, pixels, captions)


def _draw_sheet(title: str, pixels: npt.NDArray[np.uint8], captions: Sequence[str]) -> Figure:
    rows = max(1, -(-len(captions) // SHEET_COLUMNS))
    figure = Figure(
        figsize=(2.1 * SHEET_COLUMNS, 2.6 * rows + 0.3 * (title.count("\n") + 2)),
        layout="constrained",
    )
    figure.suptitle(title)
    panels: list[Any] = list(np.atleast_1d(figure.subplots(rows, SHEET_COLUMNS)).ravel())
    for axes in panels:
        axes.axis("off")
    for axes, image, caption in zip(panels, pixels, captions, strict=False):
        axes.imshow(image)
        axes.set_title(caption[:90], fontsize=8)
    return figure
