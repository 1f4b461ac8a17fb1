"""Screening: bad batches are held, honest ones pass, whatever comes."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from scipy.stats import binomtest
from shipped import read_shipped

from image_classification.intake.distance import (
    Groups,
    Space,
    weigh_channels,
    weigh_images,
    weigh_patients,
)
from image_classification.intake.measure import MEASURES, USUAL, read_measures
from image_classification.intake.screening import (
    BLANK_CONTRAST,
    SURE,
    Evidence,
    Screening,
    ScreeningParameters,
    screen_batch,
)
from image_classification.intake.statistic import STATISTICS, describe_pixels

LIMITS: ScreeningParameters = read_shipped("data_processing")["screening"]
TYPICAL = np.array([0.75, 7.5, 0.08, 0.025, 0.3, 0.08, -0.4, -0.5])
BETWEEN = np.array([0.025, 0.06, 0.01, 0.004, 0.1, 0.07, 0.15, 0.2])
WITHIN = np.array([0.045, 0.045, 0.015, 0.005, 0.04, 0.04, 0.25, 0.3])
CHANNELS = 12


@cache
def make_evidence(
    patients: range,
    cells: int = 60,
    classes: tuple[str, ...] = ("Parasitized", "Uninfected"),
    accuracy: float = 0.95,
    shift: float = 0.0,
    seed: int = 0,
) -> Evidence:
    """Make images of patients that differ as real ones do; `shift` in patients' deviations.

    The same object for the same arguments: do not change it.
    """
    tables, embeddings, probabilities = [], [], []
    for patient in patients:
        look = np.random.default_rng([seed, patient])
        random = np.random.default_rng([seed, patient, cells])
        values = TYPICAL + BETWEEN * (look.normal(size=8) + shift)
        values = values + WITHIN * random.normal(size=(cells, 8))
        table = pd.DataFrame(np.maximum(values, [0, 0, 0.02, 0, -9, -9, -9, -9]))
        table.columns = pd.Index(STATISTICS)
        number = random.integers(len(classes), size=cells)
        wrong = random.permutation(cells) < round((1 - accuracy) * cells)
        called = np.where(wrong, (number + 1) % len(classes), number)
        sure = np.where(wrong, random.uniform(0.5, 0.85, cells), random.uniform(0.7, 0.99, cells))
        chance = np.full((cells, len(classes)), 0.0) + ((1 - sure) / (len(classes) - 1))[:, None]
        chance[np.arange(cells), called] = sure
        probabilities.append(chance)
        seen = 2 * np.eye(CHANNELS)[number] + look.normal(size=CHANNELS) * 0.3 + shift
        embeddings.append(seen + random.normal(size=(cells, CHANNELS)))
        tables.append(
            table.assign(
                image_id=[f"{patient}-{cell}" for cell in range(cells)],
                patient=f"C{patient}",
                label=np.array(classes, dtype=object)[number],
            )
        )
    images = pd.concat(tables, ignore_index=True)
    return Evidence(images, classes, np.concatenate(embeddings), np.concatenate(probabilities))


def swap_labels(evidence: Evidence, rows: np.ndarray) -> Evidence:
    images = evidence.images.copy()
    names = list(evidence.class_names)
    labels = images["label"].to_numpy(object, copy=True)
    labels[rows] = [names[(names.index(label) + 1) % len(names)] for label in labels[rows]]
    return replace(evidence, images=images.assign(label=labels))


def forget_champion(evidence: Evidence) -> Evidence:
    return replace(evidence, embeddings=None, probabilities=None)


KNOWN = make_evidence(range(40), cells=40)
HONEST = make_evidence(range(100, 103))


def oppose(evidence: Evidence, opposed: np.ndarray) -> Evidence:
    """Let the champion give this probability to the other class than the label, of two."""
    rows = np.arange(len(opposed))
    column = pd.Index(evidence.class_names).get_indexer(pd.Index(evidence.images["label"]))
    probabilities = np.empty((len(opposed), 2))
    probabilities[rows, column], probabilities[rows, 1 - column] = 1 - opposed, opposed
    return replace(evidence, probabilities=probabilities)


def screen_labels(
    opposed: np.ndarray, usual: np.ndarray | None = None, patients: int = 1, **limits: float
) -> Screening:
    """Screen a batch whose images look as they should, and whose labels are called otherwise.

    Args:
        opposed: probability of the other class, of each image of the batch.
        usual: the same of each known image; None for none at all.
        patients: of the batch, each as many images as the others.
        limits: of `LIMITS`, to be changed.
    """
    batch = make_evidence(range(100, 100 + patients), len(opposed) // patients)
    known = oppose(KNOWN, np.zeros(len(KNOWN.images)) if usual is None else usual)
    return screen_batch(oppose(batch, opposed), known, LIMITS | limits)


def bound_below(found: int, size: int, groups: int) -> float:
    """Return the exact lower bound of a share, at 95 % for all groups and the batch together."""
    certainty = 1 - 2 * 0.05 / (groups + 1)
    return float(binomtest(found, size).proportion_ci(certainty, "exact").low)


class TestLabels:
    """What the champion says of the labels: many must be called otherwise, and some surely."""

    def test_labels_that_are_surely_wrong_are_held_with_the_numbers(self) -> None:
        screening = screen_labels(np.repeat([0.9, 0.1], [24, 36]))
        share = bound_below(24, 60, 1)
        assert screening.reasons == [
            (
                f"C100: the champion calls 40% of the images otherwise than their labels, and at "
                f"least {share:.0%} with certainty; usual is at most 0% with certainty, the limits "
                "are 28% and 8%."
            )
        ]
        assert screening.numbers["disagreement_share"] == pytest.approx(0.4)
        assert screening.numbers["contradiction_share"] == pytest.approx(share)

    def test_disagreement_without_certainty_holds_nothing(self) -> None:
        screening = screen_labels(np.full(60, 0.79))
        assert not screening.held
        assert screening.numbers["disagreement_share"] == 1
        assert screening.numbers["contradiction_share"] == 0
        assert screen_labels(np.full(60, 0.81)).held

    def test_certainty_about_few_images_holds_nothing(self) -> None:
        few = screen_labels(np.repeat([0.99, 0.1], [15, 45]))
        assert bound_below(15, 60, 1) > LIMITS["maximum_contradiction_share"]
        assert few.numbers["disagreement_share"] == 0.25
        assert few.numbers["contradiction_share"] == 0
        assert not few.held

    def test_a_share_equal_to_the_limit_of_disagreement_is_not_beyond_it(self) -> None:
        opposed = np.repeat([0.99, 0.1], [15, 45])
        assert not screen_labels(opposed, maximum_disagreement_share=0.25).held
        assert screen_labels(opposed, maximum_disagreement_share=0.249).held

    def test_a_share_equal_to_the_limit_of_contradiction_is_not_beyond_it(self) -> None:
        opposed = np.repeat([0.99, 0.1], [30, 30])
        share = screen_labels(opposed).numbers["contradiction_share"]
        assert not screen_labels(opposed, maximum_contradiction_share=share).held
        assert screen_labels(opposed, maximum_contradiction_share=share - 1e-9).held

    def test_an_even_chance_is_no_disagreement(self) -> None:
        assert screen_labels(np.full(60, 0.5)).numbers["disagreement_share"] == 0
        assert screen_labels(np.full(60, 0.51)).numbers["disagreement_share"] == 1
        assert SURE == 0.8
        assert screen_labels(np.full(60, 0.8)).numbers["contradiction_share"] == 0

    def test_a_number_of_images_too_small_to_be_sure_of_is_not_held(self) -> None:
        assert not screen_labels(np.array([0.99])).held
        assert screen_labels(np.full(20, 0.99)).held

    def test_one_patient_among_many_is_held_against_the_batch(self) -> None:
        opposed = np.repeat([0.99, 0.0], [30, 570])
        screening = screen_labels(opposed, patients=20)
        assert screening.reasons[0].startswith("C100: the champion calls 100% of")
        assert screening.numbers["contradiction_share"] == pytest.approx(bound_below(30, 30, 20))

    def test_a_little_of_every_patient_is_held_against_the_batch_as_a_whole(self) -> None:
        opposed = np.tile(np.repeat([0.99, 0.1], [3, 5]), 40)
        screening = screen_labels(opposed, patients=40, maximum_contradiction_share=0.2)
        assert screening.reasons[0].startswith("The batch: the champion calls 38% of")
        assert screening.numbers["contradiction_share"] == pytest.approx(bound_below(120, 320, 40))

    @pytest.mark.parametrize(("kind", "called"), [("disagreement", 0.6), ("contradiction", 0.99)])
    def test_what_is_usual_is_what_nine_of_ten_known_patients_keep(
        self, kind: str, called: float
    ) -> None:
        # Of the 40 known patients four have all their images called otherwise, 36 four of forty.
        usual = np.tile(np.repeat([called, 0.0], [4, 36]), 40)
        usual[:160] = called
        numbers = screen_labels(np.zeros(60), usual).numbers
        assert numbers[f"usual_{kind}_share"] == pytest.approx(
            np.quantile([1] * 4 + [0.1] * 36, 0.9)
        )
        if kind == "disagreement":
            assert numbers["usual_contradiction_share"] == 0

    def test_where_much_is_usually_called_otherwise_the_limits_are_one_and_a_half_times_that(
        self,
    ) -> None:
        usual = np.tile(np.repeat([0.99, 0.0], [16, 24]), 40)  # 40 % of each known patient
        assert not screen_labels(np.repeat([0.99, 0.0], [36, 24]), usual).held
        screening = screen_labels(np.repeat([0.99, 0.0], [58, 2]), usual)
        assert screening.reasons[0].endswith(
            "usual is at most 40% with certainty, the limits are 60% and 60%."
        )

    def test_an_image_is_as_suspicious_as_its_label_is_opposed(self) -> None:
        opposed = np.linspace(0.9, 1, 20)
        lenient = {"maximum_disagreement_share": 1.0}
        assert screen_labels(opposed, **lenient).suspicion.tolist() == pytest.approx(
            opposed.tolist()
        )

    def test_a_probability_below_zero_counts_as_zero(self) -> None:
        suspicion = screen_labels(np.full(20, 1.2)).suspicion
        assert suspicion.tolist() == [1.0] * 20

    def test_what_is_no_probability_counts_as_the_label(self) -> None:
        batch = replace(HONEST, probabilities=np.full((len(HONEST.images), 2), np.nan))
        screening = screen_batch(batch, KNOWN, LIMITS)
        assert screening.numbers["disagreement_share"] == 0
        assert screening.reasons == []

    def test_a_label_unknown_to_the_champion_is_opposed_by_nothing(self) -> None:
        batch = oppose(make_evidence(range(100, 101), 20), np.full(20, 0.99))
        unheard = replace(batch, images=batch.images.assign(label="Unheard"))
        assert screen_batch(batch, KNOWN, LIMITS).numbers["disagreement_share"] == 1
        assert screen_batch(unheard, KNOWN, LIMITS).numbers["disagreement_share"] == 0


class TestLook:
    """Each limit at its edge, and the numbers that a person reads."""

    STRANGE = forget_champion(make_evidence(range(100, 101), cells=60, shift=8))

    @pytest.mark.parametrize(
        ("name", "held_for"),
        [
            (
                "look_distance",
                (
                    "C100: the images look different from those of every known patient: {} times "
                    "as far from the nearest one as 95 % of known patients are; the limit is {} "
                    "times."
                ),
            ),
            (
                "strange_share",
                (
                    "C100: at least {} of the images look like no known patient's; usual is 1 %, "
                    "the limit is {}."
                ),
            ),
        ],
    )
    def test_a_number_equal_to_its_limit_is_not_beyond_it(self, name: str, held_for: str) -> None:
        lenient = {"maximum_look_distance": 1e9, "maximum_strange_share": 1.0}
        found = screen_batch(self.STRANGE, KNOWN, LIMITS | lenient).numbers[name]
        at_limit = LIMITS | lenient | {f"maximum_{name}": found}
        assert not screen_batch(self.STRANGE, KNOWN, at_limit).held
        below = LIMITS | lenient | {f"maximum_{name}": 0.5}
        told = (f"{found:.0%}", "50%") if name == "strange_share" else (f"{found:.1f}", "0.5")
        assert screen_batch(self.STRANGE, KNOWN, below).reasons == [held_for.format(*told)]

    def test_an_embedding_equal_to_its_limit_is_not_beyond_it(self) -> None:
        assert HONEST.embeddings is not None
        batch = replace(HONEST, embeddings=HONEST.embeddings + 4)
        found = screen_batch(batch, KNOWN, LIMITS).numbers["embedding_distance"]
        at_limit = LIMITS | {"maximum_embedding_distance": found}
        assert not screen_batch(batch, KNOWN, at_limit).held
        (reason,) = screen_batch(batch, KNOWN, LIMITS).reasons
        assert reason.partition(": ")[2] == (
            "the images look to the champion unlike those of every known patient: "
            f"{found:.1f} times as far from the nearest one as 95 % of known patients are; the "
            "limit is 1.6 times."
        )

    def test_the_numbers_are_those_of_the_spaces(self) -> None:
        known, new = Groups(KNOWN.images["patient"]), Groups(HONEST.images["patient"])
        look = Space(KNOWN.statistics, known, weigh_patients)
        seen = Space(KNOWN.embeddings, known, weigh_channels)
        images = Space(KNOWN.statistics, known, weigh_images)
        strange = images.measure(HONEST.statistics) / images.usual_image > images.grow(3)
        found = [int(strange[new.own == number].sum()) for number in range(3)]
        bounds = [bound_below(count, 60, 3) for count in found]

        numbers = screen_batch(HONEST, KNOWN, LIMITS).numbers

        assert numbers["look_distance"] == look.measure_groups(HONEST.statistics, new).max()
        assert numbers["embedding_distance"] == seen.measure_groups(HONEST.embeddings, new).max()
        bounds.append(bound_below(sum(found), 180, 3))
        assert numbers["strange_share"] == pytest.approx(max(bounds))
        assert numbers["images"] == 180
        assert numbers["known_patients"] == 40
        assert {name for name in numbers if name.startswith("limit_")} == {
            f"limit_{name}" for name in LIMITS
        }
        assert numbers["limit_maximum_strange_share"] == LIMITS["maximum_strange_share"]

    def test_of_many_patients_one_may_lie_farther_out(self) -> None:
        # Strange alone, and one of fifty: the largest of many distances is larger.
        far = make_evidence(range(300, 301), cells=60, shift=2.8)
        numbers = screen_batch(forget_champion(far), KNOWN, LIMITS).numbers
        rest = make_evidence(range(400, 449), cells=60)
        images = pd.concat([far.images, rest.images], ignore_index=True)
        together = screen_batch(Evidence(images), KNOWN, LIMITS).numbers
        assert together["look_distance"] < numbers["look_distance"]
        assert together["strange_share"] < numbers["strange_share"]

    def test_an_image_is_the_more_suspicious_the_farther_it_lies_up_to_one(self) -> None:
        known = Groups(KNOWN.images["patient"])
        images = Space(KNOWN.statistics, known, weigh_images)
        distances = images.measure(self.STRANGE.statistics) / images.usual_image
        found = screen_batch(self.STRANGE, KNOWN, LIMITS).suspicion
        np.testing.assert_allclose(found, distances / (1 + distances), rtol=1e-6)

    def test_values_that_are_no_numbers_are_counted_as_zero(self) -> None:
        broken = replace(HONEST, images=HONEST.images.assign(texture=np.nan))
        zero = replace(HONEST, images=HONEST.images.assign(texture=0.0))
        assert (
            screen_batch(broken, KNOWN, LIMITS).numbers == screen_batch(zero, KNOWN, LIMITS).numbers
        )


class TestBlank:
    def blank(self, count: int, contrast: float = 0.0) -> Evidence:
        values = np.repeat([contrast, 0.08], [count, 100 - count])
        batch = make_evidence(range(100, 101), cells=100)
        return forget_champion(replace(batch, images=batch.images.assign(contrast=values)))

    def test_as_many_blank_images_as_the_limit_pass_and_no_more(self) -> None:
        assert not screen_batch(self.blank(2), None, LIMITS).held
        screening = screen_batch(self.blank(3), None, LIMITS)
        assert screening.reasons == [
            "3 of 100 images (3%) are blank; usual is none, the limit is 2%."
        ]
        assert screening.numbers["blank_share"] == 0.03
        assert screening.suspicion.tolist() == [10.0] * 3 + [0.0] * 97

    def test_an_image_with_the_least_contrast_is_not_blank(self) -> None:
        assert screen_batch(self.blank(50, BLANK_CONTRAST - 1e-6), None, LIMITS).held
        assert not screen_batch(self.blank(50, BLANK_CONTRAST), None, LIMITS).held
        assert BLANK_CONTRAST == 0.01

    def test_a_contrast_that_is_no_number_is_none(self) -> None:
        assert screen_batch(self.blank(50, np.nan), None, LIMITS).held

    def test_a_blank_image_stays_the_most_suspicious_whatever_else_is_found(self) -> None:
        batch = replace(self.blank(3), images=self.blank(3).images.assign(brightness=99.0))
        suspicion = screen_batch(batch, KNOWN, LIMITS).suspicion
        assert (suspicion[:3] == 10).all()
        assert (suspicion[3:] < 1).all()
        assert (suspicion[3:] > 0.5).all()


class TestBadBatches:
    @pytest.mark.parametrize("share", [1.0, 0.5, 1 / 3])
    @pytest.mark.parametrize("patients", [1, 4])
    def test_swapped_labels_are_held(self, share: float, patients: int) -> None:
        batch = make_evidence(range(100, 100 + patients))
        rows = np.flatnonzero(np.arange(len(batch.images)) % 6 < round(share * 6))

        screening = screen_batch(swap_labels(batch, rows), KNOWN, LIMITS)

        assert screening.held
        assert "the champion calls" in screening.reasons[0]
        others = np.delete(screening.suspicion, rows)
        assert screening.suspicion[rows].mean() > 0.3 + (others.mean() if len(others) else 0)

    def test_one_patient_of_swapped_labels_in_a_large_batch_is_named(self) -> None:
        batch = make_evidence(range(100, 120))
        rows = np.flatnonzero(batch.images["patient"] == "C107")

        screening = screen_batch(swap_labels(batch, rows), KNOWN, LIMITS)

        assert [reason.partition(":")[0] for reason in screening.reasons] == ["C107"]

    @pytest.mark.parametrize("cells", [1, 10, 60])
    def test_another_look_is_held(self, cells: int) -> None:
        batch = make_evidence(range(100, 101), cells=cells, shift=8)

        for evidence in (batch, forget_champion(batch)):
            screening = screen_batch(evidence, KNOWN, LIMITS)

            assert screening.held
            assert "look different" in " ".join(screening.reasons)
            assert screening.suspicion.min() > 0.4

    def test_a_batch_of_which_half_is_of_another_domain_is_held(self) -> None:
        batch = make_evidence(range(100, 101))
        other = make_evidence(range(200, 201), shift=9)
        images = batch.images.copy()
        images.loc[:29, list(STATISTICS)] = other.images.loc[:29, list(STATISTICS)]

        screening = screen_batch(forget_champion(replace(batch, images=images)), KNOWN, LIMITS)

        assert screening.held
        assert set(np.argsort(screening.suspicion)[30:]) == set(range(30))

    def test_what_the_champion_sees_otherwise_is_held(self) -> None:
        assert HONEST.embeddings is not None

        screening = screen_batch(replace(HONEST, embeddings=HONEST.embeddings + 4), KNOWN, LIMITS)

        assert screening.held
        assert all("to the champion" in reason for reason in screening.reasons)

    @pytest.mark.parametrize("level", [0, 128, 255])
    @pytest.mark.parametrize("share", [1.0, 0.2])
    def test_blank_images_are_held_even_when_nothing_is_known(
        self, level: int, share: float
    ) -> None:
        images = HONEST.images.copy()
        rows = images.index < share * len(images)
        blank = describe_pixels(np.full((int(rows.sum()), 32, 32, 3), level, np.uint8))
        images.loc[rows, list(STATISTICS)] = blank.to_numpy()
        batch = replace(HONEST, images=images)

        for reference in (KNOWN, None):
            screening = screen_batch(batch, reference, LIMITS)

            assert screening.held
            assert "are blank" in screening.reasons[0]
            assert (screening.suspicion[rows] == 10).all()


class TestHonestBatches:
    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize(("patients", "cells"), [(1, 1), (1, 4), (1, 60), (7, 80), (30, 3)])
    def test_a_batch_of_new_patients_passes(self, seed: int, patients: int, cells: int) -> None:
        first = 1000 * seed + 500

        screening = screen_batch(
            make_evidence(range(first, first + patients), cells=cells), KNOWN, LIMITS
        )

        assert screening.reasons == []
        assert screening.notes == []
        assert not screening.held

    @pytest.mark.parametrize("cells", [60, 400])
    def test_a_hard_patient_passes(self, cells: int) -> None:
        batch = make_evidence(range(100, 101), cells=cells, accuracy=0.8)

        assert screen_batch(batch, KNOWN, LIMITS).reasons == []

    def test_a_batch_of_one_class_passes(self) -> None:
        rows = np.flatnonzero(HONEST.images["label"] == "Uninfected")
        assert HONEST.embeddings is not None
        assert HONEST.probabilities is not None
        batch = Evidence(
            HONEST.images.iloc[rows],
            HONEST.class_names,
            HONEST.embeddings[rows],
            HONEST.probabilities[rows],
        )

        assert screen_batch(batch, KNOWN, LIMITS).reasons == []

    def test_three_classes_are_judged_alike(self) -> None:
        known = make_evidence(range(40), classes=("a", "b", "c"))
        batch = make_evidence(range(100, 102), classes=("a", "b", "c"))

        assert screen_batch(batch, known, LIMITS).reasons == []
        swapped = swap_labels(batch, np.arange(0, len(batch.images), 2))
        assert screen_batch(swapped, known, LIMITS).held

    def test_labels_that_the_champion_does_not_know_are_no_contradiction(self) -> None:
        batch = replace(HONEST, images=HONEST.images.assign(label="Unheard"))

        assert screen_batch(batch, KNOWN, LIMITS).reasons == []


class TestLittleKnown:
    def test_without_a_champion_only_the_look_is_judged(self) -> None:
        screening = screen_batch(forget_champion(HONEST), KNOWN, LIMITS)

        assert not screening.held
        assert screening.notes == [
            "The embeddings are not judged: there is no champion.",
            "The labels are not judged: there is no champion.",
        ]
        assert "look_distance" in screening.numbers
        assert "embedding_distance" not in screening.numbers

    def test_with_few_known_patients_nothing_is_judged(self) -> None:
        strange = make_evidence(range(100, 101), shift=9)
        few = make_evidence(range(14))

        for reference in (few, None):
            screening = screen_batch(strange, reference, LIMITS)

            assert not screening.held
            count = 14 if reference else 0
            assert screening.notes == [
                f"Only blank images were judged: {count} patients are known, fewer than 15."
            ]
            assert screening.numbers["known_patients"] == count

    def test_with_just_enough_known_patients_a_batch_is_judged(self) -> None:
        strange = make_evidence(range(100, 101), shift=9)
        assert screen_batch(strange, make_evidence(range(15)), LIMITS).held

    def test_patients_of_few_images_are_known_as_one_together(self) -> None:
        strange = make_evidence(range(100, 101), shift=9)
        screening = screen_batch(strange, make_evidence(range(56), cells=4), LIMITS)
        assert screening.numbers["known_patients"] == 8  # pools of 30 images
        assert not screening.held

    def test_an_empty_batch_passes(self) -> None:
        empty = Evidence(HONEST.images.iloc[:0], HONEST.class_names)
        screening = screen_batch(empty, KNOWN, LIMITS)
        assert not screening.held
        assert screening.numbers["blank_share"] == screening.numbers["images"] == 0
        assert screening.suspicion.shape == (0,)


@settings(max_examples=60, deadline=None)
@given(
    cells=st.integers(1, 12),
    patients=st.integers(1, 6),
    fill=st.sampled_from([0.0, 1e-12, 1e6, -1e6, np.nan, np.inf]),
    columns=st.lists(st.sampled_from(STATISTICS), unique=True),
    constant_reference=st.booleans(),
    champion=st.booleans(),
)
def test_whatever_comes_it_answers_in_finite_numbers(
    cells: int,
    patients: int,
    fill: float,
    columns: list[str],
    constant_reference: bool,
    champion: bool,
) -> None:
    batch = make_evidence(range(100, 100 + patients), cells)
    batch = replace(batch, images=batch.images.assign(**dict.fromkeys(columns, fill)))
    known = make_evidence(range(16), 6)
    if constant_reference:
        known = replace(known, images=known.images.assign(**dict.fromkeys(STATISTICS, 1.0)))
    if not champion:
        batch = forget_champion(batch)

    screening = screen_batch(batch, known, LIMITS)

    assert screening.held == bool(screening.reasons)
    assert screening.suspicion.shape == (len(batch.images),)
    assert np.isfinite(screening.suspicion).all()
    assert np.isfinite(list(screening.numbers.values())).all()
    json.dumps(screening.numbers, allow_nan=False)


def test_a_large_batch_takes_seconds() -> None:
    batch = make_evidence(range(200, 300), cells=280)
    started = time.perf_counter()

    assert not np.isnan(screen_batch(batch, KNOWN, LIMITS).suspicion).any()
    assert time.perf_counter() - started < 10


def test_the_default_limits_meet_their_schema_and_a_typo_does_not() -> None:
    schema = TypeAdapter(with_config(ConfigDict(extra="forbid"))(ScreeningParameters))

    assert schema.validate_python(LIMITS, strict=True) == LIMITS
    with pytest.raises(ValidationError):
        schema.validate_python({**LIMITS, "maximum_look": 1.0}, strict=True)


def test_each_number_is_a_limit_a_measure_with_a_title_or_a_count() -> None:
    found = screen_batch(HONEST, KNOWN, LIMITS).numbers
    measured = {name for name in found if not name.startswith(("limit_", USUAL))}
    assert measured == {"images", "known_patients", *(one.name for one in MEASURES)}
    assert len(read_measures(found)) == len(MEASURES)
