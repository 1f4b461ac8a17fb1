"""The precision of the training: what the device is fast at, unless another is asked for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from image_classification import vision
from image_classification.vision import precision


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A machine whose card and processor flags can be set."""
    machine = SimpleNamespace(capability=None, flags=set())
    config = SimpleNamespace(
        list_physical_devices=lambda _: ["card"] if machine.capability else [],
        experimental=SimpleNamespace(
            get_device_details=lambda _: {"compute_capability": machine.capability}
        ),
    )
    monkeypatch.setattr(precision, "tf", SimpleNamespace(config=config))
    monkeypatch.setattr(precision, "_read_cpu_flags", lambda: machine.flags)
    return machine


@pytest.mark.parametrize(
    ("flags", "chosen"),
    [
        ({"avx2", "amx_bf16"}, "mixed_bfloat16"),
        ({"avx512f", "avx512_bf16"}, "mixed_bfloat16"),
        ({"avx512f", "avx2"}, "float32"),
        (set(), "float32"),
    ],
)
def test_a_processor_is_asked_for_what_it_can(
    device: SimpleNamespace, flags: set[str], chosen: str
) -> None:
    device.flags = flags
    assert precision.choose_precision("auto") == chosen


@pytest.mark.parametrize(
    ("capability", "chosen"),
    [
        ((9, 0), "mixed_bfloat16"),
        ((8, 0), "mixed_bfloat16"),
        ((7, 5), "mixed_float16"),
        ((6, 1), "float32"),
    ],
)
def test_a_card_is_asked_before_the_processor(
    device: SimpleNamespace, capability: tuple[int, int], chosen: str
) -> None:
    device.capability, device.flags = capability, {"amx_bf16"}
    assert precision.choose_precision("auto") == chosen


def test_what_is_asked_for_is_not_questioned(device: SimpleNamespace) -> None:
    device.flags = {"amx_bf16"}
    assert precision.choose_precision("float32") == "float32"


def test_flags_are_read_from_the_system(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor : 0\nflags\t\t: fpu amx_bf16 avx2\nprocessor : 1\n")
    assert precision._read_cpu_flags(file) >= {"amx_bf16", "avx2"}
    assert precision._read_cpu_flags(tmp_path / "absent") == set()


def build() -> keras.Model:
    return vision.build_network("small", 16, 3, 0.1)


def test_the_trained_network_has_the_weights_of_the_kept_one_and_another_precision() -> None:
    kept, trained = precision.build_in_precision(build, "mixed_bfloat16")

    kinds = {layer.name: layer.compute_dtype for layer in trained.layers}
    assert kinds.pop("probabilities") == "float32"
    kinds.pop("pixels")
    assert set(kinds.values()) == {"bfloat16"}
    assert {layer.compute_dtype for layer in kept.layers} == {"float32"}
    for one, other in zip(trained.get_weights(), kept.get_weights(), strict=True):
        assert one.dtype == np.float32
        np.testing.assert_array_equal(one, other)


def test_in_float32_the_kept_network_is_the_one_that_is_trained() -> None:
    kept, trained = precision.build_in_precision(build, "float32")

    assert kept is trained


def test_the_policy_of_the_process_is_neither_followed_nor_changed() -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        kept, _ = precision.build_in_precision(build, "float32")
        assert {layer.compute_dtype for layer in kept.layers} == {"float32"}
        with pytest.raises(ZeroDivisionError):
            precision.build_in_precision(lambda: 1 / 0, "mixed_bfloat16")
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_dtype_policy(before)
