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

The Kolmogorov-Smirnov distance, the population stability index (Siddiqi, 2006, *Credit Risk
Scorecards*) and the maximum mean discrepancy (Gretton et al., 2012, JMLR 13:723) are reported, and
decide nothing: on honest days of few patients they exceed every customary limit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import ConfigDict, Field, with_config
from scipy.spatial.distance import cdist, pdist
from scipy.stats import beta
from typing_extensions import TypedDict

Values = npt.NDArray[np.floating]
Numbers = dict[str, float]

STATISTICS: tuple[str, ...] = (
    "lit_share",
    "brightness",
    "contrast",
    "texture",
    "red_over_green",
    "blue_over_green",
    "red_slope",
    "blue_slope",
)
"""What `describe_pixels` measures of each image, in this order."""

CHUNK_IMAGES = 256
LIT_LEVEL = 16
"""A pixel is lit if its brightest channel is above this: the mask round a cell is black."""

USUAL_SHARE = 0.95
"""Of the known patients, that keep what is called the usual distance."""

BLANK_CONTRAST = 0.01
"""Standard deviation of brightness, in stops, below which an image shows nothing."""

SMALLEST_GROUP = 5
POOLED_IMAGES = 30
"""Images of patients with fewer than `SMALLEST_GROUP` are taken together, so many at a time."""

SURE = 0.8
"""The champion contradicts a label where it gives all other classes together more than this."""

CONFIDENCE = 0.95
LARGEST = 1e9


@with_config(ConfigDict(extra="forbid"))
class ScreeningParameters(TypedDict):
    """Beyond which limits a batch is held for a person.

    Attributes:
        minimum_known_patients: fewer known patients than this judge nobody; blank images alone
            are held. Default 15.
        maximum_blank_share: share of the images without structure. Default 0.02.
        maximum_look_distance: of a patient's mean image statistics to the nearest known
            patient, as a multiple of what 95 % of known patients keep. Default 2.0.
        maximum_embedding_distance: the same, of the champion's embeddings. Default 1.6.
        maximum_strange_share: share of the images of a patient, or of the batch, beyond what 99 %
            of known images keep. Default 0.15.
        maximum_disagreement_share: share of the images of a patient, or of the batch, that
            the champion calls otherwise than their label. Default 0.28.
        maximum_contradiction_share: share it calls otherwise with certainty, beyond doubt of
            the small number. Labels hold a batch if both this and the former are exceeded.
            Default 0.08.
    """

    minimum_known_patients: Annotated[int, Field(ge=3)]
    maximum_blank_share: Annotated[float, Field(ge=0, le=1)]
    maximum_look_distance: Annotated[float, Field(gt=0)]
    maximum_embedding_distance: Annotated[float, Field(gt=0)]
    maximum_strange_share: Annotated[float, Field(ge=0, le=1)]
    maximum_disagreement_share: Annotated[float, Field(ge=0, le=1)]
    maximum_contradiction_share: Annotated[float, Field(ge=0, le=1)]


DEFAULT_LIMITS: ScreeningParameters = {
    "minimum_known_patients": 15,
    "maximum_blank_share": 0.02,
    "maximum_look_distance": 2.0,
    "maximum_embedding_distance": 1.6,
    "maximum_strange_share": 0.15,
    "maximum_disagreement_share": 0.28,
    "maximum_contradiction_share": 0.08,
}


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
        return _tame(self.images[list(STATISTICS)].to_numpy(dtype=np.float64))


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


