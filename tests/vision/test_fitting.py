"""Fitting a network: it learns, it repeats, and it selects nothing on the validation images."""

from __future__ import annotations

import numpy as np
import pytest

from image_classification import vision
from image_classification.vision import Network
from image_classification.vision.training import _training_batches

EPOCHS, IMAGES, BATCH = 6, 40, 8

Labelled = tuple[np.ndarray, np.ndarray]


def draw_bright_and_dark(count: int, seed: int) -> Labelled:
    """Return images of which the second class is bright, and their class numbers."""
    random = np.random.default_rng(seed)
    targets = np.arange(count) % 2
    brightness = np.where(targets, 190, 60)[:, None, None, None]
    noise = random.normal(0, 15, (count, 16, 16, 3))
    return (brightness + noise).clip(0, 255).astype(np.uint8), targets


def fit(epochs: int = EPOCHS, seed: int = 3, **changes: Labelled) -> tuple[Network, vision.History]:
    vision.set_seed(seed)
    network = vision.build_network("small", 16, 2, 0.1)
    history = vision.fit_network(
        network,
        changes.get("train", draw_bright_and_dark(IMAGES, 1)),
        changes.get("validation", draw_bright_and_dark(20, 2)),
        epochs=epochs,
        batch_size=BATCH,
        learning_rate=0.003,
        weight_decay=0.01,
        label_smoothing=0.05,
        seed=seed,
    )
    return network, history


@pytest.fixture(scope="module")
def fitted() -> tuple[Network, vision.History]:
    return fit()


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


def test_one_seed_gives_one_result_whatever_is_validated(
    fitted: tuple[Network, vision.History],
) -> None:
    network, history = fitted

    again, its_history = fit(validation=draw_bright_and_dark(10, 77))

    np.testing.assert_allclose(its_history.train_loss, history.train_loss, rtol=1e-4)
    for one, other in zip(again.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_another_seed_gives_another_result(fitted: tuple[Network, vision.History]) -> None:
    _, history = fit(epochs=1, seed=4)

    assert not np.isclose(history.train_loss[0], fitted[1].train_loss[0], rtol=1e-4)


def test_fewer_images_than_a_batch_are_enough() -> None:
    _, history = fit(epochs=1, train=draw_bright_and_dark(3, 1))

    assert np.isfinite(history.train_loss).all()


def test_each_epoch_has_every_image_once_in_another_order_and_turned() -> None:
    # The corner pixel's channels count: which image, and whether it is still the corner.
    pixels = np.zeros((12, 4, 4, 3), np.uint8)
    pixels[:, 0, 1, 0] = np.arange(1, 13)
    batches = _training_batches((pixels, np.arange(12) % 2), 2, 5, seed=0)

    epochs = []
    for _ in range(2):
        found = [(images.numpy(), labels.numpy()) for images, labels in batches]
        assert [len(images) for images, _ in found] == [5, 5, 2]
        images = np.concatenate([images for images, _ in found])
        numbers = images.reshape(12, -1).max(axis=1)
        labels = np.concatenate([labels for _, labels in found]).argmax(axis=1)
        assert sorted(numbers) == list(range(1, 13))
        np.testing.assert_array_equal(labels, (numbers - 1) % 2)
        epochs.append((numbers, images))

    assert list(epochs[0][0]) != list(epochs[1][0])
    places = {tuple(np.argwhere(image.max(axis=-1))[0]) for _, part in epochs for image in part}
    assert len(places) > 2
    assert places <= {(0, 1), (0, 2), (1, 0), (2, 0), (3, 1), (3, 2), (1, 3), (2, 3)}
