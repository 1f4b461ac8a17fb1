"""Any order, repetition and interruption of deliveries: the same index, each image once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
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
    sound = table.write_whole

    def write(filesystem: object, path: str, *parts: bytes) -> None:
        nonlocal count
        count += 1
        if count == writes:
            raise Killed
        sound(filesystem, path, *parts)
        if count + 0.5 == writes:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        for module in (batch, pixel, table):
            patch.setattr(module, "write_whole", write)
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


def expect(deliveries: list[Files]) -> dict[str, str]:
    """Return the status of each content, as the rule says: one label, or a conflict."""
    import hashlib

    labels: dict[str, set[str]] = {}
    for files in deliveries:
        for path, content in files.items():
            image_id = hashlib.sha256(content).hexdigest()
            labels.setdefault(image_id, set()).add(path.split("/")[0])
    return {
        image_id: "accepted" if len(found) == 1 else "conflict"
        for image_id, found in labels.items()
    }


# Each example runs the pipeline several times. What counts of many files is tried with many more
# examples, and without the pipeline, in tests/intake/test_index.py.
PATIENT = settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@PATIENT
@given(deliveries=batches(), data=st.data())
def test_order_and_repetition_of_deliveries_do_not_matter(
    deliveries: list[Files], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        together, apart = open_laboratory(one), open_laboratory(other)
        for number, files in enumerate(deliveries):
            together.deliver(f"b{number}", files)
        together.take_in()

        order = data.draw(st.permutations(range(len(deliveries))))
        again = data.draw(st.lists(st.sampled_from(range(len(deliveries))), max_size=2))
        for number in [*order, *again]:
            apart.deliver(f"b{number}", deliveries[number])
            apart.take_in()
        apart.take_in()

        assert describe(together).equals(describe(apart))
        statuses = describe(apart).set_index("image_id")["status"].to_dict()
        assert statuses == expect(deliveries)
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
        index = laboratory.index()
        counted = index[index["status"] != "rejected"].set_index("image_id")["status"].to_dict()
        assert counted == expect(kept)
