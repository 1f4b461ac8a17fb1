"""What is measured of a batch, in words: nothing a person reads is the name of a column."""

from __future__ import annotations

import pytest
from shipped import read_shipped

from image_classification import words
from image_classification.intake.measure import (
    HEADINGS,
    LIMIT,
    MEASURES,
    USUAL,
    read_measures,
    tabulate_measures,
)

LIMITS: dict[str, float] = read_shipped("data_processing")["screening"]
NUMBERS = {
    **{f"limit_{name}": limit for name, limit in LIMITS.items()},
    **{one.name: 0.0 for one in MEASURES},
    f"{USUAL}disagreement_share": 0.1,
    f"{USUAL}contradiction_share": 0.01,
}


def test_every_limit_of_the_screening_has_a_title() -> None:
    limited = {name.removeprefix("maximum_") for name in LIMITS if name.startswith("maximum_")}
    assert limited == {one.name for one in MEASURES}
    for one in MEASURES:
        assert one.title[0].isupper()
        assert "_" not in one.title


def test_a_number_has_its_unit_and_what_is_usual() -> None:
    found = read_measures(NUMBERS | {"look_distance": 3.14, "strange_share": 0.4})
    told = {one.name: reading for one, reading in zip(MEASURES, found, strict=True)}
    look, strange, blank = (
        told[name] for name in ("look_distance", "strange_share", "blank_share")
    )
    assert (look.found, look.usual, look.limit) == ("3.1 times", "up to 1.0 times", "2.0 times")
    assert (strange.found, strange.usual) == ("at least 40 %", "up to 1.0 %")
    assert (blank.found, blank.usual, blank.limit) == ("0 %", "none", "2.0 %")
    assert [name for name, reading in told.items() if reading.is_beyond] == [
        "look_distance",
        "strange_share",
    ]
    assert str(strange).endswith(": at least 40 % (usual up to 1.0 %, limit 15 %)")


def test_a_limit_of_labels_rises_with_what_is_usual() -> None:
    numbers = NUMBERS | {"disagreement_share": 0.4, f"{USUAL}disagreement_share": 0.3}
    (found,) = (one for one in read_measures(numbers) if one.usual == "up to 30 %")
    assert (found.limit, found.is_beyond) == ("45 %", False)


def test_what_was_not_measured_is_left_out() -> None:
    assert read_measures({}) == []
    assert tabulate_measures([]) == []
    alone = {"blank_share": 1.0, f"{LIMIT}blank_share": 0.02}
    table = tabulate_measures(read_measures(alone))
    assert len(table) == 3
    assert "| **100 %**  | none  | 2.0 % |" in table[2]


def test_a_table_is_in_the_words_of_the_project_and_its_columns_stand_in_line() -> None:
    words.use(words.Words(group="leaf", groups="leaves"))
    head, rule, *rows, empty, told = tabulate_measures(read_measures(NUMBERS))
    assert [cell.strip() for cell in head.strip("|").split("|")] == list(HEADINGS)
    assert {len(line) for line in (head, rule, *rows)} == {len(head)}
    assert empty == ""
    assert "95 % of the known leaves keep" in told
    assert not any("patient" in line or "_" in line for line in rows)


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.0, "0 %"), (0.004, "0.4 %"), (0.08, "8.0 %"), (0.28, "28 %"), (1, "100 %")],
)
def test_a_small_share_has_a_decimal(share: float, said: str) -> None:
    assert MEASURES[0].format(share) == said
