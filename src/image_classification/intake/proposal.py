"""Labels that are proposed: an image is delivered under another label than it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from typing_extensions import TypedDict

from image_classification.intake import index

if TYPE_CHECKING:
    import pandas as pd

ASK, TRUST = "ask", "trust"
"""Whether a trusted depositor's label holds at once, or a person is asked as about all others."""

NOTED = (index.ACCEPTED, index.PROPOSED)
"""Statuses of a file in the log whose label people could know of."""


class CorrectionParameters(TypedDict):
    """What happens where an image is delivered under another label than it has.

    Attributes:
        policy: `ask` a person always; or `trust`, so that the label of a trusted depositor holds.
        trusted_uids: owners of delivered files, as the operating system tells them.
    """

    policy: Literal["ask", "trust"]
    trusted_uids: list[int]


def is_trusted(depositor: int | None, parameters: CorrectionParameters) -> bool:
    """Tell whether a batch may correct labels without a person.

    Args:
        depositor: the uid that owns all of the batch as it was delivered; None where there is no
            single one, where others could have written to it, or where it is not known.
        parameters: `data_processing.corrections`.
    """
    return parameters["policy"] == TRUST and depositor in parameters["trusted_uids"]


def judge_files(rows: pd.DataFrame, others: pd.DataFrame) -> pd.Series:
    """Return the status of each file of an accepted batch.

    A content that is known under another label keeps that one, and the file is a proposal. So it is
    where its labels are in conflict. A batch that brings a content under two labels proposes
    nothing about it: where the content is not known yet, it is a conflict.

    Args:
        rows: the usable files of the batch, each content once per label: `image_id` and `label`.
        others: the log of all other batches, with all statements: `index.SETTLING_COLUMNS`.
    """
    import pandas as pd  # noqa: PLC0415

    statuses = pd.Series(index.ACCEPTED, index=rows.index, dtype=object)
    known = index.settle_same(others, rows["image_id"])
    known = known[known["status"].isin([index.ACCEPTED, index.CONFLICT])]
    if len(known):
        labels = rows["image_id"].map(known.set_index("image_id")["label"])
        statuses[labels.notna() & (labels != rows["label"])] = index.PROPOSED
    statuses[rows["image_id"].duplicated(keep=False)] = index.CONFLICT
    return statuses


def find_open(log: pd.DataFrame) -> pd.DataFrame:
    """Return the proposals that nobody has answered, in the order of the log.

    A proposal is answered by a statement about its content that was made after it came, unless the
    statement answered what another batch proposed.

    Args:
        log: of the index: `index.SETTLING_COLUMNS` and more.

    Returns:
        The columns of the log, a row for each file that proposes; `label` is the one it proposes,
        and `before` the one that its image has.
    """
    if not (log["status"] == index.PROPOSED).any():  # nearly always
        return log.head(0).assign(before="")
    log = log.reset_index(drop=True)
    files = log[log["status"] != index.STATED].drop_duplicates("path", keep="last")
    proposals = files[files["status"] == index.PROPOSED]
    same = log[log["image_id"].isin(proposals["image_id"])]
    labels = index.settle_index(same).set_index("image_id")["label"]
    noted = same[same["status"].isin(NOTED)].drop_duplicates("path")
    came = dict(zip(noted["path"], noted.index, strict=True))
    statements = same[same["status"] == index.STATED]
    # The last statement about each image, by the file whose label it accepted or rejected; "" for
    # one that answered no question.
    asked = set(proposals["path"])
    said = {
        (image_id, path if path in asked else ""): place
        for place, image_id, path in statements[["image_id", "path"]].itertuples(name=None)
    }

    def is_answered(image_id: str, path: str) -> bool:
        last = max(said.get((image_id, own), -1) for own in (path, ""))
        return bool(last > came[path])

    proposals = proposals.assign(before=proposals["image_id"].map(labels))
    is_open = [
        before != label and not is_answered(image_id, path)
        for image_id, path, label, before in proposals[
            ["image_id", "path", "label", "before"]
        ].itertuples(index=False, name=None)
    ]
    return proposals.loc[is_open].reset_index(drop=True)


def select_opposed(files: pd.DataFrame, settled: pd.DataFrame) -> pd.DataFrame:
    """Return the files of images that the index knows from another file under another label.

    Args:
        files: the last row of each file.
        settled: the index.
    """
    files = files[files["status"].isin([index.PROPOSED, index.CONFLICT])]
    return files[~files["path"].isin(settled["path"])]


def find_contradictions(log: pd.DataFrame) -> pd.DataFrame:
    """Return the files that one batch brought under two labels, while nobody has stated the label.

    Args:
        log: of the index: `index.SETTLING_COLUMNS` and more.
    """
    files = log[log["status"] != index.STATED].drop_duplicates("path", keep="last")
    files = files[files["status"] == index.CONFLICT]
    settled = index.settle_same(log, files["image_id"])
    open_ids = settled.loc[settled["status"] == index.CONFLICT, "image_id"]
    return files[files["image_id"].isin(open_ids)].reset_index(drop=True)
