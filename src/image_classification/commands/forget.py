"""The command that forgets a patient."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from image_classification import words
from image_classification.champion.statement import name_user
from image_classification.commands.console import (
    load_entry,
    open_context,
    open_dataset,
    report_errors,
    say,
)
from image_classification.configuration import names
from image_classification.datasets.cache import heed_forgotten
from image_classification.datasets.fault import describe_error
from image_classification.errors import DataError, ImageClassificationError, name_near_misses
from image_classification.text import unify_text

if TYPE_CHECKING:
    import pandas as pd
    from kedro.framework.context import KedroContext

    from image_classification.datasets.forgotten import ForgottenDataset
    from image_classification.intake.scrub import Person

logger = logging.getLogger(__name__)

ELSEWHERE = (
    "Not reached from here: notes and task logs that Airflow keeps (airflow db clean), what was "
    "exported, and backups. Beside those of image-classification backup stands who is forgotten: "
    "image-classification restore heeds it."
)


@click.command()
@click.argument("patient", metavar="[GROUP]", required=False)
@click.option("--reason", default="", help="Why, without the name; kept for ever.")
@click.option("--yes", is_flag=True, help="Do it; without this, what would go is listed.")
@click.option("--resume", is_flag=True, help="End what was begun, and look again for all of them.")
@click.option("--anyway", is_flag=True, help="Although a run has not ended, or was killed.")
@report_errors
def forget(patient: str | None, reason: str, *, yes: bool, resume: bool, anyway: bool) -> None:
    """Remove all that is kept of GROUP, for ever: images, pixels, rows, pictures, examples.

    GROUP is the name of one of those that are never split, such as a person. Without --yes it lists
    what would go. Packages whose golden images or input examples show it are made and signed anew.
    The ledger and the cards tell, by a pseudonym, which versions have seen it; what a network has
    learned stays in it. A later delivery of it is left out. If it is interrupted, run it again, or
    with --resume.
    """
    if resume == bool(patient):
        raise click.UsageError("Give either GROUP or --resume.")
    if patient and not reason.strip():
        raise click.UsageError("--reason is empty: why? It is kept for ever, without the name.")
    forgetting = Forgetting(open_context())
    if yes and not anyway:
        forgetting.refuse_running()
    if resume:
        forgetting.resume(do=yes)
    else:
        forgetting.forget(unify_text(str(patient)), reason, do=yes)
    if not yes:
        say("Nothing was removed. To do it: the same with --yes.")


class Forgetting:
    """Finds and removes what is kept of patients."""

    def __init__(self, context: KedroContext) -> None:
        """Prepare; nothing is looked for yet."""
        from image_classification.champion.forgetting import Memory
        from image_classification.champion.repackage import Repackager
        from image_classification.datasets.purge import Storage
        from image_classification.intake.inspection import compile_pattern, read_patient

        self._context = context
        self._list: ForgottenDataset = open_dataset(context, names.FORGOTTEN_PATIENTS)
        self._model_name = str(context.params["registered_model_name"])
        settings = context.config_loader["globals"]
        self._root = str(settings["storage_root"])
        pattern = compile_pattern(context.params["data_processing"]["name_pattern"])
        self._key = self._list.read_key()
        self._storage = Storage(
            self._root,
            str(settings["images"]),
            str(settings["incoming"]),
            self._key,
            lambda name: read_patient(name, pattern),
        )
        tracking = context.config_loader["mlflow"]["tracking"]
        self._experiment = str(tracking["experiment"]["name"])
        repackager = Repackager(self._list.shelf, self._make_cells, self._note_package)
        self._memory = Memory(self._model_name, self._experiment, repackager)
        self._sought = ("", "")

    def refuse_running(self) -> None:
        """Refuse to remove anything under a night's feet.

        Raises:
            DataError: a run has not ended.
        """
        from image_classification import tracking

        if running := tracking.list_running(self._experiment):
            raise DataError(
                f"{len(running)} runs have not ended (first: {running[0]}): they would write again "
                "what is removed. Wait for their end; if one was killed, add --anyway."
            )

    def forget(self, patient: str, reason: str, *, do: bool) -> None:
        """Forget a patient, or list what would go."""
        from image_classification.champion.pseudonym import hide_patient
        from image_classification.intake.forgotten import digest_patient

        group = words.current().group
        if re.search(rf"(?<!\w){re.escape(patient)}(?!\w)", reason, re.IGNORECASE):
            raise DataError(f"--reason names the {group}: it is kept for ever, so leave it out.")
        digest = digest_patient(patient, self._key)
        is_known = digest in self._list.read_records()
        pseudonym = hide_patient(patient, self._key)
        work = self._list.read_work(digest) or self._survey(patient, pseudonym)
        if not work["images"] and not is_known:
            known = self._storage.list_patients()
            raise DataError(
                f"Nothing is known of a {group} '{patient}'.{name_near_misses(patient, known)} "
                "Known are those of: image-classification images"
            )
        record = {"pseudonym": pseudonym, "at": _tell_now(), "by": name_user(), "reason": reason}
        if do:
            self._list.add(patient, record)
        self._remove(digest, work, do=do)

    def resume(self, *, do: bool) -> None:
        """End what was begun, and forget again those of whom something has come back."""
        from image_classification.champion.pseudonym import hide_patient
        from image_classification.intake.forgotten import digest_patient

        forgotten = self._list.load()
        found = forgotten.select(self._storage.list_patients() | self._memory.list_patients())
        due = {
            digest: work
            for digest in self._list.list_unfinished()
            if (work := self._list.read_work(digest)) is not None
        }
        for patient in sorted(found):
            digest = digest_patient(patient, self._key)
            due.setdefault(digest, self._survey(patient, hide_patient(patient, self._key)))
        for digest, work in due.items():
            self._remove(digest, work, do=do)
        if not due:
            say("Nothing is left of anybody who is forgotten.")

    def _survey(self, patient: str, pseudonym: str) -> dict[str, Any]:
        """Return what is sought: it is written down before the first row goes that tells it."""
        person = self._storage.find_person(patient, pseudonym)
        ids = self._memory.find_images(patient)
        return {
            "token": uuid4().hex,
            "patient": patient,
            "pseudonym": pseudonym,
            "images": sorted(person.image_ids | ids),
            "names": sorted(person.image_names),
            "paths": sorted(person.paths),
            "versions": self._memory.list_versions(patient),
        }

    def _remove(self, digest: str, work: dict[str, Any], *, do: bool) -> None:
        from image_classification.datasets.lease import open_turn
        from image_classification.intake.scrub import Person

        self._sought = (work["patient"], digest)
        person = Person(
            work["patient"],
            work["pseudonym"],
            *(frozenset(work[known]) for known in ("images", "names", "paths")),
        )
        if not do:
            self._tell(work, Counter(kind for kind, _, _ in self._find(person)))
            return
        turn = open_turn(f"{self._root}/index/.lock")
        turn.take()
        try:
            if self._list.read_work(digest) is None:
                self._list.write_work(digest, work)
            done = Counter[str]()
            for kind, place, apply in self._find(person):
                turn.check()
                logger.info("%s: %s", kind, place)
                apply()
                done[kind] += 1
            self._record(digest, self._list.read_work(digest) or work)
            self._list.finish(digest, _tell_now())
            heed_forgotten(self._root)
        finally:
            turn.give_back()
        self._tell(work, done)
        self._tell_entries(person)
        say(f"Forgotten: {work['pseudonym']}. {ELSEWHERE}")
        self._tell_backups(digest)
        if work["versions"]:
            say(
                "Train a version without them: kedro run --pipelines retraining "
                "--params training.force=true"
            )

    def _tell_entries(self, person: Person) -> None:
        """Say which entries of the ledger name the patient: they are chained, and stay."""
        entries = open_dataset(self._context, names.LEDGER).read().entries
        named = [
            str(entry.get("number") or f"of {entry['at'][:19]}")
            for entry in entries
            if person.likely.search(json.dumps(entry, ensure_ascii=False))
        ]
        if named:
            say(
                f"The ledger names the {words.current().group} in entries {', '.join(named)}: "
                "somebody typed it, or an earlier release did. Entries are never changed."
            )

    def _tell_backups(self, digest: str) -> None:
        """Add the patient to the lists beside the copies of this storage, which a restore heeds."""
        from image_classification.datasets.backup import read_places, write_forgotten

        for place in read_places(self._root):
            try:
                write_forgotten(place, {digest: self._list.read_records()[digest]})
            except Exception as error:  # whatever a store that is not to be had raises
                logger.debug("The backups are not told", exc_info=True)
                say(
                    f"The backups at '{place}' are not told ({describe_error(error)}): until the "
                    "next image-classification backup there, a restore would bring the "
                    f"{words.current().group} back."
                )

    def _find(self, person: Person) -> Iterator[tuple[str, str, Any]]:
        yield from self._memory.find(person)
        for change in self._storage.find_changes(person):
            yield change.kind, change.place, change.apply

    def _note_package(self, model_id: str, digests: dict[str, str]) -> None:
        self._list.note_package(self._sought[1], model_id, digests)

    def _record(self, digest: str, work: dict[str, Any]) -> None:
        from image_classification.champion.forgetting import record_forgotten
        from image_classification.champion.journal import Journal

        stated = self._list.read_records()[digest]
        record = {
            "patient": work["pseudonym"],
            "by": stated["by"],
            "reason": stated["reason"],
            "images": len(work["images"]),
            "versions": work["versions"],
            "packages": work.get("packages", {}),
        }
        journal = Journal(open_dataset(self._context, names.LEDGER))
        record_forgotten(self._model_name, journal, record, work["token"])

    def _tell(self, work: dict[str, Any], counts: Counter[str]) -> None:
        said = words.current()
        say(f"{work['pseudonym']}: {said.count_images(len(work['images']))} are known.")
        for kind, count in counts.items():
            say(f"  - {kind}: {count}")
        for version, splits in work["versions"].items():
            say(f"  - version {version} has seen them in: {', '.join(splits)}")
        if closed := self._storage.list_closed():
            say(
                f"Not looked into: {len(closed)} zips (first: {closed[0]}). What has arrived is "
                "left out as it is taken in; remove by hand what was set aside as it came."
            )

    def _make_cells(self, folder: Path, run_id: str) -> pd.DataFrame:
        """Let a packaged network answer images of others; none where that cannot be done."""
        import pandas as pd

        from image_classification import tracking, vision
        from image_classification.intake import index
        from image_classification.pipelines.training.nodes import (
            answer_golden_cells,
            sample_images,
        )

        try:
            images = tracking.read_images(run_id)
            if images is None:
                return pd.DataFrame()
            known = index.select_accepted(load_entry(self._context, names.IMAGE_INDEX))
            others = images["image_id"].isin(known["image_id"])
            others &= images["patient"] != self._sought[0]
            class_names = json.loads((folder / "artifacts" / "class_names.json").read_text())
            batches = load_entry(self._context, names.IMAGE_BATCHES)
            cells = sample_images(batches, images[others], class_names)
            network = vision.load_network(folder / "artifacts" / "network.keras")
            return answer_golden_cells(network, cells, class_names)
        except (ImageClassificationError, OSError, ValueError, KeyError) as error:
            logger.warning("A package gets no other golden %s: %s", words.current().images, error)
            return pd.DataFrame()


def _tell_now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
