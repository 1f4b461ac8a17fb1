"""The command that lets a shell complete what is typed, and what it completes."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class

from image_classification.commands.lookup import Lookup

PROGRAM = "image-classification"
VARIABLE = "_IMAGE_CLASSIFICATION_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    r"""Print what lets SHELL complete commands, options, versions and batches.

    \b
    bash: eval "$(image-classification completion bash)"     in ~/.bashrc
    zsh:  eval "$(image-classification completion zsh)"      in ~/.zshrc
    fish: image-classification completion fish | source      in ~/.config/fish/config.fish
    """
    from image_classification.commands.group import commands  # it imports this

    found = get_completion_class(shell)
    if found is not None:
        click.echo(found(commands, {}, PROGRAM, VARIABLE).source())


def complete_version(
    ctx: click.Context,  # noqa: ARG001
    param: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem]:
    """Return the versions that something was decided about; none where they cannot be read."""
    try:
        lookup = Lookup()
        entries = [one for one in lookup.ledger.read().entries if one["model"] == lookup.model_name]
    except Exception:  # noqa: BLE001 - nobody asked for anything yet
        return []
    said = {entry["version"]: entry["event"] for entry in entries}
    return [
        CompletionItem(version, help=event)
        for version, event in said.items()
        if version.startswith(incomplete)
    ]


def complete_batch(
    ctx: click.Context,  # noqa: ARG001
    param: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem]:
    """Return the batches that were taken in; none where they cannot be read."""
    try:
        names = Lookup().list_batches()
    except Exception:  # noqa: BLE001 - nobody asked for anything yet
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