def describe_pixels(pixels: npt.NDArray[np.uint8]) -> pd.DataFrame:
    """Measure each image: what its cell looks like, whatever the class.

    Brightness is measured in stops (log2 of the level), so that twice the light adds 1 to it and
    changes nothing else. The mask's black and the outermost lit pixels, which mix with it, do not
    count. The slopes say how strongly red and blue follow green where the cell is darker: the
    direction of the dye in optical density (Ruifrok and Johnston, 2001, Anal. Quant. Cytol.
    Histol. 23:291), which a change of stain turns even in pale cells.

    Args:
        pixels: shape ``(n, size, size, 3)``, dtype uint8, RGB on black.

    Returns:
        `n` rows, the float columns `STATISTICS`, all finite.
    """
    chunks = [
        _describe_chunk(pixels[start : start + CHUNK_IMAGES])
        for start in range(0, len(pixels), CHUNK_IMAGES)
    ]
    values = np.concatenate(chunks) if chunks else np.empty((0, len(STATISTICS)))
    return pd.DataFrame(values.astype(np.float64), columns=list(STATISTICS))


def _describe_chunk(pixels: npt.NDArray[np.uint8]) -> Values:
    step = max(1, pixels.shape[1] // 32)
    # A plane per colour: sums run along memory, twice as fast and more exact.
    planes = np.ascontiguousarray(np.moveaxis(pixels, 3, 0))
    lit, inner = _find_lit(planes)
    weight = inner[:, ::step, ::step].astype(np.float32)
    count = np.maximum(weight.sum((1, 2)), 1)
    levels = np.log2(np.arange(256, dtype=np.float32) + LIT_LEVEL)
    away = levels.take(planes[:, :, ::step, ::step])
    means = np.einsum("cnij,nij->cn", away, weight) / count
    away -= means[:, :, None, None]
    away *= weight
    # As `away.mean(0)` adds them, five times as fast.
    shade = (away[0] + (away[1] + away[2])) / np.float32(3)
    variance = np.einsum("nij,nij->n", shade, shade) / count
    slopes = np.einsum("cnij,nij->cn", away, shade) / count / np.maximum(variance, 1e-4)
    pairs = weight[:, :, 1:] * weight[:, :, :-1]
    steps = np.einsum("nij,nij->n", np.abs(np.diff(shade, axis=2)), pairs)
    columns = [np.count_nonzero(lit, (1, 2)) / lit[0].size, means.mean(0), np.sqrt(variance)]
    columns += [steps / np.maximum(pairs.sum((1, 2)), 1), means[0] - means[1], means[2] - means[1]]
    columns += [slopes[0] - slopes[1], slopes[2] - slopes[1]]
    described: Values = np.stack(columns, axis=1)
    return described


def _find_lit(
    planes: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which pixels are lit, and which of these have lit neighbours on all four sides."""
    brightest = np.maximum(np.maximum(planes[0], planes[1]), planes[2])
    lit = brightest > LIT_LEVEL
    inner = lit.copy()
    inner[:, 1:] &= lit[:, :-1]
    inner[:, :-1] &= lit[:, 1:]
    inner[:, :, 1:] &= lit[:, :, :-1]
    inner[:, :, :-1] &= lit[:, :, 1:]
    return lit, inner


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
    blank = _check_blank(batch, report)
    known = _Groups(reference.images["patient"]) if reference is not None else None
    count = len(known.names) if known else 0
    report.numbers["known_patients"] = float(count)
    if reference is None or known is None or count < limits["minimum_known_patients"]:
        report.notes.append(
            f"Not judged but for blank images: {count} patients are known, fewer than "
            f"{limits['minimum_known_patients']}."
        )
    elif len(batch.images):
        groups = _Groups(batch.images["patient"])
        _compare_columns(batch, reference, report)
        _check_look((batch, groups), (reference, known), blank, report)
        _check_embeddings((batch, groups), (reference, known), report)
        _check_labels((batch, groups), (reference, known), report)
    return report.conclude()


class _Groups:
    """A group for each image: its patient, or a pool of patients of very few images.

    Attributes:
        names: of the `k` groups, sorted.
        own: the group of each image, shape ``(n,)``.
        sizes: images of each group, shape ``(k,)``.
    """

    def __init__(self, patients: pd.Series) -> None:
        names = patients.astype(str).to_numpy(dtype=object)
        own = pd.factorize(names)[0]
        few = np.bincount(own)[own] < SMALLEST_GROUP
        pools = np.arange(few.sum()) // POOLED_IMAGES
        names[few] = [f"patients of few images, {pool + 1}" for pool in pools]
        self.own, self.names = pd.factorize(names, sort=True)
        self.sizes: npt.NDArray[np.intp] = np.bincount(self.own)

    def average(self, values: Values) -> Values:
        """Return the mean of each group, shape ``(k, columns)``."""
        sums = [np.bincount(self.own, column) for column in values.T]
        means: Values = np.stack(sums, axis=1) / self.sizes[:, None]
        return means

    def share(self, marks: npt.NDArray[np.bool_]) -> Values:
        """Return the share of marked images of each group, shape ``(k,)``."""
        shares: Values = np.bincount(self.own, marks) / self.sizes
        return shares


Grouped = tuple[Evidence, _Groups]


class _Report:
    """Collects what the checks find."""

    def __init__(self, image_count: int, limits: ScreeningParameters) -> None:
        self.limits = limits
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
    return report.numbers[f"limit_maximum_{name}"]


def _tame(values: Values) -> Values:
    """Return finite values whose squares are finite too: what is not a number becomes 0."""
    return np.clip(np.nan_to_num(values.astype(np.float64)), -LARGEST, LARGEST)


def _check_blank(batch: Evidence, report: _Report) -> npt.NDArray[np.bool_]:
    contrast = np.nan_to_num(batch.images["contrast"].to_numpy(dtype=np.float64))
    blank: npt.NDArray[np.bool_] = contrast < BLANK_CONTRAST
    share = float(blank.mean()) if len(blank) else 0.0
    limit = _limit(report, "blank_share")
    report.numbers["blank_share"] = share
    report.suspect(np.where(blank, 10.0, 0.0))
    if share > limit:
        report.hold(
            f"{blank.sum()} of {len(blank)} images ({share:.0%}) are blank; usual is none, the "
            f"limit is {limit:.0%}."
        )
    return blank


def _compare_columns(batch: Evidence, reference: Evidence, report: _Report) -> None:
    """Record, for information, how far the distributions are apart."""
    new, old = batch.statistics, reference.statistics
    deciles = np.quantile(old, np.linspace(0.1, 0.9, 9), axis=0)
    columns = zip(STATISTICS, np.sort(new.T), np.sort(old.T), deciles.T, strict=True)
    for name, of_new, of_old, edges in columns:
        report.numbers[f"ks_{name}"] = _measure_ks(of_new, of_old)
        report.numbers[f"psi_{name}"] = _measure_psi(of_new, of_old, np.unique(edges))
    scale = old.std(axis=0) + 1e-9
    report.numbers["mmd"] = _measure_mmd(new / scale, old / scale)


def _measure_ks(new: Values, old: Values) -> float:
    """Return the largest distance of the distribution functions of sorted values.

    As `scipy.stats.ks_2samp`, which takes ten times as long for a probability that nobody reads.
    Between two new values only one function grows: the distance is largest at one, or just below.
    """
    distances = [
        new.searchsorted(new, side) / len(new) - old.searchsorted(new, side) / len(old)
        for side in ("left", "right")
    ]
    return float(np.abs(distances).max())


def _measure_psi(new: Values, old: Values, edges: Values) -> float:
    """Return the population stability index of sorted values over bins between these edges."""
    bins = len(edges) + 1
    shares = [
        (np.diff(values.searchsorted(edges, side="right"), prepend=0, append=len(values)) + 0.5)
        / (len(values) + 0.5 * bins)
        for values in (new, old)
    ]
    return float(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum())


def _measure_mmd(new: Values, old: Values, most: int = 500) -> float:
    """Return the maximum mean discrepancy, Gaussian kernel of median width, of subsamples."""
    new, old = _thin(new, most), _thin(old, most)
    # Distances of pairs: those of a value to itself are 0, and each other pair counts twice.
    of_new, of_old = pdist(new, "sqeuclidean"), pdist(old, "sqeuclidean")
    width = max(float(np.median(of_old)) if len(of_old) else 1.0, 1e-9)
    within = [
        (len(values) + 2 * np.exp(-pairs / width).sum()) / len(values) ** 2
        for values, pairs in ((new, of_new), (old, of_old))
    ]
    across = np.exp(-cdist(new, old, "sqeuclidean") / width).mean()
    return float(np.sqrt(max(0.0, sum(within) - 2 * across)))


def _thin(values: Values, most: int) -> Values:
    chosen: Values = values[np.linspace(0, len(values) - 1, min(most, len(values))).astype(int)]
    return chosen


def _weigh_patients(within: Values, between: Values) -> Values:
    """Return a metric in which patients differ alike in all directions, shrunk for few of them."""
    metric: Values = 0.9 * between + 0.1 * np.diag(np.diag(between)) + 0.1 * within
    return metric


def _weigh_images(within: Values, between: Values) -> Values:
    """Return a metric in which the images of one patient differ alike in all directions."""
    return within + 0.2 * between


def _weigh_channels(within: Values, between: Values) -> Values:
    """Return a metric for many channels, each for itself: too many to estimate all pairs."""
    return np.diag(np.diag(within + between))


class _Space:
    """Where known patients lie, and how far from one another they usually are."""

    def __init__(
        self,
        values: Values,
        groups: _Groups,
        weigh: Callable[[Values, Values], Values],
    ) -> None:
        self._values, self._own = values, groups.own
        centres = groups.average(values)
        inside = values - centres[groups.own]
        metric = weigh(np.cov(inside.T), np.cov(centres.T))
        metric = metric + np.eye(len(metric)) * (1e-3 * np.trace(metric) / len(metric) + 1e-9)
        self.axes = np.linalg.inv(np.linalg.cholesky(metric)).T
        self.centres = centres @ self.axes
        self.noise = float(((inside @ self.axes) ** 2).sum(axis=1).mean())
        nearest = self._leave_out(self.centres, np.arange(len(centres)))
        self.usual = float(np.quantile(nearest, USUAL_SHARE))
        self.tail = _measure_tail(nearest)

    @cached_property
    def usual_image(self) -> float:
        """The distance to the nearest patient but its own that 99 % of known images keep."""
        distances = self._leave_out(self._values @ self.axes, self._own)
        return float(np.quantile(distances, 0.99))

    def _leave_out(self, points: Values, own: npt.NDArray[np.integer]) -> Values:
        distances = cdist(points, self.centres)
        distances[np.arange(len(points)), own] = np.inf
        nearest: Values = distances.min(axis=1)
        return nearest

    def measure(self, values: Values) -> Values:
        """Return the distance of each row of `values` to the nearest known patient."""
        distances = [
            cdist(values[start : start + 2048] @ self.axes, self.centres).min(axis=1)
            for start in range(0, len(values), 2048)
        ]
        return np.concatenate(distances) if distances else np.zeros(0)

    def measure_groups(self, values: Values, groups: _Groups) -> pd.Series:
        """Return each group's distance, less what few images add by chance, in usual distances.

        The largest of many distances is larger than that of one: what is usual grows with the
        number of groups, along the tail of the distances between known patients.
        """
        squared = self.measure(groups.average(values)) ** 2 - 2 * self.noise / groups.sizes
        usual = self.usual * self.grow(len(groups.names)) + 1e-9
        return pd.Series(np.sqrt(np.maximum(squared, 0)) / usual, groups.names)

    def grow(self, count: int) -> float:
        """Return how many usual distances the largest of `count` usually is; 1 for one."""
        return 1 + float(self.tail * np.log(max(count, 1)) / (self.usual + 1e-9))


def _measure_tail(distances: Values) -> float:
    """Return the mean excess over the eighth decile: the scale of an exponential tail.

    Peaks over a threshold (Pickands, 1975, doi:10.1214/aos/1176343003): with such a tail, the level
    that the largest of m distances keeps as often as one keeps its own is m-fold rarer, and higher
    by the scale times log m.
    """
    threshold = np.quantile(distances, 0.8)
    excess = distances[distances > threshold] - threshold
    return float(excess.mean()) if len(excess) else 0.0


def _check_look(
    batch: Grouped, reference: Grouped, blank: npt.NDArray[np.bool_], report: _Report
) -> None:
    known, values = reference[0].statistics, batch[0].statistics
    patients = _Space(known, reference[1], _weigh_patients)
    _hold_distant(patients.measure_groups(values, batch[1]), "look", "look different from", report)
    images = _Space(known, reference[1], _weigh_images)
    distances = images.measure(values) / (images.usual_image + 1e-9)
    # A patient far out, as one of many is bound to be, takes its images along.
    strange = distances > images.grow(len(batch[1].names))
    report.suspect(np.where(blank, 10.0, distances / (1 + distances)))
    bounds = _bound_shares(strange, batch[1])["bound"]
    limit = _limit(report, "strange_share")
    report.numbers["strange_share"] = share = float(bounds.max())
    if share > limit:
        report.hold(
            f"{bounds.idxmax()}: at least {share:.0%} of the images look like no known patient's; "
            f"usual is 1 %, the limit is {limit:.0%}."
        )


def _check_embeddings(batch: Grouped, reference: Grouped, report: _Report) -> None:
    new, old = batch[0].embeddings, reference[0].embeddings
    if new is None or old is None:
        report.notes.append("The embeddings are not judged: there is no champion.")
        return
    space = _Space(_tame(old), reference[1], _weigh_channels)
    distances = space.measure_groups(_tame(new), batch[1])
    _hold_distant(distances, "embedding", "look to the champion unlike", report)


def _hold_distant(distances: pd.Series, kind: str, verb: str, report: _Report) -> None:
    limit = _limit(report, f"{kind}_distance")
    worst = float(distances.max())
    report.numbers[f"{kind}_distance"] = worst
    if worst > limit:
        report.hold(
            f"{distances.idxmax()}: the images {verb} those of every known patient: "
            f"{worst:.1f} times as far from the nearest one as 95 % of known patients are; the "
            f"limit is {limit:g} times."
        )


def _bound_shares(marks: npt.NDArray[np.bool_], groups: _Groups) -> pd.DataFrame:
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
        report.numbers[f"usual_{kind}_share"] = float(np.quantile(shares, 0.9))
    _hold_contradicted(opposed, batch[1], report)


def _oppose_labels(evidence: Evidence) -> Values:
    """Return the probability the champion gives to all classes but the label, shape ``(n,)``.

    A label that the champion does not know has 0: it has no opinion of it.
    """
    columns = pd.Index(evidence.class_names).get_indexer(
        pd.Index(evidence.images["label"].astype(str))
    )
    probabilities = np.nan_to_num(np.asarray(evidence.probabilities, dtype=np.float64), nan=1.0)
    of_label = probabilities[np.arange(len(columns)), columns]
    return np.where(columns < 0, 0.0, np.clip(1 - of_label, 0, 1))


def _hold_contradicted(opposed: Values, groups: _Groups, report: _Report) -> None:
    """Hold a batch with a patient, or as a whole, whose labels the champion contradicts.

    A hard patient's images are doubtful, and a weak champion disagrees with many labels: the
    limits rise to 1.5 times what is usual, and doubtful images are no contradictions.
    """
    numbers = report.numbers
    limits = {
        kind: max(_limit(report, f"{kind}_share"), 1.5 * numbers[f"usual_{kind}_share"])
        for kind in ("disagreement", "contradiction")
    }
    called_otherwise = _bound_shares(opposed > 0.5, groups)["share"]
    bounds = _bound_shares(opposed > SURE, groups)["bound"]
    numbers["disagreement_share"] = float(called_otherwise.max())
    # Where few images are called otherwise, there is nothing to be certain of.
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
