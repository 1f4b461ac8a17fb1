"""What is believed of the gain on patients to come, after those that were compared on.

Each patient gives one gain, and patients differ. With a conjugate prior for normal data of unknown
mean and spread (normal-inverse-chi-squared: Gelman A. et al. (2013), Bayesian Data Analysis, 3rd
ed., section 3.3) the belief about the mean is a Student t. The prior is a few imagined patients
with a small gain, since a challenger has had more patients to learn from. So few real ones are
hardly believed, for it or against it, without a rule that counts them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

SPREAD = 0.03
"""Of the gains of patients, as a prior: of networks trained on few real cells or on many, 0.02 to
0.06 (docs/promotion.md)."""


@dataclass(frozen=True)
class Belief:
    """A Student t over the gain in accuracy, on patients to come.

    Attributes:
        mean: share of accuracy.
        scale: of the t, a share of accuracy.
        degrees: of freedom.
    """

    mean: float
    scale: float
    degrees: float

    def measure_chance(self, gain: float = 0.0) -> float:
        """Return the probability that the true gain is above `gain`, 0 to 1."""
        return float(stats.t.sf(gain, self.degrees, self.mean, self.scale))

    def expect_loss(self, gain: float = 0.0) -> float:
        """Return the accuracy that is lost on average by a switch, E[max(gain - G, 0)].

        The loss of the decision as in Lindley D. V. (1985), Making Decisions, 2nd ed.: a switch to
        what is better loses nothing, a switch to what is worse loses the difference.
        """
        z = (self.mean - gain) / self.scale
        density = stats.t.pdf(z, self.degrees) * (self.degrees + z * z) / (self.degrees - 1)
        return float(self.scale * (density - z * stats.t.sf(z, self.degrees)))


def measure_spread(gains: npt.NDArray[np.floating], images: npt.NDArray[np.floating]) -> float:
    """Return how far the gains of patients lie from their mean, as a share of accuracy.

    A patient counts by its images, as it does in the accuracy, so this is the spread of a ratio
    (Cochran W. G. (1977), Sampling Techniques, 3rd ed., section 2.11).

    Args:
        gains: of each patient, how many more images the challenger has right, ``(patients,)``.
        images: of each patient, the number of images, ``(patients,)``.
    """
    mean = gains.sum() / images.sum()
    return float(np.sqrt(np.square((gains - mean * images) / images.mean()).mean()))


def weigh_gain(
    gain: float, spread: float, patients: int, prior_patients: float, prior_gain: float
) -> Belief:
    """Return what is believed of the gain, after some patients.

    Args:
        gain: over their images, a share of accuracy.
        spread: of the patients' gains, see `measure_spread`.
        patients: how many.
        prior_patients: so many more, imagined ones count, 2 or more.
        prior_gain: of the imagined patients; their spread is `SPREAD`.
    """
    total = prior_patients + patients
    squares = (
        prior_patients * SPREAD**2
        + patients * spread**2
        + prior_patients * patients / total * (gain - prior_gain) ** 2
    )
    return Belief(
        mean=(prior_patients * prior_gain + patients * gain) / total,
        scale=math.sqrt(squares) / total,
        degrees=total,
    )
