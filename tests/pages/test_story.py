"""A night in a few sentences, whatever became of it."""

from __future__ import annotations

from typing import Any

import pytest
from judgement import CLASSES, make_comparison, make_decision, make_entry, predict

from image_classification import words
from image_classification.gate import verdict
from image_classification.gate.verdict import EVENTS
from image_classification.pages import story
from image_classification.pages.story import NightFacts, describe_mistakes, tell_story

FIRST = make_entry(
    verdict.PROMOTED, "3", None, "3", mlflow_run_id="r0", at="2026-11-20T02:00:00+00:00"
)


def tell(*own: dict[str, Any], outcome: str = "", decision: Any = None) -> story.Story:
    return tell_story(NightFacts("r1", [FIRST, *own], decision, outcome))


def make_own(event: str, **changes: Any) -> dict[str, Any]:
    after = "4" if event in verdict.MOVES else "3"
    return make_entry(event, "4", "3", after, **{"decision": make_decision(), **changes})


def test_a_promotion_says_what_it_replaces_and_how_many_more_are_right() -> None:
    told = tell(make_own(verdict.PROMOTED, decision=make_decision(ours={"accuracy": 0.97})))
    assert (told.headline, told.tone) == ("Version 4 is now in use", story.GOOD)
    assert told.lead.startswith("It replaces version 3: it met all ")
    assert told.version == "4"
    assert told.since == "2026-11-22T02:31:00.123+00:00"
    assert told.why == (
        "It won the comparison. Of 400 cells of 12 patients, version 4 reads 8 more right than "
        "version 3: 388 instead of 380, +1.0 points."
    )


def test_who_approved_a_promotion_is_named() -> None:
    assert tell(make_own(verdict.PROMOTED, by="ana")).why.endswith("ana approved it.")


def test_a_challenger_that_is_not_better_leaves_the_version_since_its_promotion() -> None:
    decision = make_decision(ours={"accuracy": 0.94}, tests={"low": -0.02, "p_value": 0.9})
    told = tell(make_own(verdict.KEPT, decision=decision))
    assert told.headline == "Version 3 stays in use: version 4 is not better enough"
    assert told.tone == story.CALM
    assert "reads 4 fewer right than version 3: 376 instead of 380" in told.lead
    assert "Exact McNemar p = 0.9" in told.lead
    assert told.since == FIRST["at"]


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_of_the_ledger_has_a_headline_and_a_lead(event: str) -> None:
    told = tell(make_own(event))
    assert told.headline.startswith("Version ")
    assert told.lead
    if event not in verdict.MOVES:
        assert told.headline.startswith("Version 3 stays in use: ")


def test_a_rollback_names_the_person_and_the_reason() -> None:
    own = make_entry(
        verdict.ROLLED_BACK, "2", "3", "2", by="ana", comment="misses rings", reason="misses rings"
    )
    told = tell(own)
    assert told.headline == "Version 2 is in use again"
    assert told.why == "ana put it back in place of version 3: misses rings"


def test_a_rejection_says_who_rejected_it_and_why() -> None:
    told = tell(make_own(verdict.REJECTED, by="ana", comment="too few rings"))
    assert told.headline == "Version 3 stays in use: ana rejected version 4"
    assert "“too few rings”" in told.lead


def test_a_night_that_waits_says_for_what() -> None:
    told = tell(outcome="skipped: no image is new: required 1")
    assert told.headline == "Version 3 stays in use: nothing was trained"
    assert told.lead == "No image is new: required 1."


def test_a_failure_says_that_the_version_stays() -> None:
    told = tell(outcome="failed: train_network. The champion was not changed")
    assert told.headline == "The night failed. Version 3 stays in use"
    assert told.tone == story.BAD


def test_a_failure_after_the_promotion_says_both() -> None:
    told = tell(make_own(verdict.PROMOTED), outcome="failed: watch_champion")
    assert told.headline == "Version 4 is now in use. Then the night failed"


def test_a_decision_that_waits_for_a_person_asks_for_one() -> None:
    told = tell(decision=make_decision())
    assert told.headline == "Version 4 is better, and waits for an answer"
    assert told.tone == story.WARN


def test_without_any_champion_nothing_is_in_use() -> None:
    decision = make_decision(theirs=None, ours={"accuracy": 0.5})
    own = make_entry(verdict.KEPT, "1", None, None, decision=decision)
    told = tell_story(NightFacts("r1", [own], decision, ""))
    assert told.headline == "No version is in use yet: version 1 is not good enough"
    assert "0.5000 is below the floor of 0.85" in told.lead
    assert (told.version, told.since) == ("", "")
    assert told.why == "No version has met all rules yet."


def test_equal_models_read_as_many_right() -> None:
    told = tell(make_own(verdict.KEPT))
    assert "version 4 reads as many right as version 3: 380." in told.lead


def test_mistakes_are_told_class_by_class_and_for_the_worst_patient() -> None:
    table = predict({"C1": "0101111111", "C2": "1111111111"})
    assert describe_mistakes(table, CLASSES) == [
        "Of 20 cells of 2 patients it never saw, it reads 2 wrong (10.0 %).",
        "2 of 10 Parasitized are read as Uninfected (20.0 %).",
        "Most mistakes are of patient C1: 2 of 10.",
    ]
    assert describe_mistakes(predict({"C1": "11"}), CLASSES) == [
        "Of 2 cells of 1 patient it never saw, it read none wrong."
    ]


def test_classes_that_are_numbers_are_told_from_their_counts() -> None:
    table = predict({"C1": "0101111111", "C2": "1111111111"})
    digits = dict(zip(CLASSES, ("3", "7"), strict=True))
    table = table.replace({"label": digits, "category": digits})
    assert "2 of 10 '3' are read as '7' (20.0 %)." in describe_mistakes(table, ["3", "7"])


def test_another_project_is_told_of_in_its_own_words() -> None:
    words.use(words.Words("Clothes", "garment", "garments", "photo", "photos"))
    told = tell(make_own(verdict.PROMOTED, decision=make_decision(ours={"accuracy": 0.97})))
    said = [told.why, *describe_mistakes(predict({"C1": "01", "C2": "00"}), CLASSES)]
    assert "Of 400 photos of 12 garments" in said[0]
    assert "garment C2" in said[-1]
    assert not any(word in " ".join(said) for word in ("cell", "patient"))


def test_what_the_ledger_keeps_of_a_version_is_told_where_nothing_newer_is_known() -> None:
    entry = make_own(verdict.KEPT)
    assert story.recall_mistakes(entry, "3")[0].startswith(
        "Of 400 cells of 12 patients it never saw, it read 20 wrong (5.0 %), when it was judged on "
    )
    assert story.recall_mistakes(entry, "2") == []
    assert story.recall_mistakes(make_own(verdict.KEPT, decision=None), "3") == []


def test_a_decision_without_a_champion_has_no_gain_to_tell() -> None:
    assert make_comparison(theirs=None)["tests"] is None
    told = tell(make_own(verdict.REFUSED, decision=make_decision(theirs=None, fault="gone")))
    assert told.headline == "Version 3 stays in use: the comparison was not a fair one"
    assert "The champion could not be scored: gone." in told.lead
