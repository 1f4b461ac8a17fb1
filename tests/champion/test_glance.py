"""Is there anything that a look at the ledger has to end?"""

from __future__ import annotations

from typing import Any

import pytest

from image_classification.champion.chain import Chain
from image_classification.champion.glance import CHAMPION, LEDGER_TAG, is_settled
from image_classification.gate.verdict import PROMOTED, UNVERIFIED

MODEL = "cells"
PROMOTION = {
    "at": "2026-11-01",
    "model": MODEL,
    "number": 2,
    "event": PROMOTED,
    "version": "1",
    "champion_before": None,
    "champion_after": "1",
}
FAILURE = {
    **PROMOTION,
    "number": 4,
    "event": UNVERIFIED,
    "version": "2",
    "champion_before": "1",
    "champion_after": "1",
}
AGAIN = {**PROMOTION, "number": 6, "version": "2", "champion_before": "1", "champion_after": "2"}


def look(entries: list[dict[str, Any]], champion: str | None, copied: object, **more: Any) -> bool:
    tags = {} if copied is None else {LEDGER_TAG: f"{copied} sha256:0"}
    aliases = {CHAMPION: champion} if champion else {}
    return is_settled(Chain(entries=entries, **more), MODEL, tags, aliases)


@pytest.mark.parametrize(
    ("entries", "champion", "copied"),
    [([], None, None), ([PROMOTION], "1", 2), ([PROMOTION], "3", 2), ([PROMOTION], "1", 9)],
)
def test_nothing_is_to_be_done_where_mlflow_has_copies_of_all(
    entries: list[dict[str, Any]], champion: str | None, copied: object
) -> None:
    assert look(entries, champion, copied)


@pytest.mark.parametrize(
    ("number", "copied"), [(2, None), (2, 1), (2, "many"), (1, "many"), (1, None)]
)
def test_an_entry_without_a_copy_is_to_be_copied(number: int, copied: object) -> None:
    assert not look([{**PROMOTION, "number": number}], "1", copied)


def test_a_move_that_was_intended_is_to_be_ended() -> None:
    assert not look([PROMOTION], "1", 2, intentions=[{"model": MODEL}])
    assert look([PROMOTION], "1", 2, intentions=[{"model": "of another project"}])


def test_an_alias_of_a_move_that_was_taken_back_is_to_be_put_back() -> None:
    assert not look([PROMOTION, FAILURE], "2", 4, undone=[FAILURE])
    assert look([PROMOTION, FAILURE], "1", 4, undone=[FAILURE])
    assert look([PROMOTION, FAILURE, AGAIN], "2", 6, undone=[FAILURE])


def test_entries_of_an_earlier_release_have_no_number_and_no_copy() -> None:
    old = {name: value for name, value in PROMOTION.items() if name != "number"}
    assert look([old], "1", None)
