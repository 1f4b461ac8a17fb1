"""What a person is told of each batch is what the rules over tables say."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pandas as pd

from image_classification.intake import index
from image_classification.intake.correction import REVIEW, foresee
from image_classification.intake.overview import Overview, Row, survey_batches
from image_classification.intake.proposal import find_contradictions, find_open, select_opposed
from image_classification.intake.status import read_statuses

STATUSES = [index.ACCEPTED, index.HELD, index.REJECTED, index.CONFLICT, index.PROPOSED]


def draw_laboratory(number: int) -> tuple[list[Row], dict[str, Any]]:
    """Draw a log in which files, contents, labels and statements collide in every way."""
    drawn = random.Random(number)  # noqa: S311
    rows, own = [], f"{number}-"
    for place in range(drawn.randrange(1, 25)):
        batch, image = f"{own}{drawn.choice('abc')}", f"{own}{drawn.choice('vwxyz')}"
        stated = drawn.random() < 0.2
        rows.append(
            Row(
                image_id=image,
                path=f"{batch}/{image}{drawn.randrange(2)}.png",
                batch=batch,
                label=drawn.choice(["p", "u", ""] if stated else ["p", "u"]),
                status=index.STATED if stated else drawn.choice(STATUSES),
                first_seen=f"2026-01-{drawn.randrange(1, 4):02}",
                reviewed_by=drawn.choice(["", "Ada"]),
                review_reason="",
                reviewed_at=f"t{place}" if stated else "",
            )
        )
    records = {
        f"{own}record {place}": {
            "at": drawn.choice([row.reviewed_at for row in rows] + ["u1", "u2"]) or "u3",
            "by": "Ada",
            "reason": "seen",
            "how": REVIEW,
            "batch": "",
            "labels": [
                {"image_id": row.image_id, "path": row.path, "before": "", "after": row.label}
                for row in drawn.sample(rows, min(2, len(rows)))
            ],
        }
        for place in range(drawn.randrange(3))
    }
    return rows, records


def survey_tables(rows: list[Row], records: dict[str, Any]) -> dict[str, Overview]:
    """Do the same by the rules over tables."""
    log = pd.DataFrame(rows, columns=list(Row._fields), dtype=object)
    settled = index.settle_index(log)
    files = log[log["status"] != index.STATED].drop_duplicates("path", keep="last")
    statuses, counted = read_statuses(log), Counter(files["batch"])
    opposed = Counter(select_opposed(files, settled)["batch"])
    asked = Counter(find_open(foresee(log, records))["batch"])
    paired = Counter(find_contradictions(log)["batch"])
    return {
        batch: Overview(
            status=statuses[batch],
            files=counted[batch],
            statuses=Counter(settled.loc[settled["batch"] == batch, "status"]),
            opposed=opposed[batch],
            asked=asked[batch],
            paired=paired[batch],
        )
        for batch in statuses
    }


def test_rows_and_tables_say_the_same() -> None:
    rows: list[Row] = []
    records: dict[str, Any] = {}
    for number in range(60):
        own_rows, own_records = draw_laboratory(number)
        rows += own_rows
        records |= own_records
    expected = survey_tables(rows, records)
    assert survey_batches(rows, records) == expected
    # It would say nothing of what no log holds.
    for name in ("opposed", "asked", "paired"):
        assert any(getattr(each, name) for each in expected.values())
    found = {status for each in expected.values() for status in each.statuses}
    assert found == set(STATUSES[:-1])


def test_an_empty_log_has_no_batches() -> None:
    assert survey_batches([], {}) == {}
