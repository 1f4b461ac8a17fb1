"""Fitting a network: it learns, it repeats, and it selects nothing on the validation images."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from image_classification import vision
from image_classification.vision import Network, blocks, feed, training

EPOCHS, IMAGES, BATCH = 4, 40, 8

Labelled = tuple[np.ndarray, np.ndarray]


def draw_bright_and_dark(count: int, seed: int) -> Labelled:
    """Return images of which the second class is bright, and their class numbers."""
    random = np.random.default_rng(seed)
    targets = np.arange(count) % 2
    brightness = np.where(targets, 190, 60)[:, None, None, None]
    noise = random.normal(0, 15, (count, 16, 16, 3))
    return (brightness + noise).clip(0, 255).astype(np.uint8), targets


def build_tiny() -> Network:
    """Build what is quickly traced, with an operator between its layers."""
    inputs, features = blocks.read_pixels(16)
    features = blocks.activate(blocks.convolve(features, 8, 3, strides=4))
    features = layers.GlobalAveragePooling2D()(features)
    outputs = blocks.answer(features + layers.Dense(8)(features), 2, dropout=0.1)
    return keras.Model(inputs, outputs)


def fit(
    epochs: int = EPOCHS, seed: int = 3, precision: str = "float32", **changes: Labelled
) -> tuple[Network, vision.History, dict[str, Any]]:
    return vision.fit_network(
        build_tiny,
        changes.get("train", draw_bright_and_dark(IMAGES, 1)),
        changes.get("validation", draw_bright_and_dark(20, 2)),
        epochs=epochs,
        batch_size=BATCH,
        learning_rate=0.003,
        weight_decay=0.01,
        label_smoothing=0.05,
        seed=seed,
        precision=precision,
    )


@pytest.fixture(scope="module")
def fitted() -> tuple[Network, vision.History]:
    network, history, _ = fit()
    return network, history


def test_a_plain_difference_is_learned(fitted: tuple[Network, vision.History]) -> None:
    network, history = fitted
    pixels, targets = draw_bright_and_dark(30, 9)

    assert history.train_loss[-1] < history.train_loss[0]
    assert history.validation_accuracy[-1] >= 0.95
    assert (vision.score_pixels(network, pixels).argmax(axis=1) == targets).mean() >= 0.95


def test_each_measure_has_a_finite_value_per_epoch(fitted: tuple[Network, vision.History]) -> None:
    _, history = fitted

    for name, values in vars(history).items():
        assert len(values) == EPOCHS, name
        assert np.isfinite(values).all(), name
    assert min(history.images_per_second) > 0


def test_learning_rate_ends_near_zero(fitted: tuple[Network, vision.History]) -> None:
    rates = fitted[1].learning_rate

    assert max(rates) <= 0.003
    assert rates[-1] < 0.05 * max(rates)


def test_the_schedule_is_kerass_own_cosine_with_a_warm_up() -> None:
    ours = training._WarmedCosine(0.003, 200)
    theirs = keras.optimizers.schedules.CosineDecay(
        0.003 / 25, 180, warmup_target=0.003, warmup_steps=20
    )
    for step in (0, 1, 19, 20, 21, 110, 199, 200, 300):
        np.testing.assert_allclose(float(ours(step)), float(theirs(step)), rtol=1e-4, atol=1e-9)


def test_one_seed_gives_one_result_whatever_is_validated(
    fitted: tuple[Network, vision.History],
) -> None:
    network, history = fitted

    again, its_history, _ = fit(validation=draw_bright_and_dark(10, 77))

    np.testing.assert_allclose(its_history.train_loss, history.train_loss, rtol=1e-4)
    for one, other in zip(again.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_another_seed_gives_another_result(fitted: tuple[Network, vision.History]) -> None:
    _, history, _ = fit(epochs=1, seed=4)

    assert not np.isclose(history.train_loss[0], fitted[1].train_loss[0], rtol=1e-4)


def test_fewer_images_than_a_batch_are_enough() -> None:
    _, history, _ = fit(epochs=1, train=draw_bright_and_dark(3, 1))

    assert np.isfinite(history.train_loss).all()


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_a_network_trained_in_half_the_bits_answers_alike_in_float32(
    fitted: tuple[Network, vision.History], precision: str
) -> None:
    network, history, setup = fit(precision=precision)

    assert setup["precision"] == precision
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
    assert all(np.isfinite(weight).all() for weight in network.get_weights())
    assert history.validation_accuracy[-1] >= 0.95
    # Close to what float32 learns, and not the very same: it did compute in fewer bits.
    # float16 skips the first steps, until it has found the scale of its gradients.
    np.testing.assert_allclose(history.train_loss[-3:], fitted[1].train_loss[-3:], atol=0.1)
    assert history.train_loss != fitted[1].train_loss


def test_pixels_that_do_not_fit_are_read_in_windows_and_learned_as_well(
    fitted: tuple[Network, vision.History], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "HELD_BYTES", 2 * BATCH * 16 * 16 * 3)
    _, history, setup = fit()

    assert setup["pixels"] == "read in windows"
    assert history.validation_accuracy[-1] >= 0.95


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_what_a_gpu_does_gives_what_a_cpu_gives(
    fitted: tuple[Network, vision.History], monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    # XLA and several steps at a time, the last of them not full: 40 images are 5 steps of 8.
    assert training.JIT_ON_CARD
    monkeypatch.setattr(training, "JIT_ON_CARD", compiled)
    monkeypatch.setattr(training, "_find_card", lambda: True)
    monkeypatch.setattr(training, "STEPS_PER_EXECUTION", 2)
    _, history, setup = fit()

    assert setup["jit_compile"] is compiled
    assert setup["steps_per_execution"] == 2
    assert setup["device"] == "GPU"
    assert len(history.train_loss) == EPOCHS
    np.testing.assert_allclose(history.train_loss, fitted[1].train_loss, atol=0.05)


def test_a_card_without_room_for_the_pixels_is_fed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "out of memory")

    monkeypatch.setattr(training.tf, "Variable", refuse)
    source = vision.HeldPixels(draw_bright_and_dark(8, 1)[0])
    assert training._hold(source, on_card=True) is None
