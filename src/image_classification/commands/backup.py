"""Commands that copy the whole storage, and bring a copy back into an empty place."""

from __future__ import annotations

import os
import posixpath
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from image_classification.commands.console import (
    open_context,
    open_dataset,
    report_errors,
    say,
)
from image_classification.configuration import names
from image_classification.configuration.location import find_project_path
from image_classification.configuration.plain import PlainConfiguration
from image_classification.errors import DataError, TrackingError
from image_classification.machine.place import locate

if TYPE_CHECKING:
    from image_classification.datasets.backup import Part

database_option = click.option(
    "--database", help="MLflow's, where a server has it: as its --backend-store-uri.", default=""
)
artifacts_option = click.option(
    "--artifacts", help="Where that server keeps artifacts: a folder or a URL.", default=""
)


@click.command()
@click.argument("to")
@database_option
@artifacts_option
@report_errors
def backup(to: str, database: str, artifacts: str) -> None:
    """Copy ledger, index, images, pixels, keys, and MLflow's database and artifacts to TO.

    TO is a folder or a URL (s3://…) that holds a folder for each copy. A night may run meanwhile:
    ledger and database are copied as they are at one moment. What lies in the incoming folder is
    not copied. Beside the copies lies who is forgotten, which each restore heeds.
    """
    from image_classification.datasets.backup import (
        add_place,
        read_forgotten,
        write_backup,
        write_forgotten,
    )
    from image_classification.tracking import dump_database

    places = _Places(database, artifacts)
    to = locate(to, Path.cwd())
    if f"{to}/".startswith(f"{places.root}/"):
        raise DataError(f"'{to}' lies in the storage: name a place outside of '{places.root}'.")
    listed = open_dataset(open_context(), names.FORGOTTEN_PATIENTS)
    if listed.list_unfinished():
        raise DataError(
            "Somebody is being forgotten: end that first (image-classification forget --resume "
            "--yes), or the copy holds what is removed."
        )
    name = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
    add_place(places.root, to)
    write_forgotten(to, read_forgotten(places.root))
    with TemporaryDirectory() as folder:
        told = write_backup(
            to,
            name,
            places.list_parts(),
            lambda aside: dump_database(places.database, aside),
            Path(folder),
        )
    say(f"Copied {len(told['files'])} files to {posixpath.join(to, name)}")


@click.command()
@click.argument("source", metavar="FROM")
@database_option
@artifacts_option
@report_errors
def restore(source: str, database: str, artifacts: str) -> None:
    """Bring a copy of `backup` back into an empty storage, each file compared with its digest.

    FROM is the folder of one copy, or that of all: then it is the newest. The storage, and MLflow's
    database, are those that the configuration and the environment name now, and have to be empty;
    nothing is written over. Whoever was forgotten since the copy is forgotten again.
    """
    from image_classification.datasets.backup import (
        find_backup,
        read_forgotten,
        read_list,
        restore_part,
        write_forgotten,
    )
    from image_classification.datasets.store import check_store
    from image_classification.tracking import check_target, load_database

    places = _Places(database, artifacts, is_new=True)
    found = find_backup(locate(source, Path.cwd()))
    told = read_list(found)
    places.refuse_filled()
    (copied,) = (path for path in told["files"] if path.startswith("database/"))
    check_target(posixpath.basename(copied), places.database)
    check_store(places.root)
    count = sum(
        restore_part(found, part, told)
        for part in places.list_parts()
        if part.name in told["parts"]
    )
    with TemporaryDirectory() as folder:
        count += restore_part(found, _make_part("database", folder), told)
        (copy,) = Path(folder).iterdir()
        load_database(copy, places.database)
    since, known = read_forgotten(posixpath.dirname(found)), read_forgotten(places.root)
    write_forgotten(places.root, {who: since[who] for who in since.keys() - known.keys()})
    say(f"Restored {count} files from {found}, each as it was copied.")
    _go_on(places.database)


def _go_on(database: str) -> None:
    """Forget again whom the storage lists, and tell whether the ledger agrees.

    Raises:
        TrackingError: MLflow's server does not answer; what is to be done then is said.
    """
    from image_classification.commands.forget import Forgetting
    from image_classification.commands.settling import look, open_release
    from image_classification.tracking import SQLITE

    if database.startswith(SQLITE):  # the services are not started yet
        os.environ["MLFLOW_TRACKING_URI"] = database
    try:
        context = open_context()
    except TrackingError as error:
        raise TrackingError(
            f"{error} All is restored. Once it answers: image-classification forget --resume "
            "--yes (who was forgotten since the copy), and image-classification ledger --verify."
        ) from error
    if open_dataset(context, names.FORGOTTEN_PATIENTS).load().digests:
        Forgetting(context).resume(do=True)
    release = open_release(context)
    look(release)
    for said in release.audit().disagreements:
        say(said)
    say(f"The ledger ends at entry {release.read_head()}.")


def _make_part(name: str, place: str) -> Part:
    from image_classification.datasets.backup import Part

    return Part(name, place)


class _Places:
    """Where the parts of a storage lie, by configuration and environment."""

    def __init__(self, database: str, artifacts: str, *, is_new: bool = False) -> None:
        """Find them; nothing of them is read.

        Args:
            database: of MLflow, "" where the configuration tells it.
            artifacts: of MLflow, "" where they lie beside an SQLite file.
            is_new: there is nothing yet, and so nothing that tells.
        """
        from image_classification.tracking import SQLITE, find_database

        configuration = PlainConfiguration()
        settings = configuration["globals"]
        self.root, self.images = str(settings["storage_root"]), str(settings["images"])
        uri = str(configuration["mlflow"].get("server", {}).get("mlflow_tracking_uri") or "")
        if is_new and not database and uri.startswith("http") and "://" not in self.root:
            database = f"{SQLITE}{self.root}/mlflow/mlflow.db"  # as `make up` keeps it
        self.database = database or find_database(uri, self.root)
        self.artifacts = locate(artifacts, find_project_path()) if artifacts else ""
        if not self.artifacts and self.database.startswith(SQLITE):
            file = Path(self.database.removeprefix(SQLITE))
            self.artifacts = str(file.parent / "artifacts")
        if not self.artifacts:
            raise DataError(
                "Where MLflow's artifacts lie, only who has set its server up can tell: name the "
                "folder or URL by --artifacts, as its --artifacts-destination does."
            )

    def list_parts(self) -> list[Part]:
        """Return the parts, the storage first."""
        parts = [_make_part("storage", self.root), _make_part("artifacts", self.artifacts)]
        if not f"{self.images}/".startswith(f"{self.root}/"):
            parts.append(_make_part("images", self.images))
        return parts

    def refuse_filled(self) -> None:
        """Refuse to write where something lies.

        Raises:
            DataError: something does.
        """
        from image_classification.datasets.backup import find_obstacle

        for part in self.list_parts():
            if found := find_obstacle(part.place):
                raise DataError(
                    f"'{part.place}' is not empty: '{found}' lies there. Nothing was changed. Name "
                    "an empty place (IMAGE_CLASSIFICATION_STORAGE), or move away what is there."
                )
