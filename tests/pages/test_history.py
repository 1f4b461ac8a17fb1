"""The page of all nights: every decision, the newest first, one click to its night."""

from __future__ import annotations

from typing import Any

import pytest
from judgement import make_decision, make_entry
from night_pages import RUN, make_trend, promote, read_page

from image_classification.gate import verdict
from image_classification.pages import history
from image_classification.pages.arrival import Arrival
from image_classification.pages.history import (
    list_nights,
    make_record,
    read_time,
    render_history,
)
from image_classification.pages.story import NightFacts, tell_story

ENTRIES = [
    make_entry(
        verdict.PROMOTED, "3", None, "3", mlflow_run_id="r0", at="2026-11-20T02:00:00+00:00"
    ),
    promote(at="2026-11-22T02:00:00+00:00"),
    make_entry(
        verdict.KEPT,
        "5",
        "4",
        "4",
        mlflow_run_id="r2",
        at="2026-11-23T02:00:00+00:00",
        decision=make_decision(ours={"accuracy": 0.9}),
    ),
]


def make_records() -> dict[str, dict[str, Any]]:
    facts = NightFacts("r1", ENTRIES[:2], None, "")
    arrived = [Arrival("b", "joined", {"accepted": 7, "refused": 2}, 9)]
    at = "2026-11-22T02:00:00+00:00"
    waited = {"r9": {**make_record(RUN, at, tell_story(facts), facts, arrived)}}
    waited["r9"] |= {"at": "2026-11-21T02:00:00+00:00", "headline": "nothing was trained"}
    return {"r1": make_record(RUN, at, tell_story(facts), facts, arrived), **waited}


def test_each_night_is_a_line_with_a_link_the_newest_first() -> None:
    nights = list_nights(ENTRIES, make_records())
    assert [night["page"] for night in nights] == ["", "r1.html", "r9.html", ""]
    assert [night["in_use"] for night in nights] == ["4", "4", "4", "3"]
    assert nights[0]["headline"] == "Version 4 stays in use: version 5 is not better enough"
    assert nights[1]["found"] == 9
    assert nights[1]["accepted"] == 7


def test_a_decision_that_is_told_by_its_night_is_not_told_twice() -> None:
    assert len(list_nights(ENTRIES[1:2], make_records())) == 2


def test_the_page_says_what_is_in_use_and_shows_the_champions_through_time() -> None:
    tags, text = read_page(render_history(ENTRIES, make_records(), make_trend()))
    assert "Version 4 is in use, since 22 November 2026" in text
    assert "It won the comparison." in text
    links = [attributes["href"] for tag, attributes in tags if tag == "a"]
    assert "r1.html" in links
    assert "r9.html" in links
    for mark in ("v3", "v4"):
        assert mark in text
    assert len([tag for tag, _ in tags if tag == "svg"]) == 4  # two charts, for desk and phone


def test_a_decision_that_is_damaged_is_told_by_its_name() -> None:
    damaged = make_entry(verdict.KEPT, "5", "4", "4", decision={"tests": 7})
    (night,) = list_nights([damaged], {})
    assert night["headline"] == "Champion kept against v5"
    assert night["lead"] == "it is better"


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        ({}, "it cannot be read"),
        (["headline"], "it cannot be read"),
        ({"at": "2026-11-22T02:00:00+00:00"}, "its 'headline' is missing"),
        (make_records()["r1"] | {"found": "many"}, "its 'found' is damaged"),
        (make_records()["r1"] | {"at": "yesterday"}, "its 'at' is no time"),
    ],
)
def test_a_record_that_is_damaged_costs_the_line_of_its_night_alone(
    damage: Any, fault: str
) -> None:
    records = {**make_records(), "r1": damage, "r7": damage}
    _, text = read_page(render_history(ENTRIES, records, make_trend()))
    assert "nothing was trained" in text  # of the other night
    nights = {night["page"]: night for night in list_nights(ENTRIES, records)}
    said = f"What is kept of this night for this list is damaged: {fault}."
    assert nights["r1.html"]["headline"] == "Version 4 is now in use"  # as the ledger knows it
    assert nights["r1.html"]["lead"].endswith(said)
    assert nights["r7.html"]["headline"] == "Its own page tells what was decided"
    assert nights["r7.html"]["lead"] == said


def test_the_time_of_a_night_is_known_where_the_rest_of_its_record_is_damaged() -> None:
    assert read_time({"at": "2026-11-22T02:00:00+00:00"}) == "2026-11-22T02:00:00+00:00"
    for damage in ({}, {"at": 7}, {"at": None}, ["at"], None):
        assert read_time(damage) == ""


@pytest.mark.parametrize(
    "decision", [{"tests": 7}, {"challenger": {"version": "4"}}, {"images": 1}]
)
def test_a_decision_that_is_damaged_stops_no_page(decision: dict[str, Any]) -> None:
    entries = [*ENTRIES[:1], promote(decision=decision)]
    _, text = read_page(render_history(entries, {}, None))
    assert "Version 4 is in use" in text
    assert "How they did on the newest days It cannot be read" in text


def test_before_the_first_night_it_says_what_to_do() -> None:
    _, text = read_page(render_history([], {}, make_trend(())))
    assert "No version is in use yet" in text
    assert "kedro run --pipelines retraining" in text


def test_old_nights_beyond_the_size_of_a_page_are_counted(monkeypatch: Any) -> None:
    monkeypatch.setattr(history, "MOST_NIGHTS", 2)
    _, text = read_page(render_history(ENTRIES, make_records(), make_trend()))
    assert "2 older ones" in text
