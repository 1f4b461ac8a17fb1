"""Questions to places that may never answer."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


def ask_each(
    ask: Callable[[Asked], Answer],
    questions: Sequence[Asked],
    askers: int,
    patience_s: float,
    give_up: Callable[[Asked], None] = lambda _: None,
) -> list[Answer | None]:
    """Return the answer to each question, in order, None where none came in time.

    A call that hangs is left behind, in a thread that holds up neither the others nor the end of
    the process.

    Args:
        ask: gives the answer; it must not raise.
        questions: what is asked.
        askers: how many threads ask.
        patience_s: how long each question may take, in seconds.
        give_up: told of each question that took longer.
    """
    crew = _Crew(ask, questions, patience_s, give_up)
    crew.enlist(min(askers, len(questions)))
    return crew.wait()


class _Crew(Generic[Asked, Answer]):
    """Threads that ask, and the one that waits for them and replaces those that hang."""

    def __init__(
        self,
        ask: Callable[[Asked], Answer],
        questions: Sequence[Asked],
        patience_s: float,
        give_up: Callable[[Asked], None],
    ) -> None:
        self._ask = ask
        self._tell = give_up
        self._questions = questions
        self._patience_s = patience_s
        self._due = deque(range(len(questions)))
        self._asked_at: dict[int, float] = {}
        self._answers: dict[int, Answer | None] = {}
        self._changed = threading.Condition()

    def enlist(self, count: int) -> None:
        for _ in range(count):
            threading.Thread(target=self._work, name="patience", daemon=True).start()

    def wait(self) -> list[Answer | None]:
        with self._changed:
            while len(self._answers) < len(self._questions):
                self._give_up()
                next_at = min(self._asked_at.values(), default=time.monotonic()) + self._patience_s
                self._changed.wait(max(next_at - time.monotonic(), 0.001))
        return [self._answers[number] for number in range(len(self._questions))]

    def _give_up(self) -> None:
        now = time.monotonic()
        late = [number for number, at in self._asked_at.items() if now - at >= self._patience_s]
        for number in late:
            del self._asked_at[number]
            self._answers[number] = None
            self._tell(self._questions[number])
        self.enlist(min(len(late), len(self._due)))

    def _work(self) -> None:
        number = self._take()
        while number is not None:
            answer = self._ask(self._questions[number])
            with self._changed:
                if number not in self._asked_at:  # given up, and replaced
                    return
                del self._asked_at[number]
                self._answers[number] = answer
                self._changed.notify()
            number = self._take()

    def _take(self) -> int | None:
        with self._changed:
            if not self._due:
                return None
            number = self._due.popleft()
            self._asked_at[number] = time.monotonic()
            self._changed.notify()
            return number
