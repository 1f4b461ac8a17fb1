"""Show which images a batch has another label for."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from image_classification.datasets import Records
from image_classification.intake.correction import foresee
from image_classification.intake.index import settle_same
from image_classification.intake.proposal import find_open
from image_classification.text import escape_markdown

ROWS_SHOWN = 50
"""At most this many images are in the table."""

NO_LABEL = "none (in conflict)"


def select_proposals(
    image_index: pd.DataFrame, label_corrections: Records, batch: str
) -> pd.DataFrame:
    """Return the labels of a batch that nobody has answered, as `proposal.find_open`."""
    proposals = find_open(foresee(image_index, label_corrections))
    return proposals[proposals["batch"] == batch].reset_index(drop=True)


def summarise_proposals(batch: str, proposals: pd.DataFrame, image_index: pd.DataFrame) -> str:
    """Return which images have which label, and which one the batch has, in Markdown."""
    if proposals.empty:
        return f"**{batch}** corrects no label that is to be answered."
    known = settle_same(image_index, proposals["image_id"])
    paths = dict(zip(known["image_id"], known["path"], strict=True))
    splits = dict(zip(known["image_id"], known["split"], strict=True))
    pairs = Counter(zip(proposals["before"], proposals["label"], strict=True))
    counts = [
        f"- {count} {'image' if count == 1 else 'images'}: {_quote(before or NO_LABEL)} → "
        f"{_quote(label)}"
        for (before, label), count in sorted(pairs.items())
    ]
    shown = proposals[["image_id", "before", "label", "path"]].head(ROWS_SHOWN)
    rows = [
        f"| {_quote(paths[image_id])} | {_quote(before or NO_LABEL)} | {_quote(label)} "
        f"| {_quote(path)} | {splits[image_id]} |"
        for image_id, before, label, path in shown.itertuples(index=False, name=None)
    ]
    more = len(proposals) - len(shown)
    explained = (
        "They keep the label that they have until this is answered. Accept: the label of the batch "
        "holds from then on. Reject: the label that they have is confirmed. One by one: "
        "`image-classification relabel`."
    )
    return "\n".join(
        [
            f"**{batch}** has another label for {len(proposals)} images that are known:",
            "",
            *counts,
            "",
            explained,
            "",
            "| image | its label | new label | delivered as | split |",
            "|---|---|---|---|---|",
            *rows,
            *([f"\n… and {more} more."] if more else []),
        ]
    )


def _quote(text: str) -> str:
    """Return text as a table of Markdown shows it, whatever it holds."""
    return escape_markdown(text).replace("|", "\\|")
