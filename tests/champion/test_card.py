"""The card of a version: what a reviewer must find in it, and that it stays readable."""

from __future__ import annotations

import re
from typing import Any

import pytest
from judgement import make_comparison, make_decision, make_entry, make_facts, make_policy

from image_classification import words
from image_classification.champion.card import (
    LONGEST_CARD,
    mark_forgotten,
    mark_replaced,
    render_card,
    render_decision,
    tell_forgotten,
)
from image_classification.gate import judgement, verdict
from image_classification.gate.measure import MEASURES
from image_classification.gate.verdict import MOVES

FACTS = {
    "data_digest": "d1d1",
    "images": "27558",
    "patients": "150",
    "captured_until": "2015-10-03",
    "index_until": "2026-11-22T02:00:00+00:00",
    "batches": "first, second",
    "train_digest": "t1",
    "validation_digest": "v1",
    "test_digest": "e1",
    "decision": "promoted",
}
BREAK = "\n\n"
LINKS = {"MLflow run": "http://mlflow/#/runs/r1", "DAG run": "http://airflow/dags/r/runs/one"}


def promote(**changes: Any) -> dict[str, Any]:
    decision = changes.pop("decision", make_decision(ours={"accuracy": 0.96, "log_loss": 0.17}))
    changes = {"reason": (decision and decision["reason"]) or "so", **changes}
    return make_entry(verdict.PROMOTED, "4", "3", "4", decision=decision, **changes)


def render(entry: dict[str, Any] | None = None, **changes: Any) -> str:
    arguments: dict[str, Any] = {"pictures": {}, "links": LINKS, **changes}
    facts = arguments.pop("facts", FACTS)
    return render_card(entry or promote(), facts, **arguments)


def read_table(text: str, title: str) -> list[list[str]]:
    """Return the cells of the first table after a title, as Markdown reads them."""
    lines = text.split(f"### {title}\n")[1].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        cells = re.split(r"(?<!\\)\|", line.strip())
        assert cells[0] == cells[-1] == ""
        rows.append([cell.strip().replace("\\|", "|") for cell in cells[1:-1]])
    assert {len(row) for row in rows} == {len(rows[0])}, "a row has more or fewer cells"
    assert set(rows[1]) == {"---"}
    return [rows[0], *rows[2:]]


