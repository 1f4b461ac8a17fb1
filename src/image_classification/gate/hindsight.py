"""Each decision judged again, by images that came after it and that neither model was trained on.

Nothing here changes what is trained on, what is validated on, or who is champion.

The interval of the gain: `bootstrap.bootstrap_patients`, whole patients drawn with replacement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import numpy as np
import pandas as pd
from annotated_types import Ge, Lt
from typing_extensions import TypedDict

from image_classification.gate.bootstrap import bootstrap_patients, sum_by_patient
from image_classification.gate.number import DECIMALS
from image_classification.gate.policy import Count, Share
from image_classification.gate.prediction import find_right
from image_classification.gate.verdict import (
    KEPT,
    MOVES,
    NOT_MOVED,
    PROMOTED,
    REFUSED,
    REJECTED,
    ROLLED_BACK,
)

WRONG_PROMOTION, RIGHT_PROMOTION = "wrong promotion", "right promotion"
MISSED_PROMOTION, RIGHT_TO_KEEP = "missed promotion", "right to keep"
WRONG_ROLLBACK, RIGHT_ROLLBACK = "wrong rollback", "right rollback"
NOT_CLEAR, NOT_KNOWN = "not clear yet", "cannot be told"
"""What hindsight may say. Not known: the images or the models to judge by are gone."""

OUTCOMES = {
    PROMOTED: (WRONG_PROMOTION, RIGHT_PROMOTION),
    ROLLED_BACK: (WRONG_ROLLBACK, RIGHT_ROLLBACK),
    **dict.fromkeys((KEPT, REFUSED, REJECTED, NOT_MOVED), (MISSED_PROMOTION, RIGHT_TO_KEEP)),
}
"""Of each event that chose between two versions: what it is if it proves wrong, and if right."""

WRONG = tuple(wrong for wrong, _ in OUTCOMES.values())

SCORING_COLUMNS = ["version", "image_id", "path"]


class HindsightParameters(TypedDict):
    """How far to look back, how much to score for it, and how sure to be.

    Attributes:
        maximum_decisions: of the ledger, from the newest back; what was found of older ones stays.
        maximum_decision_images: of those that came after a decision, the first so many.
        maximum_images: answers asked for in one run, of all versions together.
        minimum_images: fewer say nothing,
        minimum_patients: nor do images of fewer patients.
        confidence: of the two-sided interval over patients.
        resamples: of the bootstrap that gives the interval.
        tolerated_loss: share of accuracy; a decision that surely lost no more than this was right.
    """

    maximum_decisions: Count
    maximum_decision_images: Count
    maximum_images: Count
    minimum_images: Count
    minimum_patients: Annotated[int, Ge(2)]
    confidence: Annotated[float, Ge(0.5), Lt(1)]
    resamples: Annotated[int, Ge(100)]
    tolerated_loss: Share


class PastDecision(TypedDict):
    """A choice between two versions that the ledger records.

    Attributes:
        run_id: the MLflow run that decided.
        at: when it was recorded, ISO 8601.
        event: its name in the ledger.
        version: the version that was judged, or put back.
        against: the one that it was judged against, or that was taken out.
        since: what came later than this was not there to decide by, ISO 8601.
        until: when yet another version came into use, ISO 8601; "" if none has.
        judged_patients: the validation patients that it was decided by.
    """

    run_id: str
    at: str
    event: str
    version: str
    against: str
    since: str
    until: str
    judged_patients: list[str]


def list_decisions(entries: Sequence[Mapping[str, Any]]) -> list[PastDecision]:
    """Return the decisions that chose between two versions, in the order of time.

    The first champion, a lost race and a failed verification chose between none. Of a run that
    recorded several decisions the last one counts.

    Args:
        entries: of the ledger, of one model, in the order of time.
    """
    found = {}
    for place, entry in enumerate(entries):
        if entry["event"] not in OUTCOMES:
            continue
        moves = entry["event"] in MOVES
        version, used = str(entry["version"]), str(entry["champion_after"] or "")
        against = str(entry["champion_before"] or "") if moves else used
        if against in ("", version):
            continue
        decision = entry["decision"] or {}
        found[entry["mlflow_run_id"]] = PastDecision(
            run_id=str(entry["mlflow_run_id"]),
            at=str(entry["at"]),
            event=str(entry["event"]),
            version=version,
            against=against,
            since=(decision.get("facts") or {}).get("challenger_data_until") or str(entry["at"]),
            until=_find_end(used, entries[place + 1 :]),
            judged_patients=list(decision.get("validation_patients") or []),
        )
    return sorted(found.values(), key=lambda decision: decision["at"])


def _find_end(used: str, later: Iterable[Mapping[str, Any]]) -> str:
    """Return when another version than the one in use became champion, or ""."""
    ends = (
        str(entry["at"])
        for entry in later
        if entry["event"] in MOVES and str(entry["champion_after"]) != used
    )
    return next(ends, "")


def date_images(images: pd.DataFrame) -> pd.DataFrame:
    """Return the images with `came`, the time from which each could be trained on.

    That is when it was first seen, or, for an image of a batch that was held, when a person
    accepted it.

    Args:
        images: accepted ones: `first_seen` and `reviewed_at`, ISO 8601, and more.
    """
    reviewed = images["reviewed_at"].fillna("")
    came = reviewed.where(reviewed != "", images["first_seen"])
    return images.assign(came=pd.to_datetime(came, utc=True, format="ISO8601"))


def choose_later(
    images: pd.DataFrame,
    decision: PastDecision,
    tables: Iterable[pd.DataFrame],
    maximum_images: int,
) -> pd.DataFrame:
    """Choose the images that a decision is judged again by: later ones, seen by neither model.

    An image counts if it came after the data of the decision, if neither version was made from it,
    if neither was trained on any image of its patient, and if its patient is none of those that it
    was decided by: those would only say again what they said then. Which split it is in does not
    matter.

    Args:
        images: accepted ones, of `date_images`.
        decision: of `list_decisions`.
        tables: the images that each of the two versions was made from: `image_id`, `patient` and
            `split`.
        maximum_images: of those that count, the first so many are chosen.

    Returns:
        The rows chosen, in the order in which they came.
    """
    patients, known = set(decision["judged_patients"]), set[str]()
    for table in tables:
        patients |= set(table.loc[table["split"] == "train", "patient"].astype(str))
        known |= set(table["image_id"].astype(str))
    counts = (
        (images["came"] > pd.Timestamp(decision["since"]))
        & ~images["patient"].astype(str).isin(patients)
        & ~images["image_id"].astype(str).isin(known)
    )
    in_order = images[counts].sort_values(["came", "patient", "image_id"], ignore_index=True)
    return in_order.head(maximum_images)


def count_read(images: pd.DataFrame, decision: PastDecision) -> int:
    """Return how many images came while the version that the decision chose was in use."""
    came = images["came"] > pd.Timestamp(decision["at"])
    if decision["until"]:
        came &= images["came"] <= pd.Timestamp(decision["until"])
    return int(came.sum())


def plan_scoring(
    chosen: Sequence[tuple[PastDecision, pd.DataFrame]],
    known: Mapping[str, Iterable[str]],
    maximum_images: int,
) -> pd.DataFrame:
    """List which version is to answer which image; what was answered before is not asked again.

    The newest decision comes first, since something may still be done about it; of each decision
    the images that came first. An image is asked of both versions, or of neither.

    Args:
        chosen: each decision, oldest first, with its images of `choose_later`.
        known: of each version, the ids of the images that it has answered.
        maximum_images: answers, of all versions together.

    Returns:
        `SCORING_COLUMNS`, each pair of a version and an image once.
    """
    answered = {version: set(ids) for version, ids in known.items()}
    parts, left = [pd.DataFrame(columns=SCORING_COLUMNS)], maximum_images
    for decision, images in reversed(chosen):
        versions = (decision["version"], decision["against"])
        missing = np.array(
            [~images["image_id"].isin(answered.get(version, set())) for version in versions],
            dtype=bool,
        ).reshape(2, len(images))
        fits = missing.sum(axis=0).cumsum() <= left
        for version, lacks in zip(versions, missing, strict=True):
            rows = images.loc[lacks & fits, ["image_id", "path"]]
            answered.setdefault(version, set()).update(rows["image_id"])
            parts.append(rows.assign(version=version)[SCORING_COLUMNS])
        left -= int(missing[:, fits].sum())
    return pd.concat(parts, ignore_index=True)


def judge_later(
    decision: PastDecision, answers: pd.DataFrame, rule: HindsightParameters
) -> dict[str, Any]:
    """Judge a decision by what both versions answered of later images.

    Args:
        decision: of `list_decisions`.
        answers: a row per image: `patient`, `label`, and what the two versions called it, in the
            columns `version` and `against`.
        rule: `hindsight`.

    Returns:
        `images` and `patients` (counts); `gain` (of `version` over `against`, share of accuracy),
        `low` and `high`, all None where there are too few images; and `outcome`.
    """
    counts = {"images": len(answers), "patients": int(answers["patient"].nunique())}
    nothing = dict.fromkeys(("gain", "low", "high"))
    few = counts["images"] < rule["minimum_images"] or counts["patients"] < rule["minimum_patients"]
    if few:
        return {**counts, **nothing, "outcome": NOT_CLEAR}
    gains = find_right(answers, "version") - find_right(answers, "against")
    sums = sum_by_patient(answers["patient"], gains)
    low, high = bootstrap_patients(*sums, rule["confidence"], rule["resamples"])
    gain = float(gains.mean())
    outcome = name_outcome(decision["event"], low, high, rule["tolerated_loss"])
    return {**counts, "gain": gain, "low": low, "high": high, "outcome": outcome}


def name_outcome(event: str, low: float, high: float, tolerated_loss: float) -> str:
    """Return whether a decision was wrong, right, or whether that is not clear yet.

    It was wrong if it surely lost something, and right if it surely lost no more than is tolerated.

    Args:
        event: of the decision.
        low: lower end of the gain of the version that was judged over the other.
        high: its upper end.
        tolerated_loss: share of accuracy.
    """
    least, most = (-high, -low) if event in MOVES else (low, high)
    wrong, right = OUTCOMES[event]
    if round(least, DECIMALS) > 0:
        return wrong
    return right if round(most - tolerated_loss, DECIMALS) <= 0 else NOT_CLEAR


def measure_loss(
    decision: PastDecision, judged: Mapping[str, Any], read: int, now: datetime
) -> tuple[int, int]:
    """Return for how many nights a wrong decision held, and about how many images it cost.

    Args:
        decision: of `list_decisions`.
        judged: of `judge_later`.
        read: images that came while it held, of `count_read`.
        now: the present time, for a decision that still holds.

    Returns:
        Nights, and the images that the version in use read wrongly and the other would not have;
        0 and 0 for a decision that was not wrong.
    """
    if judged["outcome"] not in WRONG:
        return 0, 0
    end = datetime.fromisoformat(decision["until"]) if decision["until"] else now
    nights = (end.date() - datetime.fromisoformat(decision["at"]).date()).days
    return nights, round(abs(judged["gain"]) * read)
