"""Questions to places that may never answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from image_classification.datasets.patience import ask_each


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """An event that does not come before the end of the test."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize("askers", [1, 3, 50])
def test_answers_come_in_the_order_of_the_questions(askers: int) -> None:
    def ask(number: int) -> int:
        time.sleep(0.001 * (5 - number % 5))
        return number * number

    assert ask_each(ask, list(range(40)), askers, 10) == [number**2 for number in range(40)]


def test_nothing_is_asked_when_there_is_no_question() -> None:
    assert ask_each(lambda _: pytest.fail("asked"), [], 4, 10) == []


@pytest.mark.parametrize("askers", [1, 2, 16])
def test_who_does_not_answer_is_left_behind_and_the_others_are_asked(
    never: threading.Event, askers: int
) -> None:
    def ask(number: int) -> int:
        if number in (0, 1, 4):
            never.wait()
        return number

    given_up: list[int] = []
    began = time.monotonic()
    answers = ask_each(ask, list(range(9)), askers, 0.05, given_up.append)
    assert answers == [None, None, 2, 3, None, 5, 6, 7, 8]
    assert sorted(given_up) == [0, 1, 4]
    assert time.monotonic() - began < 2


def test_an_answer_that_comes_too_late_does_not_count() -> None:
    def ask(number: int) -> int:
        time.sleep(0.15 if number == 0 else 0.06)
        return number

    assert ask_each(ask, [0, 1, 2, 3], 1, 0.1) == [None, 1, 2, 3]


def test_a_thread_that_hangs_does_not_hold_up_the_end_of_the_process(
    never: threading.Event,
) -> None:
    def ask(_: int) -> None:
        never.wait()

    assert ask_each(ask, [0], 1, 0.02) == [None]
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "patience")
