"""Any order, repetition and interruption of deliveries: the same index, each image once."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from laboratory import Laboratory
from samples import NEGATIVE, POSITIVE, draw_image, name_cell

from image_classification.datasets import batch, pixel, table
from image_classification.intake import contract

CONTENTS = [draw_image(seed) for seed in range(8)]
LABELS = (POSITIVE, NEGATIVE)

Files = dict[str, bytes]


class Killed(BaseException):
    """The process ends here: no handler may run on."""


@st.composite
def batches(draw: st.DrawFn) -> list[Files]:
    """Draw some batches of few contents, so that repetitions and conflicts are common."""
    images = st.tuples(st.sampled_from(LABELS), st.integers(0, len(CONTENTS) - 1))
    drawn = draw(st.lists(st.lists(images, min_size=1, max_size=5), min_size=1, max_size=4))
    return [
        {f"{label}/{name_cell(number)}": CONTENTS[number] for label, number in images}
        for images in drawn
    ]


@contextmanager
def killed_after(writes: int) -> Iterator[None]:
    """End the process at the given write of a file, before it or between aside and rename."""
    count = 0
    sound = pixel.write_whole

    def write(filesystem: object, path: str, *parts: bytes) -> None:
        nonlocal count
        count += 1
        if count == writes:
            raise Killed
        sound(filesystem, path, *parts)
        if count + 0.5 == writes:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        for module in (batch, pixel):
            patch.setattr(module, "write_whole", write)
        patch.setattr(table, "write_lasting", write)
        yield


def open_laboratory(folder: str) -> Laboratory:
    return Laboratory(Path(folder))


@pytest.fixture(autouse=True, scope="module")
def _no_contract_of_the_set() -> Iterator[None]:
    """Let every set of images pass: what is tested is the index alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contract, "check_images", lambda *_: contract.Findings([], []))
        yield


def describe(laboratory: Laboratory) -> pd.DataFrame:
    """Return what may not depend on order: not which of equal files was the first."""
    columns = ["image_id", "label", "status", "split", "patient"]
    return laboratory.index()[columns].sort_values("image_id").reset_index(drop=True)


def list_labels(files: Iterable[tuple[str, bytes]]) -> dict[str, set[str]]:
    """Return the labels of each content of some files."""
    labels: dict[str, set[str]] = {}
    for path, content in files:
        image_id = hashlib.sha256(content).hexdigest()
        labels.setdefault(image_id, set()).add(path.split("/")[0])
    return labels


def expect(deliveries: list[Files]) -> dict[str, tuple[str, str]]:
    """Return label and status of each content, as the rule says.

    The first batch that has it says: one label, or a conflict where the batch has it under two.
    """
    known: dict[str, tuple[str, str]] = {}
    for files in deliveries:
        for image_id, found in list_labels(files.items()).items():
            one = (min(found), "accepted") if len(found) == 1 else ("", "conflict")
            known.setdefault(image_id, one)
    return known


def read_labels(laboratory: Laboratory) -> dict[str, tuple[str, str]]:
    """Return label and status of each content that was not rejected."""
    index = laboratory.index()
    index = index[index["status"] != "rejected"]
    pairs = zip(index["label"], index["status"], strict=True)
    return dict(zip(index["image_id"], pairs, strict=True))


# Each example runs the pipeline several times. What counts of many files is tried with many more
# examples, and without the pipeline, in tests/intake/test_index.py.
PATIENT = settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@PATIENT
@given(deliveries=batches(), data=st.data())
def test_apart_or_together_and_again_deliveries_come_to_the_same(
    deliveries: list[Files], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        together, apart = open_laboratory(one), open_laboratory(other)
        for number, files in enumerate(deliveries):
            together.deliver(f"b{number}", files)
        together.take_in()

        again = data.draw(st.lists(st.sampled_from(range(len(deliveries))), max_size=2))
        for number in [*range(len(deliveries)), *again]:
            apart.deliver(f"b{number}", deliveries[number])
            apart.take_in()
        apart.take_in()

        assert describe(together).equals(describe(apart))
        assert read_labels(apart) == expect(deliveries)
        assert apart.index()["image_id"].is_unique


@settings(PATIENT, max_examples=8)
@given(deliveries=batches(), writes=st.lists(st.integers(2, 24), min_size=1, max_size=4))
def test_interruptions_do_not_matter(deliveries: list[Files], writes: list[int]) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        whole, interrupted = open_laboratory(one), open_laboratory(other)
        for laboratory in (whole, interrupted):
            for number, files in enumerate(deliveries):
                laboratory.deliver(f"b{number}", files)
        whole.take_in()
        for halves in writes:
            with killed_after(halves / 2):  # type: ignore[arg-type]
                try:
                    interrupted.take_in()
                except Killed:
                    continue
        interrupted.take_in()

        assert describe(whole).equals(describe(interrupted))
        assert list(interrupted.incoming.iterdir()) == []
        assert len(interrupted.log()) == len(whole.log())
        assert interrupted.quarantine().equals(whole.quarantine())


@PATIENT
@given(deliveries=batches(), data=st.data())
def test_the_order_of_deliveries_matters_to_no_content_that_has_one_label(
    deliveries: list[Files], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        in_order, shuffled = open_laboratory(one), open_laboratory(other)
        for laboratory in (in_order, shuffled):
            numbers = range(len(deliveries))
            for number in (
                numbers if laboratory is in_order else data.draw(st.permutations(numbers))
            ):
                laboratory.deliver(f"b{number}", deliveries[number])
                laboratory.take_in()
        found, wanted = describe(shuffled), describe(in_order)
        labels = list_labels(file for files in deliveries for file in files.items())
        agreed = [image_id for image_id, given in labels.items() if len(given) == 1]
        keep = [table[table["image_id"].isin(agreed)] for table in (found, wanted)]
        assert keep[0].equals(keep[1])
        assert set(found["image_id"]) == set(wanted["image_id"])


@PATIENT
@given(
    answers=st.lists(
        st.tuples(st.sampled_from(["b0", "b1"]), st.sampled_from(["accept", "reject"])), max_size=4
    ),
    deliveries=batches().filter(lambda drawn: len(drawn) >= 2),
)
def test_the_last_answer_about_each_batch_decides_whatever_came_before(
    answers: list[tuple[str, str]], deliveries: list[Files]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        laboratory = open_laboratory(folder)
        for number, files in enumerate(deliveries):
            laboratory.deliver(f"b{number}", files)
        laboratory.take_in()
        for place, (name, answer) in enumerate(answers):
            laboratory.review(name, answer, at=f"2026-11-22T10:00:{place:02d}+00:00")
            if place % 2:
                laboratory.take_in()
        laboratory.take_in()

        rejected = {name for name, answer in dict(answers).items() if answer == "reject"}
        kept = [files for number, files in enumerate(deliveries) if f"b{number}" not in rejected]
        found, wanted = read_labels(laboratory), expect(kept)
        assert found.keys() == wanted.keys()
        for image_id, (label, status) in found.items():
            # Whichever batch was accepted first has given the label: it may be any that is left.
            labels = [expect([files]).get(image_id) for files in kept]
            assert (label, status) in labels or len(set(labels) - {None}) > 1
