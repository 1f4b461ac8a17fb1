"""What hindsight found, as people read it and as it is kept."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from image_classification.gate import finding
from image_classification.gate.hindsight import OUTCOMES, PastDecision
from image_classification.gate.number import MINUS

NOW = datetime(2026, 3, 16, 3, 0, tzinfo=UTC)
RULE: Any = {"minimum_images": 200, "minimum_patients": 10}


def make_past(event: str = "kept champion", **changes: Any) -> PastDecision:
    past: Any = {
        "run_id": "r1",
        "at": "2026-03-12T02:30:00+00:00",
        "event": event,
        "version": "4",
        "against": "1",
        "since": "2026-03-12T02:00:00+00:00",
        "until": "",
        "judged_patients": [],
    }
    return {**past, **changes}


def tell(
    outcome: str,
    gain: float | None = 0.019,
    low: float | None = 0.011,
    high: float | None = 0.028,
    loss: tuple[int, int] = (0, 0),
    *,
    images: int = 3120,
    **past: Any,
) -> dict[str, Any]:
    judged = {
        "images": images,
        "patients": 31,
        "gain": gain,
        "low": low,
        "high": high,
        "outcome": outcome,
    }
    return finding.make_finding(make_past(**past), judged, loss, NOW, RULE)


def test_a_missed_promotion_says_what_it_cost() -> None:
    found = tell("missed promotion", loss=(4, 59))
    assert found["sentence"] == (
        "kept v1 against v4 on 12 March; on 3,120 images of 31 patients that came later v4 was "
        "better by 1.9 points (1.1 to 2.8): a missed promotion, 4 nights, about 60 cells wrongly "
        "read"
    )
    assert list(found) == finding.FINDING_COLUMNS


def test_a_wrong_promotion_says_by_how_much_it_is_worse() -> None:
    found = tell("wrong promotion", -0.019, -0.028, -0.011, (1, 1), event="promoted")
    assert found["sentence"] == (
        "promoted v4 over v1 on 12 March; on 3,120 images of 31 patients that came later v4 was "
        "worse by 1.9 points (1.1 to 2.8): a wrong promotion, 1 night, about 1 cell wrongly read"
    )


def test_what_is_not_clear_has_its_interval_too() -> None:
    sentence = tell("not clear yet", 0.002, -0.01, 0.014)["sentence"]
    assert sentence.endswith(f"v4 was better by 0.2 points ({MINUS}1.0 to 1.4): not clear yet")


@pytest.mark.parametrize("gain", [0.0, 0.0004])
def test_what_is_as_good_is_said_to_be(gain: float) -> None:
    sentence = tell("right to keep", gain, -0.004, 0.003)["sentence"]
    assert sentence.endswith(f"v4 was as good as v1 ({MINUS}0.4 to 0.3 points): right to keep")


def test_a_version_that_is_a_little_worse_may_be_better() -> None:
    sentence = tell("not clear yet", -0.002, -0.014, 0.01)["sentence"]
    assert sentence.endswith(f"v4 was worse by 0.2 points ({MINUS}1.0 to 1.4): not clear yet")


@pytest.mark.parametrize(
    ("event", "outcome", "opening", "end"),
    [
        ("kept champion", "right to keep", "kept v1 against v4 on", "right to keep"),
        ("refused", "right to keep", "refused v4, kept v1 on", "right to keep"),
        ("rejected", "missed promotion", "rejected v4, kept v1 on", "a missed promotion"),
        ("dry run", "missed promotion", "dry run, kept v1 against v4 on", "a missed promotion"),
        ("promoted", "right promotion", "promoted v4 over v1 on", "a right promotion"),
        ("rolled back", "right rollback", "rolled back from v1 to v4 on", "a right rollback"),
        ("rolled back", "wrong rollback", "rolled back from v1 to v4 on", "a wrong rollback"),
    ],
)
def test_each_decision_is_named_and_each_outcome_said(
    event: str, outcome: str, opening: str, end: str
) -> None:
    sentence = tell(outcome, event=event)["sentence"]
    assert sentence.startswith(opening)
    assert sentence.endswith(f": {end}")


def test_every_choice_has_an_opening() -> None:
    assert set(finding.OPENINGS) == set(OUTCOMES)


def test_the_year_is_told_where_it_is_another() -> None:
    sentence = tell("right to keep", at="2025-12-01T02:30:00+00:00")["sentence"]
    assert sentence.startswith("kept v1 against v4 on 1 December 2025; ")


def test_too_few_images_say_how_many_are_required() -> None:
    sentence = tell("not clear yet", None, None, None, images=180)["sentence"]
    assert sentence == (
        "kept v1 against v4 on 12 March; only 180 images of 31 patients that came later, required "
        "are 200 of 10: not clear yet"
    )
    nothing = tell("not clear yet", None, None, None, images=0)["sentence"]
    assert nothing.endswith("; no image came later that neither was trained on: not clear yet")


def test_a_decision_that_cannot_be_judged_says_why() -> None:
    found = finding.make_unknown(make_past(), "version 4 is gone.", NOW)
    assert list(found) == finding.FINDING_COLUMNS
    assert (found["outcome"], found["gain"]) == ("cannot be told", None)
    assert (found["nights"], found["misread"]) == (0, 0)
    assert found["sentence"] == (
        "kept v1 against v4 on 12 March; hindsight cannot be told: version 4 is gone"
    )


@pytest.mark.parametrize(
    ("count", "told"),
    [(1, "1 cell "), (19, "19 "), (24, "20 "), (996, "1,000 "), (1249, "1,200 ")],
)
def test_an_estimate_is_rounded(count: int, told: str) -> None:
    assert f"about {told}" in tell("missed promotion", loss=(4, count))["sentence"]


# What is kept


def log_of(*found: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(found, columns=finding.FINDING_COLUMNS)


def test_only_what_says_something_else_is_recorded_again() -> None:
    first = tell("not clear yet")
    assert len(finding.list_news([first], log_of())) == 1
    assert len(finding.list_news([first], log_of(first))) == 0
    second = tell("missed promotion")
    assert list(finding.list_news([second], log_of(first))["outcome"]) == ["missed promotion"]
    assert len(finding.list_news([first], log_of(first, second))) == 1
    assert list(finding.list_news([], log_of())) == finding.FINDING_COLUMNS


def test_rows_without_a_number_are_kept_as_numbers_all_the_same() -> None:
    news = finding.list_news([finding.make_unknown(make_past(), "gone", NOW)], log_of())
    assert [str(news[name].dtype) for name in finding.NUMBERS] == ["float64"] * 3


def test_the_last_row_of_a_decision_holds_and_decisions_are_in_their_order() -> None:
    other = {**tell("not clear yet", at="2026-03-11T02:30:00+00:00"), "run_id": "r0"}
    settled = finding.settle_findings(log_of(tell("not clear yet"), other, tell("right to keep")))
    assert list(settled["run_id"]) == ["r0", "r1"]
    assert list(settled["outcome"]) == ["not clear yet", "right to keep"]


def test_the_outcomes_are_counted() -> None:
    found = [tell("missed promotion"), tell("not clear yet"), tell("not clear yet")]
    assert finding.count_outcomes(found) == (
        "looked back on 3 decisions: 2 not clear yet, 1 missed promotion"
    )
    assert finding.count_outcomes(found[:1]) == "looked back on 1 decision: 1 missed promotion"
    assert finding.count_outcomes([]) == "no decision between two versions to look back on"


# What a person is asked


WRONG = tell("wrong promotion", -0.019, -0.028, -0.011, (1, 9), event="promoted")


def test_a_wrong_promotion_of_the_champion_asks_for_the_version_before() -> None:
    regret = finding.find_regret([WRONG], [make_past("promoted")], "4")
    assert regret == WRONG
    assert finding.advise_rollback(WRONG) == (
        "To go back: trigger the DAG `rollback` with version 1 and a reason, or type "
        '`image-classification rollback 1 --reason "…"`. Until then v4 stays champion.'
    )


@pytest.mark.parametrize(
    ("found", "until", "champion"),
    [
        (WRONG, "2026-03-14T02:30:00+00:00", "4"),
        (WRONG, "", "5"),
        (WRONG, "", None),
        ({**WRONG, "outcome": "not clear yet"}, "", "4"),
        ({**WRONG, "outcome": "missed promotion", "event": "kept champion"}, "", "4"),
        ({**WRONG, "outcome": "wrong rollback", "event": "rolled back"}, "", "4"),
    ],
)
def test_nothing_else_asks(found: dict[str, Any], until: str, champion: str | None) -> None:
    assert finding.find_regret([found], [make_past("promoted", until=until)], champion) is None


def test_it_is_news_until_the_day_after_it_was_recorded() -> None:
    yesterday = {**WRONG, "recorded_at": "2026-03-15T23:59:59+00:00"}
    assert finding.is_new(WRONG, log_of())
    assert finding.is_new(WRONG, log_of(WRONG))
    assert not finding.is_new(WRONG, log_of(yesterday))
    assert finding.is_new(WRONG, log_of({**yesterday, "outcome": "not clear yet"}))
    assert finding.is_new(WRONG, log_of({**yesterday, "run_id": "another"}))
