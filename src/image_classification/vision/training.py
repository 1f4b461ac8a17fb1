"""Fitting a network."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from image_classification.progress import progress as lines
from image_classification.vision import feed
from image_classification.vision.colour import mark_learnt_colours
from image_classification.vision.feed import Targets
from image_classification.vision.pixels import Pixels
from image_classification.vision.precision import build_in_precision, choose_precision
from image_classification.vision.source import HeldPixels, PixelSource

logger = logging.getLogger(__name__)

CARD_BYTES = 2**32
"""Pixels that a GPU is asked to hold; where it has no room for them, they are fed."""

JIT_ON_CARD = True
"""Whether XLA compiles the step on a GPU; on a CPU it makes so small a network slower."""

STEPS_PER_EXECUTION = 16
"""Of a GPU, which else waits for Python between the steps; a CPU has work enough in one."""


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
    """Seed Python's, NumPy's and TensorFlow's generators."""
    keras.utils.set_random_seed(seed)


def fit_network(  # noqa: PLR0913 - the schedule, spelled out
    build: Callable[[], keras.Model],
    train: tuple[PixelSource | Pixels, Targets],
    validation: tuple[PixelSource | Pixels, Targets],
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    label_smoothing: float,
    seed: int,
    precision: str = "float32",
    symmetries: str = "all",
) -> tuple[keras.Model, History, dict[str, Any]]:
    """Build a network and train it on a fixed schedule.

    AdamW (Loshchilov and Hutter, 2019, arXiv:1711.05101) with a linear warm-up over the first
    tenth of the steps and a cosine decay to zero. The validation images are scored after each
    epoch for the curves alone: nothing stops early and nothing is selected on them, since the
    promotion later judges on the same images.

    Whatever the precision of the training, the network that is returned computes in float32.

    Args:
        build: builds the network under the dtype policy in force, as `build_network` does. It is
            called a second time where the training has another precision than float32.
        train: pixels ``(n, size, size, 3)`` uint8 and class numbers ``(n,)``. Up to
            `feed.HELD_BYTES` (on a GPU `CARD_BYTES`) are held by the device, more are read in
            windows.
        validation: the same, of other patients; read as they are needed.
        epochs: passes over the training images.
        batch_size: images per step.
        learning_rate: peak of the schedule.
        weight_decay: AdamW's decoupled decay.
        label_smoothing: share of the target spread over all classes, 0 to 1.
        seed: of the weights, the shuffle and the augmentation.
        precision: `auto`, or what `choose_precision` may answer.
        symmetries: how images may be turned in training; see `feed.augment`.

    Returns:
        The network; one value per epoch of each measurement; and how it was trained: `device`,
        `precision`, `pixels` (held or read in windows), `jit_compile`, `steps_per_execution`.
    """
    number_format = choose_precision(precision)
    set_seed(seed)
    network, trained = build_in_precision(build, number_format)
    source, targets = _as_source(train[0]), train[1]
    batch_size = min(batch_size, len(targets))
    steps_per_epoch = -(-len(targets) // batch_size)
    class_count = network.output_shape[-1]
    on_card = _find_card()
    prepare = _Preparation(_hold(source, on_card), seed, symmetries)
    batches = (
        feed.feed_pixels(source, targets, class_count, batch_size, seed)
        if prepare.held is None
        else feed.feed_rows(targets, class_count, batch_size, seed)
    )
    trainer = _Trainer(trained, prepare)
    setup = {
        "device": "GPU" if on_card else "CPU",
        "precision": number_format,
        "pixels": "read in windows" if prepare.held is None else "held by the device",
        "jit_compile": on_card and JIT_ON_CARD,
        "steps_per_execution": min(STEPS_PER_EXECUTION, steps_per_epoch) if on_card else 1,
    }
    logger.info("Training: %s", ", ".join(f"{name} {value}" for name, value in setup.items()))
    trainer.compile(
        optimizer=_make_optimizer(
            _WarmedCosine(learning_rate, epochs * steps_per_epoch), weight_decay, number_format
        ),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile=setup["jit_compile"],
        steps_per_execution=setup["steps_per_execution"],
    )
    _make_state(trainer, class_count)
    progress = _Progress(epochs, len(targets), steps_per_epoch)
    trainer.fit(
        batches,
        validation_data=feed.feed_validation(_as_source(validation[0]), validation[1], class_count),
        epochs=epochs,
        shuffle=False,  # the batches come shuffled
        callbacks=[progress],
        verbose=0,
    )
    if trained is not network:
        network.set_weights(trained.get_weights())
    mark_learnt_colours(network, source)
    return network, progress.history, setup


def _make_state(trainer: keras.Model, class_count: int) -> None:
    """Make the state of the optimizer and of the measures.

    Were it made in the first step, TensorFlow would trace the whole step a second time, which
    takes seconds.
    """
    trainer.optimizer.build(trainer.trainable_variables)
    nothing = np.zeros((1, class_count), np.float32)
    trainer.compute_metrics(None, nothing, nothing)
    trainer.reset_metrics()


def _find_card() -> bool:
    return bool(tf.config.list_physical_devices("GPU"))


def _as_source(pixels: PixelSource | Pixels) -> PixelSource:
    return HeldPixels(pixels) if isinstance(pixels, np.ndarray) else pixels


def _hold(source: PixelSource, on_card: bool) -> tf.Variable | None:
    """Return all pixels on the device that trains; None where they are too many."""
    if not feed.fits(source, CARD_BYTES if on_card else feed.HELD_BYTES):
        return None
    pixels = source.read(np.arange(source.shape[0]))
    try:
        return tf.Variable(pixels, trainable=False)
    except tf.errors.ResourceExhaustedError:
        logger.info("The GPU has no room for %d MB of pixels: they are fed", pixels.nbytes // 10**6)
        return None


@dataclass(frozen=True)
class _Preparation:
    """Makes the pixels that are trained on of what `feed` gives.

    Attributes:
        held: all pixels, of which a batch names rows; None where a batch brings them.
        seed: of the turns.
        symmetries: which turns there are.
    """

    held: tf.Variable | None
    seed: int
    symmetries: str

    def __call__(self, batch: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        """Pick the rows, and turn them."""
        pixels = batch if self.held is None else tf.gather(self.held, batch)
        return feed.augment(pixels, key, self.seed, self.symmetries)


class _Trainer(keras.Model):
    """A network that prepares its batches itself, within the step; it is validated on pixels.

    So a card needs nobody for it, and on a CPU all cores share the work. A thread beside the step
    makes them wait for one another: on two cores for a tenth of an epoch.
    """

    def __init__(self, network: keras.Model, prepare: _Preparation) -> None:
        super().__init__(name="trainer")
        self.network = network
        self.prepare = prepare

    def call(self, inputs: Any, training: bool = False) -> tf.Tensor:
        pixels = self.prepare(*inputs) if training else inputs
        return self.network(pixels, training=training)


def _make_optimizer(
    schedule: keras.optimizers.schedules.LearningRateSchedule,
    weight_decay: float,
    precision: str,
) -> keras.optimizers.Optimizer:
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=weight_decay)
    # float16 has few exponents: small gradients would vanish.
    return (
        keras.optimizers.LossScaleOptimizer(optimizer)
        if precision == "mixed_float16"
        else optimizer
    )


class _WarmedCosine(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up to the peak, then half a cosine down to zero.

    Keras's CosineDecay branches, and AdamW asks it once more for each weight: so many branches
    would be traced, and taken in every step.
    """

    def __init__(self, peak: float, steps: int) -> None:
        self.peak = peak
        self.warmup_steps = max(1, steps // 10)
        self.decay_steps = max(1, steps - self.warmup_steps)

    def __call__(self, step: Any) -> Any:
        done = tf.cast(step, tf.float32)
        warming = self.peak / 25 + (self.peak - self.peak / 25) * done / self.warmup_steps
        decayed = tf.clip_by_value((done - self.warmup_steps) / self.decay_steps, 0.0, 1.0)
        cooling = self.peak * 0.5 * (1 + tf.cos(math.pi * decayed))
        return tf.where(done < self.warmup_steps, warming, cooling)

    def get_config(self) -> dict[str, float]:
        """Return what Keras would save of it."""
        return {"peak": self.peak, "steps": self.warmup_steps + self.decay_steps}


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
            lines.info(
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
        lines.info(
            "Epoch %d/%d: accuracy %.4f, loss %.4f; validation accuracy %.4f, loss %.4f; "
            "%.0f images/s",
            *(epoch + 1, self.epochs, logs["accuracy"], logs["loss"]),
            *(logs["val_accuracy"], logs["val_loss"], rate),
        )
