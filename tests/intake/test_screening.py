"""Screening: bad batches are held, honest ones pass, whatever comes."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from shipped import read_shipped

from image_classification.intake.screening import Evidence, ScreeningParameters, screen_batch
from image_classification.intake.statistic import LIT_LEVEL, STATISTICS, describe_pixels

LIMITS: ScreeningParameters = read_shipped("data_processing")["screening"]
TYPICAL = np.array([0.75, 7.5, 0.08, 0.025, 0.3, 0.08, -0.4, -0.5])
BETWEEN = np.array([0.025, 0.06, 0.01, 0.004, 0.1, 0.07, 0.15, 0.2])
WITHIN = np.array([0.045, 0.045, 0.015, 0.005, 0.04, 0.04, 0.25, 0.3])
CHANNELS = 12


def make_evidence(
    patients: range,
    cells: int = 60,
    classes: tuple[str, ...] = ("Parasitized", "Uninfected"),
    accuracy: float = 0.95,
    shift: float = 0.0,
    seed: int = 0,
) -> Evidence:
    """Make images of patients that differ as real ones do; `shift` in patients' deviations."""
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
        assert len(screening.notes) == 2
        assert "look_distance" in screening.numbers
        assert "embedding_distance" not in screening.numbers

    def test_with_few_known_patients_nothing_is_judged(self) -> None:
        strange = make_evidence(range(100, 101), shift=9)
        few = make_evidence(range(14))

        for reference in (few, None):
            screening = screen_batch(strange, reference, LIMITS)

            assert not screening.held
            assert "fewer than 15" in screening.notes[0]

    def test_an_empty_batch_passes(self) -> None:
        assert not screen_batch(
            Evidence(HONEST.images.iloc[:0], HONEST.class_names), KNOWN, LIMITS
        ).held


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


@settings(max_examples=30, deadline=None)
@given(
    size=st.integers(4, 70),
    count=st.integers(0, 5),
    seed=st.integers(0, 9),
    top=st.integers(1, 256),
)
def test_statistics_are_finite_for_any_pixels(size: int, count: int, seed: int, top: int) -> None:
    random = np.random.default_rng(seed)

    statistics = describe_pixels(random.integers(0, top, (count, size, size, 3), np.uint8))

    assert list(statistics.columns) == list(STATISTICS)
    assert statistics.shape == (count, len(STATISTICS))
    assert np.isfinite(statistics.to_numpy()).all()


def test_twice_the_light_changes_the_brightness_alone() -> None:
    random = np.random.default_rng(0)
    pixels = np.full((1, 64, 64, 3), [90, 60, 70], np.uint8)
    pixels += random.integers(0, 20, (1, 64, 64, 1), np.uint8)

    dim, bright = describe_pixels(pixels).iloc[0], describe_pixels(pixels * 2).iloc[0]

    assert bright["brightness"] - dim["brightness"] == pytest.approx(0.85, abs=0.1)
    assert bright["lit_share"] == dim["lit_share"] == 1
    assert bright["red_over_green"] == pytest.approx(dim["red_over_green"], abs=0.1)


def test_statistics_are_those_of_exact_sums() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)
    pixels[:, :, :7] = 0
    lit = np.pad(pixels.max(3) > LIT_LEVEL, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    inner = lit[:, 1:-1, 1:-1] & lit[:, 2:, 1:-1] & lit[:, :-2, 1:-1]
    inner &= lit[:, 1:-1, 2:] & lit[:, 1:-1, :-2]
    for number, statistics in describe_pixels(pixels).iterrows():
        stops = np.log2(pixels[number][inner[number]].astype(np.float64) + LIT_LEVEL)
        red, green, blue = stops.mean(0)
        shade = (stops - stops.mean(0)).mean(1)
        slopes = (stops - stops.mean(0)).T @ shade / (shade @ shade)
        assert statistics["brightness"] == pytest.approx(stops.mean(), abs=1e-4)
        assert statistics["contrast"] == pytest.approx(np.sqrt((shade**2).mean()), abs=1e-4)
        assert statistics["red_over_green"] == pytest.approx(red - green, abs=1e-4)
        assert statistics["blue_over_green"] == pytest.approx(blue - green, abs=1e-4)
        assert statistics["red_slope"] == pytest.approx(slopes[0] - slopes[1], abs=1e-4)
        assert statistics["blue_slope"] == pytest.approx(slopes[2] - slopes[1], abs=1e-4)


def test_statistics_do_not_depend_on_the_chunks() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 16, 16, 3), np.uint8)

    whole = describe_pixels(pixels)

    pd.testing.assert_frame_equal(
        whole.iloc[290:].reset_index(drop=True), describe_pixels(pixels[290:]), rtol=1e-5
    )


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