class TestCard:
    def test_it_opens_with_what_was_decided_by_whom_and_why(self) -> None:
        text = render(promote(by="Ada", comment="looked at the smears"))
        assert text.startswith(
            "Champion since 2026-11-22 02:31 UTC.\n\n"
            "**Promoted** by Ada. “looked at the smears” Challenger +1.0 "
            "points (95 % CI 0.2 to 1.8 over 12 patients), exact McNemar p = 0.0065; all other "
            "rules are met.\n\n"
        )

    def test_its_parts_follow_one_another_with_an_empty_line_between(self) -> None:
        text = render(pictures={"ROC curve": "http://mlflow/roc.png"}, history=[promote()])
        lines = text.splitlines()
        titles = [number for number, line in enumerate(lines) if line.startswith("#")]
        assert [lines[number] for number in titles] == [
            "### What it is",
            "### How it was judged",
            "### The rules",
            "### On what data",
            "### What was decided about it",
        ]
        assert all(lines[number - 1] == lines[number + 1] == "" for number in titles)
        assert "\n\n![ROC curve](http://mlflow/roc.png)\n\n" in text
        assert read_table(text, "On what data")[0] == ["data", "value"]

    def test_a_simple_baseline_is_shown_beside_the_two_models(self) -> None:
        forest = {"name": "random forest on thumbnails", "accuracy": 0.81234, "images": 300}
        decision = make_decision() | {"baseline": forest}
        said = (
            "A random forest on thumbnails has an accuracy of 0.8123 on 300 of these images: shown "
            "to compare, and decides nothing."
        )
        assert f"\n\n{said}\n\n" in render(promote(decision=decision))
        assert said in render_decision(decision)
        assert "random forest" not in render()

    def test_a_measure_of_another_release_is_shown_by_its_name(self) -> None:
        decision = make_decision(ours={"mean_reciprocal_rank": 0.5})
        assert "| mean reciprocal rank |" in render(promote(decision=decision))

    def test_rules_are_told_in_the_words_of_the_project(self) -> None:
        words.use(words.Words("Clothes", "garment", "garments", "photo", "photos"))
        text = render()
        assert "worst garment" in text
        assert "validation images of 12 garments" in text
        assert ["garments", "`150`"] in read_table(text, "On what data")
        assert "patient" not in text.replace("12 patients", "")  # of the reason, said before

    def test_it_says_what_the_model_is_how_to_load_it_and_from_which_code(self) -> None:
        text = render()
        assert "`mlflow.pyfunc.load_model('models:/cells/4')`" in text
        assert "Code: `c0ffee`" in text
        assert "Code: `unknown`" in render(promote(git_commit=""))

    def test_every_measure_stands_beside_the_champions(self) -> None:
        rows = read_table(render(), "How it was judged")
        assert rows[0] == ["measure", "this version", "champion v3", "difference"]
        assert ["accuracy", "0.9600", "0.9500", "+1.0 points, better"] in rows
        assert ["AUC", "0.9800", "0.9800", "+0.0 points, ="] in rows
        assert ["log loss", "0.1700", "0.1500", "+0.0200, worse"] in rows
        assert len(rows) == 1 + len(MEASURES)

    def test_sensitivity_says_of_which_class_and_accuracy_is_of_all(self) -> None:
        decision = {**make_decision(), "positive_class": "Para_sitized|"}
        titles = [row[0] for row in read_table(render_decision(decision), "How it was judged")]
        assert "sensitivity (Para_sitized|)" in titles
        assert "accuracy" in titles
        plain = [
            row[0] for row in read_table(render_decision(make_decision()), "How it was judged")
        ]
        assert "sensitivity" in plain

    @pytest.mark.parametrize("theirs", [True, False])
    def test_each_class_has_its_recall_and_precision_the_worst_first(self, theirs: bool) -> None:
        decision = make_decision() if theirs else make_decision(theirs=None)
        measured = {
            f"c{number:02d}": {"recall": number / 20, "precision": 0.5, "f1": 0.5, "images": 9}
            for number in range(15)
        }
        decision["challenger"]["classes"] = measured
        if theirs:
            decision["champion"]["classes"] = dict.fromkeys(measured, measured["c10"])
        text = render_decision(decision)
        lines = text[text.index("| class |") :].splitlines()
        extra = " 0.5000 |" if theirs else ""
        assert lines[2] == f"| c00 | 9 | 0.0000 | 0.5000 |{extra}"
        assert lines[13] == f"| c11 | 9 | 0.5500 | 0.5000 |{extra}"
        assert lines[14] == f"| **all, each class alike** |  | 0.3500 | 0.5000 |{extra}"
        assert lines[16] == "3 classes with a better recall are in `evaluation_report.json`."

    @pytest.mark.parametrize(("error", "mark"), [(0.01, "better"), (0.02, "="), (0.03, "worse")])
    def test_a_smaller_calibration_error_is_better(self, error: float, mark: str) -> None:
        decision = make_decision(ours={"calibration_error": error})
        rows = read_table(render_decision(decision), "How it was judged")
        assert [row[-1].split(", ")[1] for row in rows if row[0] == "calibration error"] == [mark]

    def test_every_rule_stands_with_what_was_found_and_required(self) -> None:
        decision = make_decision(ours={"sensitivity": 0.85}, tests={"low": -0.00061})
        rows = read_table(render_decision(decision), "The rules")
        assert rows[0] == ["rule", "of", "found", "required", "met"]
        assert len(rows) == 1 + len(decision["checks"])
        assert ["floor", "accuracy", "0.95", "at least 0.85", "yes"] in rows
        assert ["improvement", "patients", "12", "at least 10", "yes"] in rows
        assert ["improvement", "mcnemar", "0.0065", "p at most 0.05", "yes"] in rows
        assert ["limit", "size mb", "3.5", "at most 100 MB", "yes"] in rows
        # Found in the unit that is required in.
        bound = ["\N{MINUS SIGN}0.06 points", "lower bound > 0", "**no**"]
        assert ["improvement", "gain over patients", *bound] in rows
        fall = ["9.00 points", "fell by at most 1 point", "**no**"]
        assert ["guardrail", "sensitivity", *fall] in rows

    def test_a_cost_that_is_not_known_is_said_to_be_so(self) -> None:
        decision = judgement.judge(make_comparison(), make_facts(package=None), make_policy())
        rows = read_table(render_decision(decision), "The rules")
        assert ["limit", "load s", "unknown", "at most 60 s", "**no**"] in rows

    def test_the_data_are_named_and_digested(self) -> None:
        rows = read_table(render(), "On what data")
        assert rows[1:] == [
            ["images", "`27558`"],
            ["patients", "`150`"],
            ["captured until", "`2015-10-03`"],
            ["index as of", "`2026-11-22T02:00:00+00:00`"],
            ["batches", "`first, second`"],
            ["digest of all", "`d1d1`"],
            ["digest of train", "`t1`"],
            ["digest of validation", "`v1`"],
            ["digest of test", "`e1`"],
        ]

    def test_data_that_are_not_known_leave_no_empty_table(self) -> None:
        assert "On what data" not in render(facts={})

    def test_plots_are_shown_and_pages_linked(self) -> None:
        text = render(pictures={"ROC curve": "http://mlflow/roc.png"})
        assert "![ROC curve](http://mlflow/roc.png)" in text
        assert "[MLflow run](http://mlflow/#/runs/r1) · [DAG run](http://airflow/" in text

    def test_without_a_server_a_place_is_named_instead_of_linked(self) -> None:
        text = render(links={"MLflow run": "r1, in sqlite:///mlflow.db"})
        assert "MLflow run: `r1, in sqlite:///mlflow.db`" in text
        assert "](" not in text

    def test_what_was_decided_before_is_listed(self) -> None:
        history = [
            make_entry(verdict.KEPT, "4", "3", "3", at="2026-11-20T02:00:00.000+00:00"),
            promote(by="Ada", comment="looked\n\nat"),
        ]
        text = render(history=history)
        assert "- 2026-11-20 02:00: champion kept against v4, by the policy: it is better\n" in text
        assert text.endswith("- 2026-11-22 02:31: v4 promoted, by Ada: looked at")
        assert "What was decided" not in render(history=[])

    def test_a_first_champion_is_compared_with_nobody(self) -> None:
        text = render(promote(decision=make_decision(theirs=None)))
        rows = read_table(text, "How it was judged")
        assert rows[0] == ["measure", "this version"]
        assert ["accuracy", "0.9500"] in rows
        assert "Against no champion, on 400 validation images of 12 patients" in text
        assert "could not be scored" not in text

    def test_a_champion_that_could_not_be_scored_is_not_called_none(self) -> None:
        text = render_decision(make_decision(theirs=None, fault="its files\n\nare | gone"))
        assert "no champion, since it could not be scored" in text
        found = [row for row in read_table(text, "The rules") if row[1] == "champion scored"]
        assert found[0][2:] == ["its files are | gone", "the champion can be scored", "**no**"]

    def test_an_entry_without_a_decision_has_no_tables_of_rules(self) -> None:
        text = render(make_entry(verdict.ROLLED_BACK, "3", "4", "3"))
        assert "How it was judged" not in text
        assert "The rules" not in text
        assert "### On what data" in text

    def test_patients_are_called_unseen_only_where_that_was_found(self) -> None:
        claim = "of 12 patients, none of them trained on."
        assert claim in render_decision(make_decision())
        for facts in (None, make_facts(champion_seen=None), make_facts(challenger_seen=["C1"])):
            decision = judgement.judge(make_comparison(), facts, make_policy())
            assert "of 12 patients.\n" in render_decision(decision)

    def test_a_reason_given_as_comment_is_told_once(self) -> None:
        entry = make_entry(verdict.ROLLED_BACK, "3", comment="misses rings", reason="misses rings")
        assert render(entry).lower().count("misses rings") == 1


