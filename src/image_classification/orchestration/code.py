"""One DAG run, one code: no task goes on with what another deployment has begun."""

from __future__ import annotations

from typing import Any

from kedro.framework.context import KedroContext
from kedro.io import DataCatalog

from image_classification.configuration import names
from image_classification.configuration.plain import digest_configuration
from image_classification.errors import CodeChangedError
from image_classification.machine.code import CODE

REMEDY = (
    "Nothing was done. Clear the whole run, open_run and all tasks after it, so that one "
    "deployment does all of it; if it has logged its model by now, trigger a new run. Or put back "
    "what the run began with, and clear this task."
)


def record_code(context: KedroContext) -> None:
    """Write down which package and which configuration a run begins with, in its folder.

    Raises:
        CodeChangedError: this process holds modules of another package than the one on the disk.
    """
    _open(context).save(names.RUN_CODE, _read_code(context))


def check_code(context: KedroContext) -> None:
    """Check that a task has the package and the configuration that its run began with.

    A run that an earlier release began has written none down, and goes on.

    Raises:
        CodeChangedError: it has others; or this process holds modules of two packages.
    """
    catalog, found = _open(context), _read_code(context)
    if not catalog.exists(names.RUN_CODE):
        return
    begun = catalog.load(names.RUN_CODE)
    changed = [what for what, digest in found.items() if begun.get(what) != digest]
    if changed:
        described = ", ".join(
            f"{what} {found[what][:12]}, not {str(begun.get(what))[:12]}" for what in changed
        )
        raise CodeChangedError(
            f"The {' and the '.join(changed)} of this task is not what the run began with "
            f"({described}): something was deployed meanwhile, or this worker lacks it. {REMEDY}"
        )


def _read_code(context: KedroContext) -> dict[str, str]:
    if CODE.is_mixed:
        raise CodeChangedError(
            f"The files of the package at {CODE.folder} have changed since this worker imported "
            "them: its tasks would run modules of both. Nothing was done. Restart the workers (the "
            "scheduler, where it runs the tasks itself), and clear this task."
        )
    loader: Any = context.config_loader
    return {
        "package": CODE.digest(),
        "configuration": digest_configuration(loader.conf, context.env),
    }


def _open(context: KedroContext) -> DataCatalog:
    # The whole catalog would import the types of all entries.
    entry = context.config_loader["catalog"][names.RUN_CODE]
    return DataCatalog.from_config({names.RUN_CODE: entry})
