"""What is believed of the gain: against numbers worked out by hand, and by drawing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from image_classification.gate.posterior import SPREAD, Belief, measure_spread, weigh_gain


class TestBelief:
    @pytest.mark.parametrize("least", [0.0, 0.01, -0.02])
    def test_loss_is_what_is_lost_where_it_is_worse_by_how_likely_that_is(
        self, least: float
    ) -> None:
        belief = Belief(mean=0.004, scale=0.01, degrees=9)
        density = stats.t(belief.degrees, belief.mean, belief.scale).pdf
        expected, _ = integrate.quad(lambda gain: (least - gain) * density(gain), -np.inf, least)
        assert belief.expect_loss(least) == pytest.approx(expected, rel=1e-6)

    def test_chance_of_a_gain_is_a_half_at_the_mean_and_falls_beyond(self) -> None:
        belief = Belief(mean=0.01, scale=0.01, degrees=12)
        assert belief.measure_chance(0.01) == pytest.approx(0.5)
        assert belief.measure_chance(0.0) == pytest.approx(stats.t.cdf(1, 12))
        assert belief.measure_chance() > belief.measure_chance(0.005)

    def test_a_sure_gain_loses_nothing_and_a_sure_loss_all_of_it(self) -> None:
        assert Belief(0.05, 1e-6, 30).expect_loss() == pytest.approx(0, abs=1e-9)
        assert Belief(-0.05, 1e-6, 30).expect_loss() == pytest.approx(0.05)


class TestSpread:
    def test_is_the_standard_deviation_where_all_patients_have_as_many_images(self) -> None:
        gains = np.array([2.0, 0.0, -1.0, 3.0])
        assert measure_spread(gains, np.full(4, 50.0)) == pytest.approx((gains / 50).std())

    def test_a_patient_counts_by_its_images(self) -> None:
        gains, images = np.array([10.0, 0.0]), np.array([100.0, 10.0])
        residuals = (gains - 10 / 110 * images) / 55
        assert measure_spread(gains, images) == pytest.approx(np.sqrt((residuals**2).mean()))

    def test_is_none_where_every_patient_gains_alike(self) -> None:
        assert measure_spread(np.array([1.0, 2.0]), np.array([10.0, 20.0])) == pytest.approx(0)


class TestWeighing:
    def test_agrees_with_the_conjugate_prior_of_the_book(self) -> None:
        # Gelman et al. (2013), section 3.3, with prior mean 0, as many degrees as patients.
        prior, patients, gain, spread = 5, 15, 0.02, 0.04
        squares = prior * SPREAD**2 + patients * spread**2 + prior * patients / 20 * gain**2
        belief = weigh_gain(gain, spread, patients, prior, 0.0)
        assert belief.mean == pytest.approx(15 / 20 * gain)
        assert belief.scale == pytest.approx(np.sqrt(squares / 20 / 20))
        assert belief.degrees == 20

    def test_few_patients_are_not_believed(self) -> None:
        believed = [weigh_gain(0.02, 0.01, patients, 10, 0.0) for patients in (1, 5, 20, 80)]
        assert [belief.mean for belief in believed] == sorted(belief.mean for belief in believed)
        losses = [belief.expect_loss() for belief in believed]
        assert losses == sorted(losses, reverse=True)
        assert losses[0] > 0.001 > losses[-1]

    def test_one_patient_whose_spread_is_unknown_leaves_the_doubt_of_the_prior(self) -> None:
        assert weigh_gain(0.02, 0.0, 1, 10, 0.0).scale > 0.005

    def test_the_prior_has_a_gain_of_its_own(self) -> None:
        assert weigh_gain(0.0, 0.03, 10, 10, 0.02).mean == pytest.approx(0.01)
