"""What a decision rests on, as rows of its page."""

from __future__ import annotations

import pandas as pd
import pytest
from judgement import POSITIVE, make_comparison, make_decision

from image_classification.gate.measure import find_measure
from image_classification.pages import evidence

CALLED = pd.DataFrame({"label": ["a", "a", "b"], "category": ["a", "b", "b"]})


def test_each_measure_says_which_model_is_better() -> None:
    ours = {"accuracy": 0.95, "log_loss": 0.2, "auc": 0.9}
    theirs = {"accuracy": 0.9, "log_loss": 0.1, "auc": 0.9}
    found = evidence.describe_judgement(make_comparison(ours=ours, theirs=theirs), None)
    rows = {row.title: row for row in found.rows}
    tones = {name: rows[find_measure(name).title].tone for name in ours}
    assert tones == {"accuracy": "better", "log_loss": "worse", "auc": ""}
    assert [row["challenger"] for row in found.slices] == sorted(
        row["challenger"] for row in found.slices
    )


def test_every_rule_stands_in_the_group_that_asks_the_same() -> None:
    decision = make_decision()
    groups = evidence.list_rules(decision)
    assert sum(len(group.checks) for group in groups) == len(decision["checks"])
    assert {group.question for group in groups} <= set(evidence.GROUPS.values())
    for group in groups:
        assert group.passed is all(check["passed"] for check in group.checks)
        assert all(bool(check["sentence"]) is not check["passed"] for check in group.checks)


def test_a_run_that_trained_and_judged_nothing_has_no_figures() -> None:
    assert evidence.list_figures(None, {}, POSITIVE) == []


def test_without_a_positive_class_there_is_no_threshold_to_choose() -> None:
    assert evidence.tabulate_thresholds({}, None) == []


def test_a_class_tells_what_it_is_read_as_instead() -> None:
    (found,) = evidence.describe_classes({"challenger": CALLED}, ["a", "b", "c"])
    assert found["confusion"] == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert found["names"] == ["a", "b", "c"]


def test_nested_parameters_have_dots_in_their_names() -> None:
    assert evidence.list_parameters({"b": {"y": None, "x": 1}, "a": [2]}) == [
        ("a", "[2]"),
        ("b.x", "1"),
        ("b.y", "None"),
    ]


def test_a_package_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "PACKAGES", ("no-such-package", "kedro"))
    assert set(evidence.list_packages()) == {"Python", "kedro"}
