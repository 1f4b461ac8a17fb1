"""The command `image-classification`; `kedro` knows the same verbs.

A verb is imported when it is called: one that looks something up answers in less than the second
that the libraries of the others take.
"""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import click

from image_classification import __version__


class Verb(NamedTuple):
    """A command that is not imported yet.

    Attributes:
        module: of `commands`.
        function: its name there.
    """

    module: str
    function: str

    def load(self) -> click.Command:
        """Import the command."""
        module = import_module(f"image_classification.commands.{self.module}")
        command: click.Command = getattr(module, self.function)
        return command

    def read_summary(self) -> str:
        """Return what it does: the first paragraph of its docstring, read and not imported."""
        path = Path(__file__).with_name(f"{self.module}.py")
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(statement, ast.FunctionDef) and statement.name == self.function:
                text = ast.get_docstring(statement) or ""
                return " ".join(text.partition("\n\n")[0].split())
        raise LookupError(f"commands/{self.module}.py has no function '{self.function}'.")


SECTIONS = {
    "Batches and images": {
        "deliver": Verb("batch", "deliver"),
        "batches": Verb("batch", "batches"),
        "review": Verb("batch", "review"),
        "take-back": Verb("batch", "take_back"),
        "relabel": Verb("label", "relabel"),
        "images": Verb("image", "images"),
        "lineage": Verb("image", "lineage"),
    },
    "The champion at work": {
        "score": Verb("score", "score"),
        "serve": Verb("serve", "serve"),
        "trend": Verb("watch", "trend"),
    },
    "Decisions": {
        "ledger": Verb("decisions", "show_ledger"),
        "explain": Verb("decisions", "explain"),
        "rollback": Verb("decisions", "rollback"),
        "copy-version": Verb("handover", "copy_version"),
        "report": Verb("report", "report"),
        "gate-report": Verb("policy", "gate_report"),
    },
    "Storage and runs": {
        "new-project": Verb("project", "new_project"),
        "check": Verb("check", "check"),
        "forget": Verb("forget", "forget"),
        "backup": Verb("backup", "backup"),
        "restore": Verb("backup", "restore"),
        "doctor": Verb("doctor", "doctor"),
        "profile": Verb("watch", "show_profile"),
    },
    "This program": {
        "completion": Verb("completion", "completion"),
    },
}
"""The verbs, by what a person wants to do."""

VERBS = {name: verb for verbs in SECTIONS.values() for name, verb in verbs.items()}

EXIT_CODES = {
    "0": "It is done, or there was nothing to do.",
    "1": "It could not be done, and one line says why and what to do; or `check`, `doctor` "
    "or `ledger --verify` has found something wrong.",
    "2": "It was called wrongly: an unknown option, a missing argument.",
}


class VerbGroup(click.Group):
    """A group that imports a verb when it is called, and none to list them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the verbs, and of what else belongs to the group."""
        return [*VERBS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; a verb is imported now."""
        if cmd_name not in VERBS:
            return super().get_command(ctx, cmd_name)
        return VERBS[cmd_name].load()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each verb does, section by section."""
        longest = max(map(len, VERBS))
        for section, verbs in SECTIONS.items():
            with formatter.section(section):
                lines = [(name.ljust(longest), verb.read_summary()) for name, verb in verbs.items()]
                formatter.write_dl(lines)
        if others := super().list_commands(ctx):
            with formatter.section("Commands"):
                formatter.write_dl([(name, self._say(ctx, name)) for name in others])

    def _say(self, ctx: click.Context, name: str) -> str:
        command = self.get_command(ctx, name)
        return command.get_short_help_str(200) if command else ""


class Program(VerbGroup):
    """The program `image-classification`."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the exit codes, and how a shell completes what is typed."""
        with formatter.section("Exit codes"):
            formatter.write_dl(list(EXIT_CODES.items()))
        super().format_epilog(ctx, formatter)


@click.group(
    cls=Program,
    name="Image Classification",
)
@click.version_option(__version__, prog_name="image-classification", message="%(prog)s %(version)s")
def commands() -> None:
    """Deliver and score images, answer reviews, correct labels, read and undo decisions."""
