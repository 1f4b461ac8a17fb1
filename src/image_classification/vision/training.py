"""Fitting a network on pixels held in memory."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from image_classification.vision.pixels import Pixels

logger = logging.getLogger(__name__)

Targets = npt.NDArray[np.integer]


@dataclass
class History:
    """What each epoch measured: lists with one value per epoch."""

    train_accuracy: list[float] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    images_per_second: list[float] = field(default_factory=list)


def set_seed(seed: int) -> None:
    """Seed Python's, NumPy's and TensorFlow's generators: call before building the network."""
    keras.utils.set_random_seed(seed)


def fit_network(  # noqa: PLR0913 - the schedule, spelled out
    network: keras.Model,
    train: tuple[Pixels, Targets],
    validation: tuple[Pixels, Targets],
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    label_smoothing: float,
    seed: int,
) -> History:
    """Train `network` in place on a fixed schedule.

    AdamW (Loshchilov and Hutter, 2019, arXiv:1711.05101) with a linear warm-up over the first
    tenth of the steps and a cosine decay to zero. The validation images are scored after each
    epoch for the curves alone: nothing stops early and nothing is selected on them, since the
    promotion later judges on the same images.

    Args:
        network: a model of `build_network`.
        train: pixels ``(n, size, size, 3)`` uint8 and class numbers ``(n,)``.
        validation: the same, of other patients.
        epochs: passes over the training images.
        batch_size: images per step.
        learning_rate: peak of the schedule.
        weight_decay: AdamW's decoupled decay.
        label_smoothing: share of the target spread over all classes, 0 to 1.
        seed: of the shuffle, the augmentation, and the weights if built after `set_seed`.

    Returns:
        One value per epoch of each measurement.
    """
    batch_size = min(batch_size, len(train[0]))
    steps = epochs * -(-len(train[0]) // batch_size)
    network.compile(
        optimizer=keras.optimizers.AdamW(
            _schedule(learning_rate, steps), weight_decay=weight_decay
        ),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    class_count = network.output_shape[-1]
    progress = _Progress(epochs, len(train[0]), steps // epochs)
    network.fit(
        _training_batches(train, class_count, batch_size, seed),
        validation_data=_batches(validation, class_count),
        epochs=epochs,
        shuffle=False,  # the batches come shuffled
        callbacks=[progress],
        verbose=0,
    )
    return progress.history


def _schedule(peak: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    warmup_steps = max(1, steps // 10)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=peak / 25,
        warmup_target=peak,
        warmup_steps=warmup_steps,
        decay_steps=max(1, steps - warmup_steps),
    )


def _training_batches(
    train: tuple[Pixels, Targets], class_count: int, batch_size: int, seed: int
) -> tf.data.Dataset:
    """Yield shuffled, augmented batches: other order and other flips in every epoch."""
    pixels, targets = train
    with tf.device("/CPU:0"):
        images, labels = tf.constant(pixels), tf.one_hot(targets, class_count)
        order = tf.data.Dataset.range(len(pixels)).shuffle(len(pixels), seed=seed)
        batches = order.batch(batch_size)

        def augment(rows: tf.Tensor, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # A blood smear has no up or left: the eight symmetries of the square are all honest.
            batch = tf.gather(images, rows)
            keys = tf.random.split(tf.stack([seed, key]), 3)
            batch = tf.image.stateless_random_flip_left_right(batch, keys[0])
            batch = tf.image.stateless_random_flip_up_down(batch, keys[1])
            quarter_turn = tf.random.stateless_uniform([], keys[2]) < 0.5
            batch = tf.cond(quarter_turn, lambda: tf.transpose(batch, [0, 2, 1, 3]), lambda: batch)
            return batch, tf.gather(labels, rows)

        # Keys are drawn from one seeded generator that runs on through the epochs.
        keys = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)
        return (
            tf.data.Dataset.zip(batches, keys)
            .map(augment, tf.data.AUTOTUNE, deterministic=True)
            .prefetch(tf.data.AUTOTUNE)
        )


def _batches(data: tuple[Pixels, Targets], class_count: int) -> tf.data.Dataset:
    pixels, targets = data
    with tf.device("/CPU:0"):
        return tf.data.Dataset.from_tensor_slices((pixels, tf.one_hot(targets, class_count))).batch(
            256
        )


class _Progress(keras.callbacks.Callback):
    """Log a line per epoch, and one on the way when an epoch takes long; keep the history."""

    seconds_between_lines = 15.0

    def __init__(self, epochs: int, image_count: int, steps_per_epoch: int) -> None:
        super().__init__()
        self.epochs = epochs
        self.image_count = image_count
        self.steps_per_epoch = steps_per_epoch
        self.history = History()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        self.epoch = epoch
        self.began_at = self.spoke_at = time.monotonic()
        self.fitted_at = self.began_at

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.fitted_at = time.monotonic()
        if self.fitted_at - self.spoke_at > self.seconds_between_lines and logs:
            self.spoke_at = self.fitted_at
            logger.info(
                "Epoch %d/%d, step %d/%d: training loss %.4f",
                *(self.epoch + 1, self.epochs, batch + 1, self.steps_per_epoch, logs["loss"]),
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        rate = self.image_count / max(self.fitted_at - self.began_at, 1e-9)
        self.history.train_accuracy.append(float(logs["accuracy"]))
        self.history.train_loss.append(float(logs["loss"]))
        self.history.validation_accuracy.append(float(logs["val_accuracy"]))
        self.history.validation_loss.append(float(logs["val_loss"]))
        self.history.learning_rate.append(float(self.model.optimizer.learning_rate))
        self.history.images_per_second.append(rate)
        logger.info(
            "Epoch %d/%d: accuracy %.4f, loss %.4f; validation accuracy %.4f, loss %.4f; "
            "%.0f images/s",
            *(epoch + 1, self.epochs, logs["accuracy"], logs["loss"]),
            *(logs["val_accuracy"], logs["val_loss"], rate),
        )
