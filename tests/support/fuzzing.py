"""Damaged images and zips go through intake, `score`, the packaged model and the endpoint.

All answers must be those of one decoder, and those of `decode_as_meant` on the same bytes. It is
written in the plainest way, with Pillow alone, but for JPEG, where each library rounds otherwise.
"""

from __future__ import annotations

import base64
import io
import itertools
import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
import tensorflow as tf
from laboratory import Laboratory
from mutation import draw_seeds, mutate_image, mutate_zip
from packaged_model import package
from PIL import Image
from samples import POSITIVE, draw_image
from starlette.testclient import TestClient

from image_classification import vision
from image_classification.commands.endpoint.app import Endpoint
from image_classification.commands.endpoint.message import Limits
from image_classification.datasets import ImageSource, RegisteredNetwork
from image_classification.errors import DataError
from image_classification.pipelines.inference.nodes import list_images, score_images

Pixels = npt.NDArray[np.uint8]

SIDE = 5
CLASSES = [f"{number:03}" for number in range(3 * SIDE * SIDE)]
PROBABILITIES = [f"probability_{name}" for name in CLASSES]
ASKED_TOGETHER = 64
REFUSALS_ASKED = 5
"""Of the refused files of a part, so many are shown to the packaged model, one at a time."""


def make_network() -> keras.Model:
    """Return a network that answers the pixels that it is given."""
    inputs = keras.Input((SIDE, SIDE, 3))
    return keras.Model(inputs, keras.layers.Flatten()(inputs))


def decode_as_meant(content: bytes) -> Pixels | None:
    """Return the pixels of a file, resized; None where Pillow cannot read it."""
    try:
        with Image.open(
            io.BytesIO(content), formats=("PNG", "JPEG", "BMP", "TIFF", "GIF")
        ) as image:
            if image.format in ("JPEG", "MPO"):
                pixels = tf.io.decode_jpeg(content, channels=3).numpy()
            elif image.mode.startswith("I;16"):
                return None  # the test of the encodings has its pixels
            else:
                image.getexif().clear()
                pixels = np.asarray(image.convert("RGB"))
    except Exception:  # noqa: BLE001 - whatever a damaged file makes the libraries raise
        return None
    resized = tf.image.resize(pixels, (SIDE, SIDE), "area")
    return np.asarray(tf.cast(tf.round(resized), tf.uint8))


@dataclass
class Findings:
    """What a run found.

    Attributes:
        images: how many damaged images were decoded.
        zips: how many damaged zips were taken in.
        read: how many images had pixels.
        compared: of them, how many the reference could read, too.
        slowest_s: the most that one image took to be decoded, in seconds of the processor.
        faults: what was wrong, with the seed of the file.
    """

    images: int = 0
    zips: int = 0
    read: int = 0
    compared: int = 0
    slowest_s: float = 0.0
    faults: list[str] = field(default_factory=list)


