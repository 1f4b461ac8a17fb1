"""Make a packaged model anew that shows a patient: golden cells, input examples, signature."""

from __future__ import annotations

import base64
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import pandas as pd

from image_classification import tracking
from image_classification.champion import signature
from image_classification.champion.consumer import GOLDEN_CELLS, digest_files
from image_classification.errors import RegistryError, SignatureError
from image_classification.intake.scrub import Person

logger = logging.getLogger(__name__)

EXAMPLES = ("input_example.json", "serving_input_example.json")
"""Files in which MLflow keeps the input example of a model."""

MakeCells = Callable[[Path, str], pd.DataFrame]
"""Returns golden cells for the files of a model, and the MLflow run that has logged it: of other
patients, with what the network answers. No rows where there are no images for it."""


Note = Callable[[str, dict[str, str]], None]
"""Is told which model was made anew, and the digests of its files `before` and `after`."""


class Shelf(Protocol):
    """Where the files of packages lie until they are uploaded."""

    def read(self, model_id: str) -> dict[str, bytes] | None:
        """Return the files that were put aside for a model, or None."""

    def write(self, model_id: str, files: dict[str, bytes]) -> None:
        """Put files aside for a model, all of them or none."""

    def remove(self, model_id: str) -> None:
        """Remove what was put aside for a model."""


class Repackager:
    """Finds packaged models that show a patient, and makes them anew.

    The new files are put aside before the first is uploaded: a model whose upload was cut short
    does not verify, and cannot be read again.
    """

    def __init__(self, shelf: Shelf, make_cells: MakeCells, note: Note) -> None:
        """Prepare; nothing is asked yet.

        Args:
            shelf: where files lie until they are uploaded.
            make_cells: returns other golden cells.
            note: is told of each model that was made anew.
        """
        self._shelf, self._make_cells, self._note = shelf, make_cells, note

    def find(self, model_id: str, person: Person) -> Iterator[tuple[str, str, Callable[[], None]]]:
        """Yield a packaged model, and what makes it anew, if it shows a patient."""
        kind = "packages"
        if self._shelf.read(model_id) is not None:
            yield kind, model_id, lambda: self._upload(model_id)
            return
        with tracking.fetch_model(model_id) as folder:
            if folder is not None and _shows(folder, person):
                yield kind, model_id, lambda: self._make_anew(model_id, person)

    def _make_anew(self, model_id: str, person: Person) -> None:
        with tracking.fetch_model(model_id) as folder, TemporaryDirectory() as aside:
            if folder is None:
                return
            is_signed = _is_whole(folder, model_id)
            copy = Path(aside, "model")
            shutil.copytree(folder, copy)
            (copy / signature.ADDED_BY_DOWNLOAD).unlink(missing_ok=True)
            files = self._renew(copy, tracking.read_source_run(model_id), person)
            if is_signed:
                (copy / signature.SIGNATURE).unlink()
                signature.sign_folder(copy)
                files.append(signature.SIGNATURE)
            digests = {"before": digest_files(folder), "after": digest_files(copy)}
            contents = {name: (copy / name).read_bytes() for name in files}
            self._shelf.write(model_id, {**contents, DIGESTS: json.dumps(digests).encode()})
        self._upload(model_id)

    def _renew(self, folder: Path, run_id: str, person: Person) -> list[str]:
        """Give a model other golden cells and examples; return the names of these files."""
        names = [name for name in (GOLDEN_CELLS, *EXAMPLES) if (folder / name).is_file()]
        cells = self._make_cells(folder, run_id)
        if GOLDEN_CELLS in names:
            if cells.empty:  # those of others that it has are all that is left
                known = pd.read_parquet(folder / GOLDEN_CELLS)
                cells = known[[not person.owns_content(image) for image in known["image"]]]
            cells.to_parquet(folder / GOLDEN_CELLS, index=False)
        for name in EXAMPLES:
            if name in names:
                path = folder / name
                path.write_text(json.dumps(_replace_rows(json.loads(path.read_text()), cells)))
        return names

    def _upload(self, model_id: str) -> None:
        files = self._shelf.read(model_id) or {}
        digests: dict[str, str] = json.loads(files.pop(DIGESTS))
        with TemporaryDirectory() as folder:
            # The signature last: what was cut short is refused, and never taken for whole.
            for name in sorted(files, key=lambda name: name == signature.SIGNATURE):
                path = Path(folder, name)
                path.write_bytes(files[name])
                tracking.attach_file(model_id, path)
        with tracking.fetch_model(model_id) as fetched:
            if fetched is None or digest_files(fetched) != digests["after"]:
                raise RegistryError(
                    f"Model {model_id} was made anew, and is not what was uploaded. Run this again."
                )
        self._note(model_id, digests)
        self._shelf.remove(model_id)


DIGESTS = "digests"


def _is_whole(folder: Path, model_id: str) -> bool:
    """Return whether a model carries a signature, and is what was signed: only then it is again."""
    if not (folder / signature.SIGNATURE).is_file():
        return False
    try:
        signature.check_folder(folder, f"Model {model_id}")
    except SignatureError as error:
        logger.warning("%s It is not signed again.", error)
        return False
    return True


def _shows(folder: Path, person: Person) -> bool:
    shown: list[bytes] = []
    golden = folder / GOLDEN_CELLS
    if golden.is_file():
        shown += pd.read_parquet(golden, columns=["image"])["image"].tolist()
    for name in EXAMPLES:
        if (folder / name).is_file():
            shown += _list_images(json.loads((folder / name).read_text()))
    return any(map(person.owns_content, shown))


def _list_images(example: Any) -> list[bytes]:
    """Return the images in an input example, as MLflow keeps one."""
    table = example.get("dataframe_split", example)
    if "image" not in table.get("columns", ()):  # somebody else's model
        return []
    place = table["columns"].index("image")
    return [base64.b64decode(row[place]) for row in table["data"]]


def _replace_rows(example: Any, cells: pd.DataFrame) -> Any:
    """Return an input example, as MLflow keeps one, with other images in it."""
    table = example.get("dataframe_split", example)
    columns = table["columns"]
    rows = [
        [base64.encodebytes(value).decode() if isinstance(value, bytes) else value for value in row]
        for row in cells[columns].itertuples(index=False, name=None)
    ]
    table["data"] = rows
    return example
