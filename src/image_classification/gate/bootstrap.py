"""The interval of a mean over images, with whole patients as the unit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

SEED = 20150601


def sum_by_patient(
    patients: pd.Series, values: npt.NDArray[np.number] | npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the sum of the values of each patient and how many there are, ``(patients,)`` each.

    Args:
        patients: name of the patient of each image, ``(n,)``.
        values: of each image, ``(n,)``.
    """
    table = pd.DataFrame({"patient": patients.to_numpy(), "value": values})
    groups = table.groupby("patient")["value"].agg(["sum", "size"])
    return groups["sum"].to_numpy(float), groups["size"].to_numpy(float)


def bootstrap_patients(
    sums: npt.NDArray[np.floating],
    images: npt.NDArray[np.floating],
    confidence: float,
    resamples: int,
) -> tuple[float, float]:
    """Return the interval of a mean over images, drawing whole patients with replacement.

    The cells of one patient tend to be right or wrong together, so the patient is the unit, not the
    cell: Davison A. C. and Hinkley D. V. (1997), Bootstrap Methods and their Application, section
    3.8. The interval is bias-corrected and accelerated: Efron B. (1987), JASA 82:171.

    Args:
        sums: of each patient, the sum over its images, ``(patients,)``; at least two patients.
        images: of each patient, the number of images, ``(patients,)``.
        confidence: of the two-sided interval, 0 to 1.
        resamples: how many times to draw. The draws are the same at every call.

    Returns:
        Lower and upper end. The mean itself is never outside.
    """
    mean = float(sums.sum() / images.sum())
    if np.ptp(sums / images) == 0:  # whichever patients are drawn, the mean is the same
        return mean, mean

    def average(
        drawn: npt.NDArray[np.floating], counts: npt.NDArray[np.floating], axis: int
    ) -> npt.NDArray[np.floating]:
        means: npt.NDArray[np.floating] = drawn.sum(axis=axis) / counts.sum(axis=axis)
        return means

    def draw(method: str) -> tuple[float, float]:
        interval = stats.bootstrap(
            (sums, images),
            average,
            paired=True,
            vectorized=True,
            method=method,
            confidence_level=confidence,
            n_resamples=resamples,
            rng=np.random.default_rng(SEED),
        ).confidence_interval
        return float(interval.low), float(interval.high)

    with np.errstate(all="ignore"):
        low, high = draw("BCa")
    if not np.isfinite([low, high]).all():
        low, high = draw("percentile")
    # The correction for bias and skewness may push the mean itself out, if only by a rounding.
    return min(low, mean), max(high, mean)