class Fuzzer:
    """A laboratory, a packaged model and an endpoint that are shown damaged files.

    Args:
        folder: an empty one.
        worker: of the endpoint; its network is that of `make_network`.
    """

    def __init__(self, folder: Path, worker: Any) -> None:
        self._folder = folder
        self._network = make_network()
        example = pd.DataFrame({"image_name": ["1.png"], "image": [draw_image(1)]})
        self._model = package(folder / "packaged", self._network, CLASSES, example)
        self._worker = worker
        self._seeds = draw_seeds()
        vision.decode_sound_images(self._seeds, SIDE)  # what is traced once is no image's time
        self.findings = Findings()

    def run(self, images: range, zips: range) -> None:
        """Try the damaged files of these numbers, all in one intake."""
        chances = [random.Random(number) for number in images]  # noqa: S311
        contents = [mutate_image(chance, self._seeds) for chance in chances]
        packed = [mutate_zip(random.Random(-1 - number), self._seeds) for number in zips]  # noqa: S311
        names = [f"{number}.png" for number in images]
        pixels, reasons = self._decode(contents)
        self._compare("reference", names, pixels, reasons, self._ask_reference(contents, reasons))
        self._compare("intake", names, pixels, reasons, self._take_in(names, contents, packed))
        self._compare("score", names, pixels, reasons, self._score(names, contents))
        self._compare("model", names, pixels, reasons, self._predict(names, contents, reasons))
        self._compare("endpoint", names, pixels, reasons, self._post(names, contents))
        self.findings.images += len(images)
        self.findings.zips += len(zips)

    def _decode(self, contents: Sequence[bytes]) -> tuple[list[Pixels], list[str]]:
        """Decode each file alone: its neighbours must make no difference later."""
        found: list[Pixels] = []
        reasons: list[str] = []
        for content in contents:
            began = time.process_time()
            (pixels,), (reason,) = vision.decode_sound_images([content], SIDE)
            self.findings.slowest_s = max(self.findings.slowest_s, time.process_time() - began)
            found.append(pixels)
            reasons.append(reason)
        self.findings.read += reasons.count("")
        return found, reasons

    def _compare(
        self,
        where: str,
        names: Sequence[str],
        pixels: Sequence[Pixels],
        reasons: Sequence[str],
        answers: Sequence[Pixels | str | None],
    ) -> None:
        """Note each answer that is not that of the decoder; None is no answer, and no fault."""
        for name, meant, reason, answer in zip(names, pixels, reasons, answers, strict=True):
            if answer is None:
                continue
            if isinstance(answer, str) != bool(reason):
                self._note(f"{where}: {name}: {answer!r:.200}, where the decoder says {reason!r}")
            elif not isinstance(answer, str) and not np.array_equal(meant, answer):
                self._note(f"{where}: {name}: other pixels than the decoder")

    def _note(self, fault: str) -> None:
        self.findings.faults.append(fault)

    def _ask_reference(
        self, contents: Sequence[bytes], reasons: Sequence[str]
    ) -> list[Pixels | None]:
        answers = [
            None if reason else decode_as_meant(content)
            for content, reason in zip(contents, reasons, strict=True)
        ]
        self.findings.compared += sum(answer is not None for answer in answers)
        return answers

    def _take_in(
        self, names: Sequence[str], contents: Sequence[bytes], packed: Sequence[bytes]
    ) -> list[Pixels | str | None]:
        laboratory = Laboratory(self._folder / "laboratory")
        laboratory.size_px = SIDE
        laboratory.parameters["minimum_image_side_px"] = 1
        files = {f"{POSITIVE}/{name}": file for name, file in zip(names, contents, strict=True)}
        laboratory.deliver("images", files)
        for number, content in enumerate(packed):
            (laboratory.incoming / f"z{number}.zip").write_bytes(content)
        laboratory.take_in("collect_batches", "inspect_images")
        catalog = laboratory.catalog()
        pixels, inspections = catalog.load("inspected_pixels"), catalog.load("image_inspections")
        self._check_zips(laboratory, inspections, pixels)
        found = inspections.read("images").set_index("image_name")
        answers: list[Pixels | str | None] = []
        for name in names:
            row = found.loc[name]
            # The intake has limits of its own, which are no matter of decoding.
            answers.append(
                (None if " pixels: at " in row["refusal"] else row["refusal"])
                if row["refusal"]
                else pixels.read([row["image_id"]], SIDE)[0]
            )
        shutil.rmtree(laboratory.storage)
        return answers

    def _check_zips(self, laboratory: Laboratory, inspections: Any, pixels: Any) -> None:
        """Compare what came out of the zips with the files that lie there now."""
        for batch in inspections.names():
            if batch == "images":
                continue
            for row in inspections.read(batch).itertuples():
                content = (laboratory.storage / "images" / str(row.path)).read_bytes()
                (meant,), (reason,) = vision.decode_sound_images([content], SIDE)
                if " pixels: at " in row.refusal:
                    continue
                answer = row.refusal or pixels.read([row.image_id], SIDE)[0]
                self._compare("zip", [f"{batch}/{row.path}"], [meant], [reason], [answer])

    def _score(self, names: Sequence[str], contents: Sequence[bytes]) -> list[Pixels | str]:
        folder = self._folder / "scored"
        folder.mkdir()
        for name, content in zip(names, contents, strict=True):
            (folder / name).write_bytes(content)
        (folder / "list.txt").write_text("\n".join(names))
        source = ImageSource("", allowed=(str(folder),))
        images = list_images(source, str(folder / "list.txt"))
        champion = RegisteredNetwork(self._network, CLASSES, "1")
        table = score_images(images, source, champion, "cells", 256)
        shutil.rmtree(folder)
        return [row["error"] or _as_pixels(row[PROBABILITIES]) for _, row in table.iterrows()]

    def _predict(
        self, names: Sequence[str], contents: Sequence[bytes], reasons: Sequence[str]
    ) -> list[Pixels | str | None]:
        images = pd.DataFrame({"image_name": names, "image": contents})
        answers: list[Pixels | str | None] = [None] * len(names)
        sound = [number for number, reason in enumerate(reasons) if not reason]
        if sound:
            table = self._model.predict(images.iloc[sound].reset_index(drop=True))
            for number, (_, row) in zip(sound, table.iterrows(), strict=True):
                answers[number] = _as_pixels(row[PROBABILITIES])
        refused = (number for number, reason in enumerate(reasons) if reason)
        for number in itertools.islice(refused, REFUSALS_ASKED):
            try:
                row = self._model.predict(images.iloc[[number]].reset_index(drop=True)).iloc[0]
                answers[number] = _as_pixels(row[PROBABILITIES])
            except DataError as error:
                answers[number] = str(error)
        return answers

    def _post(self, names: Sequence[str], contents: Sequence[bytes]) -> list[Pixels | str | None]:
        rows = [
            {"image_name": name, "image": base64.b64encode(content).decode()}
            for name, content in zip(names, contents, strict=True)
        ]
        answers: list[Pixels | str | None] = []
        app = Endpoint([self._worker], CLASSES, "1", Limits(seconds=60)).make_app()
        with TestClient(app) as client:
            for start in range(0, len(rows), ASKED_TOGETHER):
                body = {"dataframe_records": rows[start : start + ASKED_TOGETHER]}
                told = client.post("/invocations", json=body)
                if told.status_code not in (200, 422):
                    self._note(
                        f"endpoint: from {names[start]}: {told.status_code} {told.text:.200}"
                    )
                told_rows = told.json().get("predictions", [{}] * len(body["dataframe_records"]))
                answers += [_read_row(row) for row in told_rows]
        return answers


def _read_row(row: dict[str, Any]) -> Pixels | str | None:
    if "error" in row:
        return None if " pixels: at " in row["error"] else str(row["error"])
    return _as_pixels([row[name] for name in PROBABILITIES]) if row else None


def _as_pixels(values: Any) -> Pixels:
    return np.asarray(values, dtype=float).astype(np.uint8).reshape(SIDE, SIDE, 3)
