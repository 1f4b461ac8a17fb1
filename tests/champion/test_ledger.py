"""The ledger: who was champion before, who was rolled back, and the table of it all."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from judgement import make_decision, make_entry

from image_classification.champion import ledger
from image_classification.gate import verdict


def tell(*events: str) -> list[dict[str, Any]]:
    """Return entries out of a story, a second apart.

    ``+2`` promotes version 2, ``<1`` rolls back to it, ``=5`` makes it champion by hand (no entry),
    ``-4`` keeps the champion that version 4 was compared with.
    """
    entries: list[dict[str, Any]] = []
    champion: str | None = None
    for second, (kind, version) in enumerate((event[0], event[1:]) for event in events):
        before, champion = champion, champion if kind == "-" else version
        if kind == "=":
            continue
        event = {"+": verdict.PROMOTED, "<": verdict.ROLLED_BACK, "-": verdict.KEPT}[kind]
        entries.append(
            make_entry(
                event,
                version,
                before,
                champion,
                at=f"2026-11-22T10:00:{second:02}.000+00:00",
                by="Ada" if kind == "<" else "the policy",
                comment=f"reason {second}" if kind == "<" else "",
            )
        )
    return entries


class TestHistory:
    @pytest.mark.parametrize(
        ("events", "champions"),
        [
            ("", ""),
            ("+1", "1"),
            ("+1 -2 -3", "1"),
            ("+1 +2 +3", "1 2 3"),
            # to the previous one, and once more
            ("+1 +2 +3 <2", "1 2"),
            ("+1 +2 +3 <2 <1", "1"),
            ("+1 +2 +3 <1", "1"),
            # a rollback of a rollback is as if nothing had been
            ("+1 +2 +3 <2 <3", "1 2 3"),
            ("+1 +2 +3 <1 <3", "1 2 3"),
            # the night after a rollback
            ("+1 +2 <1 +3", "1 3"),
            # to one taken out before: what came after it is not what led to it
            ("+1 +2 +3 <1 +4 <3", "1 2 3"),
            # to one that never was champion: it takes the place of the bad one
            ("+1 -2 +3 <2", "1 2"),
            ("+1 <2", "2"),
            # by hand
            ("+1 =5 +6", "1 5 6"),
            ("+1 =5 -6", "1 5"),
            ("+1 +2 +3 =1 +4", "1 4"),
            ("+1 =5 <1", "1"),
            ("+1 =5 <3", "1 3"),
            ("=1 +2", "1 2"),
            # the same version a second time
            ("+1 +2 +1 +3", "1 2 1 3"),
            ("+1 +2 +1 <2", "1 2"),
        ],
    )
    def test_the_champions_that_led_to_the_present_one(self, events: str, champions: str) -> None:
        assert ledger.trace_champions(tell(*events.split())) == champions.split()

    @pytest.mark.parametrize(
        ("events", "present", "previous"),
        [
            ("", "1", None),
            ("+1", "1", None),
            ("+1 +2", "2", "1"),
            ("+1 +2 +3 <2", "2", "1"),
            ("+1 +2 +3 <2 <1", "1", None),
            ("+1 +2 +3 <2 <3", "3", "2"),
            # never back to the one that was taken out of use
            ("+1 -2 +3 <2", "2", "1"),
            ("+1 +2 <1 +3", "3", "1"),
            ("+1 <2", "2", None),
            # set by hand since
            ("+1 +2", "9", "2"),
            ("+1 +2 +3", "2", "1"),
            ("+1 +2 +3", "1", None),
            ("+1 =5 +6", "6", "5"),
            ("=1 +2", "2", "1"),
            ("+1 +2 +1", "1", "2"),
        ],
    )
    def test_the_champion_before_the_present_one(
        self, events: str, present: str, previous: str | None
    ) -> None:
        assert ledger.find_previous(tell(*events.split()), present) == previous

    def test_entries_are_told_by_their_time_not_by_their_order_or_name(self) -> None:
        entries = tell("+1", "+2", "+3", "<1", "+9", "+10")
        for order in itertools.permutations(entries):
            assert ledger.trace_champions(order) == ["1", "9", "10"]
        versions = [entry["version"] for entry in ledger.sort_entries(reversed(entries))]
        assert versions == ["1", "2", "3", "1", "9", "10"]

    def test_numbered_entries_follow_those_of_an_earlier_release(self) -> None:
        old, new = tell("+1", "+2")
        # A clock that was put back does not turn the numbers round.
        numbered = [{**new, "number": 2, "at": old["at"]}, {**old, "number": 10}]
        found = ledger.sort_entries([*reversed(numbered), old])
        assert [entry.get("number") for entry in found] == [None, 2, 10]

    def test_a_promotion_that_moved_nothing_adds_nobody(self) -> None:
        again = make_entry(verdict.PROMOTED, "1", "1", "1", at="2026-11-23T00:00:00.000+00:00")
        assert ledger.trace_champions([*tell("+1"), again]) == ["1"]

    def test_what_moved_nothing_is_no_step(self) -> None:
        others = [
            make_entry(event, "7", "1", "1", at=f"2026-11-23T00:00:0{second}.000+00:00")
            for second, event in enumerate(set(verdict.EVENTS) - set(verdict.MOVES))
        ]
        assert len(others) == 8
        assert ledger.trace_champions([*tell("+1"), *others]) == ["1"]

    @given(
        st.lists(
            st.tuples(st.sampled_from("+<-="), st.integers(1, 5)).map(
                lambda pair: f"{pair[0]}{pair[1]}"
            ),
            max_size=12,
        )
    )
    def test_a_history_ends_with_the_present_champion_and_no_one_follows_itself(
        self, events: list[str]
    ) -> None:
        moves = [event for event in events if event[0] != "-"]
        present = moves[-1][1:] if moves else None
        champions = ledger.trace_champions(tell(*events), present)
        assert (champions[-1:] or [None]) == [present]
        assert all(one != other for one, other in itertools.pairwise(champions))
        if present:
            previous = ledger.find_previous(tell(*events), present)
            assert previous == (champions[-2] if len(champions) > 1 else None)


class TestRolledBack:
    def test_a_version_taken_out_of_use_is_told_with_who_when_and_why(self) -> None:
        entries = tell("+1", "+2", "<1")
        assert ledger.find_rollback(entries, "2") == "by Ada on 2026-11-22, reason 2"
        assert ledger.find_rollback(entries, "1") == ""
        assert ledger.find_rollback(entries, "3") == ""

    def test_it_holds_for_all_nights_that_follow(self) -> None:
        assert ledger.find_rollback(tell("+1", "+2", "<1", "-3", "+4", "-2"), "2") != ""

    def test_it_is_lifted_by_putting_the_version_back(self) -> None:
        entries = tell("+1", "+2", "<1", "<2")
        assert ledger.find_rollback(entries, "2") == ""
        assert ledger.find_rollback(entries, "1") == "by Ada on 2026-11-22, reason 3"

    def test_the_last_of_several_counts(self) -> None:
        entries = tell("+1", "+2", "<1", "<2", "<1")
        assert ledger.find_rollback(reversed(entries), "2") == "by Ada on 2026-11-22, reason 4"

    def test_being_replaced_by_a_better_one_is_no_rollback(self) -> None:
        assert ledger.find_rollback(tell("+1", "+2", "+3"), "1") == ""

    def test_versions_between_the_two_are_not_taken_out(self) -> None:
        entries = tell("+1", "+2", "+3", "<1")
        assert ledger.find_rollback(entries, "2") == ""
        assert ledger.find_rollback(entries, "3") != ""


class TestSelection:
    def test_a_version_is_spoken_of_as_challenger_and_as_champion_replaced_or_restored(
        self,
    ) -> None:
        entries = tell("+1", "-2", "+3", "-4", "<1", "-5")

        def select(version: str) -> list[tuple[str, str]]:
            found = ledger.select_version(reversed(entries), version)
            return [(entry["event"], entry["version"]) for entry in found]

        assert select("1") == [("promoted", "1"), ("promoted", "3"), ("rolled back", "1")]
        assert select("3") == [("promoted", "3"), ("rolled back", "1")]
        assert select("2") == [("kept champion", "2")]
        assert select("9") == []

    def test_a_long_reign_is_not_a_long_list(self) -> None:
        entries = tell("+1", *(f"-{version}" for version in range(2, 50)))
        assert len(ledger.select_version(entries, "1")) == 1


class TestTable:
    def test_a_row_tells_the_decision_its_numbers_and_its_traces(self) -> None:
        decision = make_decision(ours={"accuracy": 0.97}, theirs={"accuracy": 0.96, "auc": 0.91})
        entry = make_entry(verdict.PROMOTED, "4", "3", "4", decision=decision, comment="looked at")
        table = ledger.tabulate_entries([entry])
        assert table.columns.tolist()[: len(ledger.COLUMNS)] == ledger.COLUMNS
        row = table.iloc[0].to_dict()
        expected = {
            "at": entry["at"],
            "event": "promoted",
            "version": "4",
            "champion_before": "3",
            "champion_after": "4",
            "by": "the policy",
            "comment": "looked at",
            "mode": "auto",
            "reason": "it is better",
            "gain": 0.01,
            "gain_low": 0.002,
            "gain_high": 0.018,
            "p_value": 0.0065,
            "validation_images": 400,
            "validation_patients": 12,
            "challenger_accuracy": 0.97,
            "champion_accuracy": 0.96,
            "data_digest": "d1",
            "validation_digest": "v1",
            "git_commit": "c0ffee",
            "mlflow_run_id": "r1",
            "airflow_run": "retraining/one",
            "airflow_url": entry["airflow_url"],
            "model": "cells",
            "challenger_auc": 0.98,
            "champion_auc": 0.91,
            "challenger_calibration_error": 0.02,
            "champion_log_loss": 0.15,
        }
        assert {name: row[name] for name in expected} == expected

    def test_rows_are_in_the_order_of_time_and_all_have_the_same_columns(self) -> None:
        decision = make_decision(theirs=None)
        first = make_entry(verdict.PROMOTED, "1", None, "1", decision=decision)
        later = tell("+1", "<1")[1:]
        later[0]["at"] = "2027-01-01T00:00:00.000+00:00"
        table = ledger.tabulate_entries([*later, first])
        assert table["event"].tolist() == ["promoted", "rolled back"]
        assert table[["gain", "p_value", "champion_accuracy"]].isna().all(axis=None)
        assert table["challenger_accuracy"].iloc[0] == 0.95
        assert pd.isna(table["challenger_accuracy"].iloc[1])

    def test_an_empty_ledger_has_its_columns(self) -> None:
        table = ledger.tabulate_entries([])
        assert len(table) == 0
        assert table.columns.tolist() == ledger.tabulate_entries(tell("+1")).columns.tolist()

    def test_the_table_can_be_exported(self, tmp_path: Path) -> None:
        entries = [*tell("+1", "+2", "<1"), make_entry(verdict.KEPT, "3", decision=make_decision())]
        table = ledger.tabulate_entries(entries)
        table.to_parquet(tmp_path / "ledger.parquet")
        assert len(pd.read_parquet(tmp_path / "ledger.parquet")) == 4
