"""Screen a batch of new labelled images before it may join the training images.

Cells of one patient share stain, light and focus, so a batch of a few patients never looks like a
sample of all images: a test that counts cells would alarm every night. The unit here is the
patient (Kish, 1965, *Survey Sampling*, ch. 5, on clusters): how far a patient lies from the
nearest known one is compared with how far known patients lie from one another.

- **Blank**: images without structure; absolute, needs nothing known.
- **Look** and **embedding**: the distance of a patient's mean to the nearest known patient's
  (nearest-neighbour outlier score: Ramaswamy et al., 2000, doi:10.1145/342009.335437), in
  Mahalanobis' metric of the image statistics, and of the champion's embeddings, as a multiple of
  the same distance between known patients, each left out in turn (conformal calibration: Laxhammar
  and Falkman, 2010, doi:10.1145/1833280.1833287), and allowing for how many patients came.
- **Strange images**: the share of images of a patient farther from every known patient than
  known images are, for a batch that is only partly bad.
- **Labels**: the share of images whose label the champion contradicts with confidence (Northcutt et
  al., 2021, arXiv:1911.00068), by its exact lower confidence bound (Clopper and Pearson, 1934,
  doi:10.1093/biomet/26.4.404).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd
from annotated_types import Ge, Gt, Le
from scipy.stats import beta
from typing_extensions import TypedDict

from image_classification import words
from image_classification.intake.distance import (
    Groups,
    Space,
    tame,
    weigh_channels,
    weigh_images,
    weigh_patients,
)
from image_classification.intake.measure import LIMIT, USUAL, raise_limit
from image_classification.intake.statistic import STATISTICS, Values

Numbers = dict[str, float]

BLANK_CONTRAST = 0.01
"""Standard deviation of brightness, in stops, below which an image shows nothing."""

SURE = 0.8
"""The champion contradicts a label if it gives all other classes together a higher probability."""

CONFIDENCE = 0.95
"""Of the lower bounds of shares, for all groups of a batch together."""


class ScreeningParameters(TypedDict):
    """The limits beyond which a batch is held for a person.

    Attributes:
        minimum_known_patients: with fewer known patients, only blank images are judged.
        maximum_blank_share: share of the images that are without structure.
        maximum_look_distance: from a patient's mean image statistics to the nearest known
            patient's, as a multiple of the distance that 95 % of known patients keep.
        maximum_embedding_distance: the same for the champion's embeddings.
        maximum_strange_share: share of the images of a patient, or of the batch, that lie farther
            from every known patient than 99 % of the known images do.
        maximum_disagreement_share: share of the images of a patient, or of the batch, that
            the champion calls otherwise than their label.
        maximum_contradiction_share: share that it is sure about, as a lower confidence bound.
            Labels hold a batch only if both this and the former limit are exceeded.
    """

    minimum_known_patients: Annotated[int, Ge(3)]
    maximum_blank_share: Annotated[float, Ge(0), Le(1)]
    maximum_look_distance: Annotated[float, Gt(0)]
    maximum_embedding_distance: Annotated[float, Gt(0)]
    maximum_strange_share: Annotated[float, Ge(0), Le(1)]
    maximum_disagreement_share: Annotated[float, Ge(0), Le(1)]
    maximum_contradiction_share: Annotated[float, Ge(0), Le(1)]


@dataclass(frozen=True)
class Evidence:
    """What is known of `n` labelled images.

    Attributes:
        images: columns `image_id`, `patient`, `label` and `STATISTICS`, one row per image.
        class_names: the classes in the order of the columns of `probabilities`.
        embeddings: the champion's, shape ``(n, channels)``; None without a champion.
        probabilities: the champion's, shape ``(n, classes)``; None without a champion.
    """

    images: pd.DataFrame
    class_names: Sequence[str] = ()
    embeddings: Values | None = None
    probabilities: Values | None = None

    @cached_property
    def statistics(self) -> Values:
        """The image statistics, shape ``(n, len(STATISTICS))``, finite."""
        return tame(self.images[list(STATISTICS)].to_numpy(dtype=np.float64))


@dataclass(frozen=True)
class Screening:
    """What screening a batch found.

    Attributes:
        held: whether a person must look at it; true exactly if there are `reasons`.
        reasons: one sentence for each limit that is exceeded.
        notes: one sentence for each check that could not be made.
        numbers: every measurement and limit, finite.
        suspicion: how suspicious each image is, shape ``(n,)``, 0 for not at all.
    """

    held: bool
    reasons: list[str]
    notes: list[str]
    numbers: Numbers
    suspicion: npt.NDArray[np.float64]


def screen_batch(
    batch: Evidence, reference: Evidence | None, limits: ScreeningParameters
) -> Screening:
    """Judge whether a batch may join the training images, or a person must look at it first.

    Args:
        batch: the new images, one or more.
        reference: a sample of the accepted images, some of each patient, with the outputs of the
            same champion; None if there are none.
        limits: `ScreeningParameters`.
    """
    report = _Report(len(batch.images), limits)
    _check_blank(batch, report)
    known = Groups(reference.images["patient"]) if reference is not None else None
    count = len(known.names) if known else 0
    report.numbers["known_patients"] = float(count)
    if reference is None or known is None or count < limits["minimum_known_patients"]:
        told = words.current().count_groups(count)
        report.notes.append(
            f"Only blank images were judged: {told} {'is' if count == 1 else 'are'} known, fewer "
            f"than {limits['minimum_known_patients']}."
        )
    elif len(batch.images):
        groups = Groups(batch.images["patient"])
        _check_look((batch, groups), (reference, known), report)
        _check_embeddings((batch, groups), (reference, known), report)
        _check_labels((batch, groups), (reference, known), report)
    return report.conclude()


Grouped = tuple[Evidence, Groups]


class _Report:
    """Collects what the checks find."""

    def __init__(self, image_count: int, limits: ScreeningParameters) -> None:
        self.reasons: list[str] = []
        self.notes: list[str] = []
        self.suspicion = np.zeros(image_count)
        self.numbers: Numbers = {"images": float(image_count)}
        self.numbers |= {f"limit_{name}": float(str(value)) for name, value in limits.items()}

    def hold(self, reason: str) -> None:
        self.reasons.append(reason)

    def suspect(self, scores: Values) -> None:
        self.suspicion = np.maximum(self.suspicion, np.nan_to_num(scores, posinf=1e6))

    def conclude(self) -> Screening:
        numbers = {name: float(np.nan_to_num(value)) for name, value in self.numbers.items()}
        return Screening(bool(self.reasons), self.reasons, self.notes, numbers, self.suspicion)


def _limit(report: _Report, name: str) -> float:
    return report.numbers[f"{LIMIT}{name}"]


def _check_blank(batch: Evidence, report: _Report) -> None:
    contrast = np.nan_to_num(batch.images["contrast"].to_numpy(dtype=np.float64))
    blank = contrast < BLANK_CONTRAST
    share = float(blank.mean()) if len(blank) else 0.0
    limit = _limit(report, "blank_share")
    report.numbers["blank_share"] = share
    report.suspect(np.where(blank, 10.0, 0.0))
    if share > limit:
        report.hold(
            f"{blank.sum()} of {len(blank)} images ({share:.0%}) are blank; usual is none, the "
            f"limit is {limit:.0%}."
        )


def _check_look(batch: Grouped, reference: Grouped, report: _Report) -> None:
    known, values = reference[0].statistics, batch[0].statistics
    patients = Space(known, reference[1], weigh_patients)
    _hold_distant(patients.measure_groups(values, batch[1]), "look", "look different from", report)
    images = Space(known, reference[1], weigh_images)
    distances = images.measure(values) / (images.usual_image + 1e-9)
    # One of many patients is bound to lie far out, and its images lie there too.
    strange = distances > images.grow(len(batch[1].names))
    report.suspect(distances / (1 + distances))
    bounds = _bound_shares(strange, batch[1])["bound"]
    limit = _limit(report, "strange_share")
    report.numbers["strange_share"] = share = float(bounds.max())
    if share > limit:
        report.hold(
            f"{bounds.idxmax()}: at least {share:.0%} of the images look like no known "
            f"{words.current().group}'s; usual is 1 %, the limit is {limit:.0%}."
        )


def _check_embeddings(batch: Grouped, reference: Grouped, report: _Report) -> None:
    new, old = batch[0].embeddings, reference[0].embeddings
    if new is None or old is None:
        report.notes.append("The embeddings are not judged: there is no champion.")
        return
    space = Space(tame(old), reference[1], weigh_channels)
    distances = space.measure_groups(tame(new), batch[1])
    _hold_distant(distances, "embedding", "look to the champion unlike", report)


def _hold_distant(distances: pd.Series, kind: str, verb: str, report: _Report) -> None:
    limit = _limit(report, f"{kind}_distance")
    worst = float(distances.max())
    report.numbers[f"{kind}_distance"] = worst
    if worst > limit:
        report.hold(
            f"{distances.idxmax()}: the images {verb} those of every known "
            f"{words.current().group}: {worst:.1f} times as far from the nearest one as 95 % of "
            f"known {words.current().groups} are; the limit is {limit:g} times."
        )


def _bound_shares(marks: npt.NDArray[np.bool_], groups: Groups) -> pd.DataFrame:
    """Return the `share` of marked images and its lower `bound`, of each group and of all.

    One-sided bound of Clopper and Pearson at `CONFIDENCE`, shared out over the groups after
    Bonferroni. The last row is the batch as a whole.
    """
    found = np.append(np.bincount(groups.own, marks), marks.sum())
    size = np.append(groups.sizes, len(marks))
    level = (1 - CONFIDENCE) / len(size)
    bounds = np.nan_to_num(beta.ppf(level, found, size - found + 1))
    return pd.DataFrame({"share": found / size, "bound": bounds}, [*groups.names, "The batch"])


def _check_labels(batch: Grouped, reference: Grouped, report: _Report) -> None:
    if batch[0].probabilities is None or reference[0].probabilities is None:
        report.notes.append("The labels are not judged: there is no champion.")
        return
    opposed = _oppose_labels(batch[0])
    report.suspect(opposed)
    usual = _oppose_labels(reference[0])
    for kind, at in (("disagreement", 0.5), ("contradiction", SURE)):
        shares = reference[1].share(usual > at)
        report.numbers[f"{USUAL}{kind}_share"] = float(np.quantile(shares, 0.9))
    _hold_contradicted(opposed, batch[1], report)


def _oppose_labels(evidence: Evidence) -> Values:
    """Return the probability that the champion gives to all classes but the label, ``(n,)``.

    It is 0 for a label that the champion does not know: it has no opinion on it.
    """
    columns = pd.Index(evidence.class_names).get_indexer(
        pd.Index(evidence.images["label"].astype(str))
    )
    probabilities = np.nan_to_num(np.asarray(evidence.probabilities, dtype=np.float64), nan=1.0)
    of_label = probabilities[np.arange(len(columns)), columns]
    return np.where(columns < 0, 0.0, np.clip(1 - of_label, 0, 1))


def _hold_contradicted(opposed: Values, groups: Groups, report: _Report) -> None:
    """Hold a batch with a patient, or as a whole, whose labels the champion contradicts.

    The images of a hard patient are doubtful, and a weak champion disagrees with many labels. So
    doubtful images are no contradictions, and the limits rise with what is usual.
    """
    numbers = report.numbers
    limits = {
        kind: raise_limit(_limit(report, f"{kind}_share"), numbers[f"{USUAL}{kind}_share"])
        for kind in ("disagreement", "contradiction")
    }
    called_otherwise = _bound_shares(opposed > 0.5, groups)["share"]
    bounds = _bound_shares(opposed > SURE, groups)["bound"]
    numbers["disagreement_share"] = float(called_otherwise.max())
    # Of a group in which few images are called otherwise, no contradiction counts.
    bounds = bounds.where(called_otherwise > limits["disagreement"], 0.0)
    numbers["contradiction_share"] = share = float(bounds.max())
    if share > limits["contradiction"]:
        group = str(bounds.idxmax())
        report.hold(
            f"{group}: the champion calls {called_otherwise[group]:.0%} of the images otherwise "
            f"than their labels, and at least {share:.0%} with certainty; usual is at most "
            f"{numbers['usual_contradiction_share']:.0%} with certainty, the limits are "
            f"{limits['disagreement']:.0%} and {limits['contradiction']:.0%}."
        )
