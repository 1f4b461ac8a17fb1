"""The project's network in a plain Keras script with tf.data: what the framework must match.

As one would write it without this project: the same layers, the same schedule, the same turns, the
same number format, and nothing else. `benchmarks/training.py` times both side by side.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def build(stem: int, stages: Sequence[int], size_px: int, dropout: float) -> keras.Model:
    """Build the network under the number format that is set."""
    inputs = keras.Input((size_px, size_px, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    x = layers.Conv2D(stem, 7, 4, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    for channels in stages:
        x = layers.Conv2D(channels, 3, padding="same", use_bias=False)(x)
        x = layers.MaxPooling2D(padding="same")(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Dropout(dropout)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Dense(2, activation="softmax", dtype="float32")(x))


def turn(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Turn a batch."""
    images = tf.image.random_flip_up_down(tf.image.random_flip_left_right(images))
    quarter = tf.random.uniform([]) < 0.5
    return tf.cond(quarter, lambda: tf.transpose(images, [0, 2, 1, 3]), lambda: images), labels


def train(
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    plan: dict[str, float],
    network: tuple[int, Sequence[int]],
    policy: str,
) -> list[tuple[float, float]]:
    """Train; return the seconds since the start and the validation accuracy after each epoch."""
    began, reached = time.perf_counter(), []
    keras.config.set_dtype_policy(policy)
    model = build(*network, train[0].shape[1], plan["dropout"])
    keras.config.set_dtype_policy("float32")
    size, epochs = int(plan["batch_size"]), int(plan["epochs"])
    labels, answers = (tf.one_hot(part[1], 2) for part in (train, validation))
    data = tf.data.Dataset.from_tensor_slices((train[0], labels)).shuffle(len(train[0]))
    data = data.batch(size).map(turn, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    held_out = tf.data.Dataset.from_tensor_slices((validation[0], answers)).batch(256)
    steps = epochs * len(data)
    rate = keras.optimizers.schedules.CosineDecay(
        plan["learning_rate"] / 25,
        steps - steps // 10,
        warmup_target=plan["learning_rate"],
        warmup_steps=steps // 10,
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=plan["weight_decay"]),
        keras.losses.CategoricalCrossentropy(label_smoothing=plan["label_smoothing"]),
        metrics=["accuracy"],
    )

    def note(_: int, logs: dict[str, float]) -> None:
        reached.append((time.perf_counter() - began, logs["val_accuracy"]))

    watch = keras.callbacks.LambdaCallback(on_epoch_end=note)
    model.fit(data, validation_data=held_out, epochs=epochs, callbacks=[watch], verbose=0)
    return reached