class TestReadability:
    def test_a_bar_or_a_line_break_in_a_value_leaves_the_tables_whole(self) -> None:
        facts = make_facts(
            challenger_seen=["C1|x", "C2\nC3"], rolled_back="by A|B on\n\n2026-11-22, | bad |"
        )
        decision = judgement.judge(make_comparison(), facts, make_policy())
        text = render(
            promote(decision=decision), facts={**FACTS, "batches": "a|b, c", "images": "1\n2"}
        )
        rules = read_table(text, "The rules")
        assert [row[2] for row in rules if row[1] == "challenger unseen patients"] == [
            "C1|x, C2 C3"
        ]
        assert [row[2] for row in rules if row[1] == "not rolled back"] == [
            "by A|B on 2026-11-22, | bad |"
        ]
        data = read_table(text, "On what data")
        assert ["batches", "`a|b, c`"] in data
        assert ["images", "`1 2`"] in data

    def test_a_value_too_long_for_a_cell_is_cut_and_its_code_closed(self) -> None:
        decision = judgement.judge(
            make_comparison(), make_facts(challenger_seen=["C" * 64] * 90), make_policy()
        )
        text = render(promote(decision=decision), facts={"batches": "b" * 1900})
        (value,) = [row[1] for row in read_table(text, "On what data") if row[0] == "batches"]
        assert value == f"`{'b' * 120} …`"
        rules = read_table(text, "The rules")
        assert max(len(cell) for row in rules for cell in row) < 130

    def test_a_card_of_everything_fits_where_it_is_kept(self) -> None:
        picture = "http://mlflow.laboratory.example:5000/get-artifact?run_uuid=" + "a" * 60
        text = render(
            pictures=dict.fromkeys(("Patient by patient", "Confusion matrix", "ROC"), picture),
            history=[promote()],
        )
        assert len(text) < LONGEST_CARD
        assert "cut here" not in text

    def test_a_long_history_is_cut_at_its_end_with_a_word_where_the_rest_is(self) -> None:
        history = [promote(comment=f"the {number}th time, " * 8) for number in range(60)]
        text = render(history=history)
        assert len(text) <= LONGEST_CARD
        assert text.startswith("Champion since 2026-11-22 02:31 UTC.\n\n**Promoted**")
        assert "### On what data" in text
        assert "\n- 2026-11-22 02:31: v4 promoted, by the policy: the 0th time" in text
        assert text.endswith("\n\n… cut here: `image-classification explain` tells all of it.")

    def test_it_is_cut_between_two_lines_and_no_earlier_than_it_must(self) -> None:
        history = [promote(comment=f"the {number}th time, " * 8) for number in range(60)]
        ending = "\n\n… cut here: `image-classification explain` tells all of it."
        text = render(history=history)
        lines = [line for line in text.removesuffix(ending).splitlines() if "th time" in line]
        # One more line would not have fitted.
        assert LONGEST_CARD - max(map(len, lines)) - 1 <= len(text) <= LONGEST_CARD
        assert lines[-1].count("th time") == 8

    def test_one_endless_line_is_cut_too(self) -> None:
        text = render(promote(reason="x" * 9000))
        assert len(text) == LONGEST_CARD == 5000

    def test_a_card_is_cut_only_where_it_is_too_long(self) -> None:
        spare = LONGEST_CARD - len(render(promote(reason="x")))
        whole = render(promote(reason="x" * (spare + 1)))
        assert len(whole) == LONGEST_CARD
        assert "cut here" not in whole
        assert "cut here" in render(promote(reason="x" * (spare + 2)))


