"""A decision in a few aligned lines."""

from __future__ import annotations

from image_classification.gate.summary import SHOWN, summarise_decision

CHALLENGER = {"version": "2", "metrics": dict.fromkeys(SHOWN, 0.97366)}


def test_both_models_stand_below_one_another() -> None:
    champion = {"version": "1", "metrics": {SHOWN[0]: 0.9578}}
    lines = summarise_decision({"challenger": CHALLENGER, "champion": champion})
    assert len(set(map(len, lines))) == 1
    assert lines[0].split()[-len(SHOWN) :] == list(SHOWN)
    assert lines[1].split() == ["challenger,", "version", "2", *["0.9737"] * len(SHOWN)]
    assert lines[2].split() == ["champion,", "version", "1", "0.9578", *["-"] * (len(SHOWN) - 1)]


def test_a_first_champion_stands_alone() -> None:
    assert len(summarise_decision({"challenger": CHALLENGER, "champion": None})) == 2
