"""The verbs of the command."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner
from terminal import call, find_slow_imports

from image_classification import __version__
from image_classification.commands.group import SECTIONS, VERBS, Verb, VerbGroup


def test_every_verb_says_what_it_does() -> None:
    overview = call("--help")
    assert overview.exit_code == 0
    told = " ".join(overview.output.split())
    for section, verbs in SECTIONS.items():
        assert f"\n{section}:\n" in overview.output
        for name, verb in verbs.items():
            assert f"  {name} " in overview.output
            assert verb.read_summary() in told


@pytest.mark.parametrize("name", VERBS)
def test_what_a_verb_says_is_what_its_help_begins_with(name: str) -> None:
    command, said = VERBS[name].load(), VERBS[name].read_summary()
    assert command.name == name
    assert command.get_short_help_str(200) == said
    assert said.endswith(".")


def test_the_exit_codes_are_told() -> None:
    told = call("--help").output.partition("Exit codes:")[2]
    assert [
        line.split()[0] for line in told.splitlines() if line.startswith("  ") and line[2] != " "
    ] == [
        "0",
        "1",
        "2",
    ]
    assert call("no-such-verb").exit_code == 2


def test_the_version_is_told() -> None:
    assert call("--version").output == f"image-classification {__version__}\n"


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_an_overview_imports_no_library(option: str) -> None:
    assert find_slow_imports(option) == set()


def test_another_command_of_a_group_is_told_beside_the_verbs() -> None:
    @click.group(cls=VerbGroup)
    def group() -> None:
        """More."""

    @group.command()
    def other() -> None:
        """Do something else."""

    assert "Do something else." in CliRunner().invoke(group, ["--help"]).output
    assert CliRunner().invoke(group, ["other"]).exit_code == 0


def test_a_verb_without_its_function_is_named() -> None:
    with pytest.raises(LookupError, match=r"commands/batch.py has no function 'deliver_all'"):
        Verb("batch", "deliver_all").read_summary()


def test_kedro_knows_the_same_verbs() -> None:
    from image_classification.cli import cli

    context = click.Context(cli)
    assert set(VERBS) <= set(cli.list_commands(context))
    assert cli.get_command(context, "ledger") is VERBS["ledger"].load()
    assert cli.get_command(context, "airflow") is not None