class TestReplaced:
    ENTRY = make_entry(
        verdict.ROLLED_BACK, "3", "4", "3", by="Ada", reason="misses rings", comment="misses rings"
    )

    def test_a_former_champion_says_by_whom_when_and_why_it_was_replaced(self) -> None:
        assert mark_replaced(render(), self.ENTRY) == (
            "Was champion until 2026-11-22 02:31 UTC, then version 3.\n\n"
            f"Rolled back by Ada: Misses rings.\n\n{render().partition(BREAK)[2]}"
        )

    def test_a_card_of_an_earlier_release_is_marked_in_the_same_way(self) -> None:
        card = "**Promoted** on …\n\n### What it is"
        marked = mark_replaced(card, self.ENTRY)
        assert marked.startswith("Was champion until ")
        assert marked.endswith(f" Misses rings.\n\n{card}")
        old = f"**Replaced by version 2** on … (promoted by Ada). Better.\n\n{card}"
        assert mark_replaced(old, self.ENTRY) == marked

    @pytest.mark.parametrize("event", [name for name in verdict.EVENTS if name not in MOVES])
    def test_what_was_never_champion_says_so_first(self, event: str) -> None:
        entry = make_entry(event, "4", "3", "3", reason="a `b` *c*", by="A_da_ <b>")
        first, *_ = render(entry).partition(BREAK)
        assert first == f"Not in use: {event} on 2026-11-22 02:31 UTC."

    @pytest.mark.parametrize("reason", ["misses rings", "one\n\ntwo\n\nthree", "", "ends well."])
    @pytest.mark.parametrize("description", ["", "**Promoted** on …\n\n### What it is\n\n- x"])
    def test_marking_twice_is_marking_once(self, reason: str, description: str) -> None:
        entry = {**self.ENTRY, "reason": reason}
        once = mark_replaced(description, entry)
        assert mark_replaced(once, entry) == once
        assert once.endswith(f"\n\n{description}")

    def test_the_last_replacement_is_the_one_that_is_told(self) -> None:
        marked = mark_replaced("card\n\nbody", {**self.ENTRY, "reason": "one\n\ntwo"})
        again = mark_replaced(marked, {**self.ENTRY, "version": "7"})
        assert again.startswith("Was champion until 2026-11-22 02:31 UTC, then version 7.")
        assert again.endswith(": Misses rings.\n\ncard\n\nbody")

    def test_a_full_card_stays_within_what_can_be_kept(self) -> None:
        full = render(history=[promote(comment="again " * 9)] * 90)
        marked = mark_replaced(full, self.ENTRY)
        assert len(full) <= LONGEST_CARD
        assert len(marked) <= LONGEST_CARD
        assert mark_replaced(marked, self.ENTRY) == marked


FORGOTTEN = [
    {"patient": "p-1", "at": "2026-11-27T10:00:00", "versions": {"1": ["train"], "2": ["test"]}},
    {"patient": "p-2", "at": "2026-11-28T10:00:00", "versions": {"1": ["test", "train"]}},
]


def test_a_card_tells_whom_a_version_has_seen_who_was_forgotten_since() -> None:
    told = tell_forgotten(FORGOTTEN, "1")
    assert "2 patients that this version has seen: `p-1` on 2026-11-27 (in train), `p-2`" in told
    assert tell_forgotten(FORGOTTEN, "3") == ""
    marked = mark_forgotten("Champion since.\n\n**Promoted**\n\n### What it is", told)
    assert marked == f"Champion since.\n\n**Promoted**\n\n{told}\n\n### What it is"
    assert mark_forgotten(marked, told) == marked
