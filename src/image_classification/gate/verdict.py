"""From a verdict to what is done, recorded and shown: one place for the words.

A comparison gets a *verdict*; verdict and mode of the policy choose an *action*; an action is
carried out by one *task*, and leaves one *event* in the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass

from image_classification.errors import ConfigurationError

PROMOTE, KEEP, REFUSE = "promote", "keep", "refuse"
"""Verdicts. Keep: a fair comparison that the challenger did not win. Refuse: not a fair one."""

AUTO, APPROVE, DRY_RUN = "auto", "approve", "dry_run"
"""Modes of the policy: what follows a verdict to promote."""


@dataclass(frozen=True)
class Event:
    """What has come of a challenger, as the ledger and the version's tag `decision` name it.

    Attributes:
        name: as it is recorded.
        title: what was decided about which version, with a place for `version`.
        moves: it moves the champion.
    """

    name: str
    title: str
    moves: bool = False


PROMOTED, KEPT, REFUSED, REJECTED = "promoted", "kept champion", "refused", "rejected"
NOT_MOVED = "dry run"
LOST_RACE, UNVERIFIED, ROLLED_BACK = "lost race", "failed verification", "rolled back"
INTERRUPTED = "interrupted"
BROUGHT_IN, HANDED_ON = "brought in", "handed on"
"""A version of another environment becomes champion of this one, and the other way round."""

EVENTS = {
    event.name: event
    for event in (
        Event(PROMOTED, "v{version} promoted", moves=True),
        Event(KEPT, "champion kept against v{version}"),
        Event(REFUSED, "v{version} refused"),
        Event(REJECTED, "v{version} rejected"),
        Event(NOT_MOVED, "v{version} judged in a dry run"),
        Event(LOST_RACE, "v{version} lost a race"),
        Event(UNVERIFIED, "v{version} failed its verification"),
        Event(INTERRUPTED, "the move to v{version} was interrupted, and undone"),
        Event(ROLLED_BACK, "rolled back to v{version}", moves=True),
        Event(BROUGHT_IN, "v{version} brought in from another environment", moves=True),
        Event(HANDED_ON, "v{version} handed on to another environment"),
    )
}
"""By name. `rejected` is a person's answer, or nobody's in time."""

FAILURES = (LOST_RACE, UNVERIFIED, INTERRUPTED)
"""Names of the events of a move that did not hold."""

TAKEN_BACK = (UNVERIFIED, INTERRUPTED)
"""Those after which the alias is put back."""

MOVES = tuple(event.name for event in EVENTS.values() if event.moves)
"""Names of the events that move the champion."""


@dataclass(frozen=True)
class Action:
    """What follows a verdict.

    Attributes:
        name: of the action.
        event: what the ledger says where the champion is kept, or has moved.
        task: the task of a DAG that carries it out.
        announcement: what the log says as it is chosen.
    """

    name: str
    event: str
    task: str
    announcement: str


ACTIONS = {
    action.name: action
    for action in (
        Action("promote", PROMOTED, "promote_challenger", "The challenger is promoted"),
        Action(
            "approve",
            REJECTED,  # unless the person approves
            "ask_approver",
            "A person is asked whether the challenger is promoted",
        ),
        Action("keep", KEPT, "keep_champion", "The champion is kept"),
        Action("dry_run", NOT_MOVED, "keep_champion", "Dry run: the challenger would be promoted"),
        Action("refuse", REFUSED, "refuse_challenger", "The comparison is refused"),
    )
}
"""By name."""

_ACTION_OF_MODE = {AUTO: "promote", APPROVE: "approve", DRY_RUN: "dry_run"}


def choose_action(verdict: str, mode: str) -> Action:
    """Return what follows a verdict under a mode of the policy.

    Raises:
        ConfigurationError: there is no such mode.
    """
    if verdict != PROMOTE:
        return ACTIONS[verdict]
    if mode not in _ACTION_OF_MODE:
        raise ConfigurationError(
            f"promotion.mode: allowed are {', '.join(_ACTION_OF_MODE)}. Received: {mode!r}."
        )
    return ACTIONS[_ACTION_OF_MODE[mode]]
