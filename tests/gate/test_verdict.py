"""From a verdict to an action, its task and its event."""

from __future__ import annotations

import pytest

from image_classification.errors import ConfigurationError
from image_classification.gate import verdict
from image_classification.gate.verdict import ACTIONS, EVENTS, MOVES, choose_action


@pytest.mark.parametrize(
    ("found", "mode", "action", "task", "event"),
    [
        ("promote", "auto", "promote", "promote_challenger", "promoted"),
        ("promote", "approve", "approve", "ask_approver", "rejected"),
        ("promote", "dry_run", "dry_run", "keep_champion", "dry run"),
        ("keep", "auto", "keep", "keep_champion", "kept champion"),
        ("keep", "approve", "keep", "keep_champion", "kept champion"),
        ("keep", "dry_run", "keep", "keep_champion", "kept champion"),
        ("refuse", "auto", "refuse", "refuse_challenger", "refused"),
        ("refuse", "dry_run", "refuse", "refuse_challenger", "refused"),
    ],
)
def test_verdict_and_mode_choose_the_action(
    found: str, mode: str, action: str, task: str, event: str
) -> None:
    chosen = choose_action(found, mode)
    assert (chosen.name, chosen.task, chosen.event) == (action, task, event)


def test_a_mode_that_does_not_exist_is_refused_before_anything_is_promoted() -> None:
    with pytest.raises(ConfigurationError, match=r"auto, approve, dry_run\. Received: 'ask'"):
        choose_action("promote", "ask")


def test_only_a_promotion_a_rollback_and_another_environment_move_the_champion() -> None:
    assert MOVES == ("promoted", "rolled back", "brought in")
    assert {event.name for event in EVENTS.values() if event.moves} == set(MOVES)


def test_every_action_leaves_an_event_that_has_a_title() -> None:
    assert {action.event for action in ACTIONS.values()} <= set(EVENTS)
    assert {name: event.title.format(version="4") for name, event in EVENTS.items()} == {
        "promoted": "v4 promoted",
        "kept champion": "champion kept against v4",
        "refused": "v4 refused",
        "rejected": "v4 rejected",
        "dry run": "v4 judged in a dry run",
        "lost race": "v4 lost a race",
        "failed verification": "v4 failed its verification",
        "interrupted": "the move to v4 was interrupted, and undone",
        "rolled back": "rolled back to v4",
        "brought in": "v4 brought in from another environment",
        "handed on": "v4 handed on to another environment",
    }
    assert (verdict.PROMOTE, verdict.KEEP, verdict.REFUSE) == ("promote", "keep", "refuse")
