"""Which images a decision is judged again by, what they say, and what it costs to ask them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from judgement import make_entry

from image_classification.gate import hindsight
from image_classification.gate.hindsight import PastDecision
from image_classification.gate.verdict import EVENTS

RULE: Any = {
    "maximum_decisions": 5,
    "maximum_decision_images": 100,
    "maximum_images": 100,
    "minimum_images": 8,
    "minimum_patients": 4,
    "confidence": 0.95,
    "resamples": 200,
    "tolerated_loss": 0.01,
}
NOW = datetime(2026, 3, 16, 3, 0, tzinfo=UTC)


def make_past(**changes: Any) -> PastDecision:
    past: Any = {
        "run_id": "r1",
        "at": "2026-03-12T02:30:00+00:00",
        "event": "kept champion",
        "version": "4",
        "against": "1",
        "since": "2026-03-12T02:00:00.000001+00:00",
        "until": "",
        "judged_patients": ["C9"],
    }
    assert set(changes) <= set(past)
    return {**past, **changes}


def make_images(*rows: tuple[str, str, str], reviewed: str = "") -> pd.DataFrame:
    """Return accepted images: id, patient, first seen."""
    columns = ["image_id", "patient", "first_seen"]
    table = pd.DataFrame(rows, columns=columns, dtype=object)
    path = table["image_id"] + ".png"
    return table.assign(reviewed_at=reviewed, path=path, label="Parasitized")


def make_table(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """Return the images that a version was made from: id, patient, split."""
    return pd.DataFrame(rows, columns=["image_id", "patient", "split"], dtype=object)


NOTHING = make_table()
LATER = "2026-03-13T02:00:00+00:00"


def choose(images: pd.DataFrame, *tables: pd.DataFrame, **changes: Any) -> list[str]:
    chosen = hindsight.choose_later(
        hindsight.date_images(images), make_past(**changes), tables or (NOTHING, NOTHING), 100
    )
    return list(chosen["image_id"])


# Which decisions


def list_past(*entries: dict[str, Any]) -> list[PastDecision]:
    named = [
        {**entry, "mlflow_run_id": f"r{number}", "at": f"2026-03-{number + 1:02d}T02:30:00+00:00"}
        for number, entry in enumerate(entries)
    ]
    return hindsight.list_decisions(named)


@pytest.mark.parametrize("event", ["kept champion", "refused", "rejected", "dry run"])
def test_a_champion_that_stayed_is_a_choice_against_the_challenger(event: str) -> None:
    (found,) = list_past(make_entry(event, "4", before="1", after="1"))
    assert (found["version"], found["against"], found["event"]) == ("4", "1", event)


@pytest.mark.parametrize("event", ["promoted", "rolled back"])
def test_a_move_is_a_choice_against_the_champion_before(event: str) -> None:
    (found,) = list_past(make_entry(event, "4", before="1", after="4"))
    assert (found["version"], found["against"]) == ("4", "1")


@pytest.mark.parametrize(
    "entry",
    [
        make_entry("promoted", "1", before=None, after="1"),
        make_entry("kept champion", "1", before=None, after=None),
        make_entry("kept champion", "1", before="1", after="1"),
        make_entry("lost race", "4", before="1", after="1"),
        make_entry("failed verification", "4", before="1", after="1"),
    ],
)
def test_what_chose_between_no_two_versions_is_left_out(entry: dict[str, Any]) -> None:
    assert list_past(entry) == []


def test_every_event_of_the_ledger_is_a_choice_or_known_to_be_none() -> None:
    none = {"lost race", "failed verification", "interrupted", "brought in", "handed on"}
    assert set(hindsight.OUTCOMES) | none == set(EVENTS)
    assert not set(hindsight.OUTCOMES) & none


def test_a_decision_holds_until_another_version_comes_into_use() -> None:
    found = list_past(
        make_entry("kept champion", "2", before="1", after="1"),
        make_entry("promoted", "3", before="1", after="3"),
        make_entry("kept champion", "4", before="3", after="3"),
        make_entry("rolled back", "1", before="3", after="1"),
    )
    untils = [decision["until"][:10] for decision in found]
    assert untils == ["2026-03-02", "2026-03-04", "2026-03-04", ""]


def test_a_decision_knows_the_data_and_the_patients_that_it_was_made_by() -> None:
    facts = {"challenger_data_until": "2026-02-28T02:00:00+00:00"}
    decision = {"facts": facts, "validation_patients": ["C1", "C2"]}
    (found,) = list_past(make_entry("kept champion", "4", "1", "1", decision=decision))
    assert found["since"] == "2026-02-28T02:00:00+00:00"
    assert found["judged_patients"] == ["C1", "C2"]


@pytest.mark.parametrize("decision", [None, {"facts": None}, {"facts": {}}])
def test_where_the_data_are_not_known_what_came_after_the_decision_counts(decision: Any) -> None:
    (found,) = list_past(make_entry("kept champion", "4", "1", "1", decision=decision))
    assert found["since"] == found["at"]


def test_of_a_run_that_recorded_twice_the_last_counts() -> None:
    entries = [
        {**make_entry("dry run", "4", "1", "1"), "at": "2026-03-12T02:00:00+00:00"},
        {**make_entry("promoted", "4", "1", "4"), "at": "2026-03-12T03:00:00+00:00"},
    ]
    assert [found["event"] for found in hindsight.list_decisions(entries)] == ["promoted"]


# Which images


def test_an_image_that_came_later_of_a_new_patient_counts() -> None:
    assert choose(make_images(("a", "C1", LATER))) == ["a"]


@pytest.mark.parametrize(
    ("seen", "counts"),
    [
        ("2026-03-12T02:00:00.000001+00:00", False),
        ("2026-03-12T02:00:00.000002+00:00", True),
        ("2026-03-12T02:00:00+00:00", False),
        ("2026-03-12T02:00:01+00:00", True),
    ],
)
def test_an_image_that_was_there_to_decide_by_does_not_count(seen: str, counts: bool) -> None:
    assert choose(make_images(("a", "C1", seen))) == ["a"] * counts


def test_an_image_that_was_held_came_when_a_person_accepted_it() -> None:
    before = "2026-03-11T02:00:00+00:00"
    assert choose(make_images(("a", "C1", before), reviewed=LATER)) == ["a"]
    assert choose(make_images(("a", "C1", before), reviewed=before)) == []


@pytest.mark.parametrize("first", [True, False])
def test_no_image_of_a_patient_that_either_was_trained_on_counts(first: bool) -> None:
    images = make_images(("a", "C1", LATER), ("b", "C2", LATER))
    trained = make_table(("x", "C1", "train"))
    assert choose(images, *([trained, NOTHING] if first else [NOTHING, trained])) == ["b"]


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_patient_that_neither_was_trained_on_counts_with_new_images(split: str) -> None:
    images = make_images(("a", "C1", LATER), ("x", "C1", LATER))
    assert choose(images, make_table(("x", "C1", split)), NOTHING) == ["a"]


def test_no_image_of_a_patient_that_was_decided_by_counts() -> None:
    assert choose(make_images(("a", "C9", LATER), ("b", "C1", LATER))) == ["b"]


names = st.sampled_from([f"C{number}" for number in range(6)])
ids = st.sampled_from([f"i{number}" for number in range(12)])
tables = st.lists(st.tuples(ids, names, st.sampled_from(["train", "validation", "test"])))
times = st.sampled_from(["2026-03-11T02:00:00+00:00", "2026-03-12T02:00:00+00:00", LATER])


@given(st.lists(st.tuples(ids, names, times)), tables, tables, st.lists(names))
def test_no_image_that_either_model_has_seen_is_ever_chosen(
    rows: list[Any], ours: list[Any], theirs: list[Any], judged: list[str]
) -> None:
    images = make_images(*{row[0]: row for row in rows}.values())
    chosen = choose(images, make_table(*ours), make_table(*theirs), judged_patients=judged)
    for image in images[images["image_id"].isin(chosen)].to_dict("records"):
        for image_id, patient, split in [*ours, *theirs]:
            assert image["image_id"] != image_id
            assert image["patient"] != patient or split != "train"
        assert image["patient"] not in judged
        assert image["first_seen"] == LATER


def test_the_first_that_came_are_chosen_in_an_order_that_stays() -> None:
    rows = [("c", "C2", LATER), ("a", "C2", LATER), ("b", "C1", LATER)]
    first = ("z", "C3", "2026-03-12T03:00:00+00:00")
    images = hindsight.date_images(make_images(*rows, first))
    chosen = hindsight.choose_later(images, make_past(), [NOTHING, NOTHING], 3)
    assert list(chosen["image_id"]) == ["z", "b", "a"]


def test_images_that_came_while_a_decision_held_are_counted() -> None:
    at = [f"2026-03-{day}T02:30:00+00:00" for day in (12, 13, 14, 15)]
    images = hindsight.date_images(make_images(*((str(n), "C1", at[n]) for n in range(4))))
    assert hindsight.count_read(images, make_past()) == 3
    assert hindsight.count_read(images, make_past(until=at[2])) == 2


# What is scored


def plan(
    *chosen: tuple[PastDecision, list[str]], known: Any = None, most: int = 100
) -> list[tuple[str, str]]:
    table = hindsight.plan_scoring(
        [(past, make_images(*((name, "C1", LATER) for name in names))) for past, names in chosen],
        known or {},
        most,
    )
    assert list(table) == hindsight.SCORING_COLUMNS
    assert list(table["path"]) == [f"{name}.png" for name in table["image_id"]]
    return list(zip(table["version"], table["image_id"], strict=True))


def test_both_versions_answer_each_image_once_and_the_newest_decision_comes_first() -> None:
    older, newer = make_past(), make_past(version="5")
    asked = plan((older, ["a", "b"]), (newer, ["b"]))
    assert asked == [("5", "b"), ("1", "b"), ("4", "a"), ("4", "b"), ("1", "a")]


def test_what_was_answered_before_is_not_asked_again() -> None:
    known = {"4": ["a", "b"], "1": ["a"]}
    assert plan((make_past(), ["a", "b", "c"]), known=known) == [("4", "c"), ("1", "b"), ("1", "c")]
    assert plan((make_past(), ["a"]), known=known) == []


@pytest.mark.parametrize(("most", "images"), [(1, ""), (2, "a"), (3, "a"), (4, "ab"), (9, "abc")])
def test_a_run_scores_no_more_than_it_may_and_both_versions_or_neither(
    most: int, images: str
) -> None:
    expected = [(version, image) for version in ("4", "1") for image in images]
    assert plan((make_past(), ["a", "b", "c"]), most=most) == expected


def test_what_is_left_of_the_limit_goes_to_the_decision_before() -> None:
    asked = plan((make_past(), ["a", "b"]), (make_past(version="5"), ["a"]), most=3)
    assert asked == [("5", "a"), ("1", "a"), ("4", "a")]


def test_without_decisions_nothing_is_scored() -> None:
    assert plan() == []
    assert plan((make_past(), [])) == []


# What they say


def judge(wrong: int, right: int, patients: int = 5, **past: Any) -> dict[str, Any]:
    """Judge by ten images of each patient, of which only one version has some right."""
    rows = [
        (f"C{patient}", "P", "U" if cell < wrong else "P", "U" if cell >= 10 - right else "P")
        for patient in range(patients)
        for cell in range(10)
    ]
    answers = pd.DataFrame(rows, columns=["patient", "label", "version", "against"])
    return hindsight.judge_later(make_past(**past), answers, RULE)


@pytest.mark.parametrize(
    ("event", "better", "worse"),
    [
        ("kept champion", "missed promotion", "right to keep"),
        ("refused", "missed promotion", "right to keep"),
        ("rejected", "missed promotion", "right to keep"),
        ("dry run", "missed promotion", "right to keep"),
        ("promoted", "right promotion", "wrong promotion"),
        ("rolled back", "right rollback", "wrong rollback"),
    ],
)
def test_a_sure_difference_makes_a_decision_right_or_wrong(
    event: str, better: str, worse: str
) -> None:
    assert judge(0, 2, event=event)["outcome"] == better
    assert judge(2, 0, event=event)["outcome"] == worse


def test_it_says_by_how_much_on_what() -> None:
    found = judge(0, 2)
    assert (found["images"], found["patients"]) == (50, 5)
    assert (found["gain"], found["low"], found["high"]) == pytest.approx((0.2, 0.2, 0.2))


@pytest.mark.parametrize(
    ("low", "high", "kept", "promoted"),
    [
        (0.001, 0.02, "missed promotion", "right promotion"),
        (0.0, 0.02, "not clear yet", "right promotion"),
        (-0.01, 0.02, "not clear yet", "right promotion"),
        (-0.0101, 0.0101, "not clear yet", "not clear yet"),
        (-0.02, 0.01, "right to keep", "not clear yet"),
        (-0.02, 0.0, "right to keep", "not clear yet"),
        (-0.02, -0.001, "right to keep", "wrong promotion"),
        (-1e-12, 0.02, "not clear yet", "right promotion"),
        (1e-12, 0.02, "not clear yet", "right promotion"),
    ],
)
def test_the_edges_of_wrong_right_and_not_clear(
    low: float, high: float, kept: str, promoted: str
) -> None:
    assert hindsight.name_outcome("kept champion", low, high, 0.01) == kept
    assert hindsight.name_outcome("promoted", low, high, 0.01) == promoted


def test_a_decision_that_surely_lost_is_wrong_however_little() -> None:
    assert hindsight.name_outcome("kept champion", 0.001, 0.009, 0.01) == "missed promotion"


@pytest.mark.parametrize("patients", [3, 4])
def test_too_few_patients_say_nothing(patients: int) -> None:
    found = judge(0, 2, patients=patients)
    assert found["outcome"] == ("not clear yet" if patients < 4 else "missed promotion")
    assert (found["gain"] is None) == (patients < 4)


@pytest.mark.parametrize("images", [7, 8])
def test_too_few_images_say_nothing(images: int) -> None:
    answers = pd.DataFrame(
        {"patient": [f"C{n}" for n in range(images)], "label": "P", "version": "P", "against": "U"}
    )
    found = hindsight.judge_later(make_past(), answers, RULE)
    assert (found["gain"] is None) == (images < 8)


def test_no_image_says_nothing() -> None:
    answers = pd.DataFrame(columns=["patient", "label", "version", "against"])
    found = hindsight.judge_later(make_past(), answers, RULE)
    assert found == {
        **dict.fromkeys(("gain", "low", "high")),
        "images": 0,
        "patients": 0,
        "outcome": "not clear yet",
    }


# What it cost


def test_a_wrong_decision_costs_the_gain_of_all_that_came_while_it_held() -> None:
    judged = {"outcome": "missed promotion", "gain": 0.019}
    assert hindsight.measure_loss(make_past(), judged, 3120, NOW) == (4, 59)
    replaced = make_past(until="2026-03-14T02:30:00+00:00")
    assert hindsight.measure_loss(replaced, judged, 1000, NOW) == (2, 19)
    wrong = {"outcome": "wrong promotion", "gain": -0.019}
    assert hindsight.measure_loss(make_past(event="promoted"), wrong, 3120, NOW) == (4, 59)


@pytest.mark.parametrize("outcome", ["right to keep", "not clear yet", "right promotion"])
def test_what_was_not_wrong_cost_nothing(outcome: str) -> None:
    judged = {"outcome": outcome, "gain": 0.019}
    assert hindsight.measure_loss(make_past(), judged, 3120, NOW) == (0, 0)
