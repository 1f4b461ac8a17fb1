"""The verbs of the command."""

from __future__ import annotations

from terminal import call

from image_classification.commands.group import commands


def test_every_verb_says_what_it_does() -> None:
    overview = call("--help")
    assert overview.exit_code == 0
    for name, command in commands.commands.items():
        assert f"  {name} " in overview.output
        assert command.get_short_help_str(200).endswith(".")
    assert list(commands.commands) == [
        "deliver",
        "batches",
        "review",
        "take-back",
        "relabel",
        "score",
        "serve",
        "check",
        "images",
        "lineage",
        "trend",
        "profile",
        "ledger",
        "explain",
        "rollback",
        "gate-report",
    ]


def test_kedro_knows_the_same_verbs() -> None:
    from image_classification.cli import cli

    assert set(commands.commands) <= set(cli.commands)
