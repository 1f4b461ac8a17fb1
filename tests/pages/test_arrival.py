"""What became of what arrived: the numbers add up."""

from __future__ import annotations

import pandas as pd
from night_pages import make_index, make_screening

from image_classification.pages.arrival import SHOWN_NOTES, add_up, list_arrivals


def test_the_parts_of_each_batch_add_up_to_what_was_found() -> None:
    judged = {
        "one": make_screening(10, refused=2, left_out={"txt": 3}),
        "two": make_screening(4, verdict="held"),
    }
    log = pd.concat(
        [make_index("one", ["accepted"] * 7), make_index("two", ["held"] * 4), make_index("x", [])]
    )
    arrivals = list_arrivals(judged, log)
    for arrival in arrivals:
        assert sum(arrival.counts.values()) == arrival.found
    assert [arrival.found for arrival in arrivals] == [13, 4]
    assert arrivals[0].counts == {"accepted": 7, "refused": 2, "duplicates": 1, "left out": 3}
    assert arrivals[1].verdict == "held: a person is asked"
    sums = add_up(arrivals)
    assert sums == {"accepted": 7, "refused": 2, "duplicates": 1, "left out": 3, "held": 4}


def test_of_a_batch_that_a_person_is_asked_about_it_is_told_what_was_measured() -> None:
    numbers = {"blank_share": 1.0, "limit_maximum_blank_share": 0.02}
    held, accepted = (
        list_arrivals(
            {"one": make_screening(1, verdict=verdict, numbers=numbers)}, make_index("one", [])
        )[0]
        for verdict in ("held", "accepted")
    )
    assert [(one.title, one.found) for one in held.readings] == [
        ("Images that show nothing", "100 %")
    ]
    assert accepted.readings == []


def test_other_nights_of_the_index_are_left_out() -> None:
    log = pd.concat([make_index("old", ["accepted"] * 9), make_index("new", ["accepted"])])
    (arrival,) = list_arrivals({"new": make_screening(1)}, log)
    assert arrival.counts == {"accepted": 1}


def test_many_notes_are_cut() -> None:
    record = make_screening(0, notes=[f"note {n}" for n in range(SHOWN_NOTES + 5)])
    (arrival,) = list_arrivals({"one": record}, make_index("one", []))
    assert len(arrival.notes) == SHOWN_NOTES + 1
    assert arrival.notes[-1] == "… and 5 more"
