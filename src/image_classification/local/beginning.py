"""What must hold before a stack is started: the machine will do, and nobody else starts it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from image_classification.local.ports import ServiceError
from image_classification.machine.fitness import Finding, examine
from image_classification.machine.place import find_unusable


@contextmanager
def hold(lock: FileLock, name: str) -> Iterator[None]:
    """Let no other process start a stack meanwhile.

    Args:
        lock: of that stack, not below its folder, which may be removed.
        name: of the stack.

    Raises:
        ServiceError: another process is starting it.
    """
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ServiceError(
            f"The stack '{name}' is just being started by another process. Wait until it runs, or "
            "has given up."
        ) from None
    try:
        yield
    finally:
        lock.release()


def require_fitness(project_path: Path, storage: Path, folder: Path) -> None:
    """Do what the command `doctor` does, as far as no service has to run for it.

    Args:
        project_path: the folder that holds `conf/`.
        storage: the root of the data.
        folder: where the services keep their state.

    Raises:
        ServiceError: this machine will not do.
    """
    faults = list(examine(project_path, str(storage)))
    if fault := find_unusable(folder):
        faults.append(
            Finding("project", f"'{project_path}' cannot be used: {fault}", "Move the checkout.")
        )
    for finding in faults:
        print(f"  {finding}")
    if any(finding.remedy for finding in faults):
        raise ServiceError("Nothing was started: mend what is said above, and try again.")
