"""What a run has left half done is ended by whoever looks: for that MLflow is imported."""

from __future__ import annotations

from kedro.framework.context import KedroContext

from image_classification.champion.release import Release
from image_classification.champion.statement import DecisionRun, name_user
from image_classification.commands.console import open_dataset, say
from image_classification.configuration import names
from image_classification.errors import RegistryError


def open_release(context: KedroContext) -> Release:
    """Return what looks at the ledger, and ends what a run has left half done."""
    return Release(
        context.params["registered_model_name"],
        open_dataset(context, names.LEDGER),
        context.params["promotion"],
        DecisionRun("", identity=name_user()),
    )


def look(release: Release) -> None:
    """End what a run has left half done; tell what was done."""
    try:
        for done in release.look():
            say(done, err=True)
    except RegistryError as error:
        say(f"What a run has left half done stays so: {error}", err=True)
