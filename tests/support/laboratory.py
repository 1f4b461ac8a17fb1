"""A laboratory in a folder: batches arrive, the pipelines run over the project's catalog."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from samples import fill_folder

from image_classification.intake.index import settle_index
from image_classification.intake.tally import tally_batch
from image_classification.pipelines import data_processing, review

PROJECT = Path(__file__).resolve().parents[2]
ROOT = "/laboratory"


@cache
def _read_configuration() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return catalog and parameters of the environment `test`, for a storage root `ROOT`."""
    from image_classification.configuration.loader import LOADER_ARGUMENTS, ReadOnceConfigLoader

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGE_CLASSIFICATION_STORAGE", ROOT)
        for name in ("INCOMING", "IMAGES", "INFERENCE"):
            patch.delenv(f"IMAGE_CLASSIFICATION_{name}", raising=False)
        patch.chdir(PROJECT)
        loader = ReadOnceConfigLoader(str(PROJECT / "conf"), env="test", **LOADER_ARGUMENTS)
        return loader["catalog"], loader["parameters"]


def read_parameters() -> dict[str, Any]:
    """Return `data_processing` of the environment `test`."""
    return copy.deepcopy(_read_configuration()[1]["data_processing"])


class Laboratory:
    """A storage root. Nights pass over it without Airflow, MLflow or a Kedro session."""

    def __init__(self, storage: Path) -> None:
        self.storage = storage
        self.incoming = storage / "incoming"
        self.size_px = 8
        self.champion: Any = None
        self.parameters = read_parameters()
        self.parameters["screening"]["minimum_known_patients"] = 1_000_000

    def copy(self, storage: Path) -> Laboratory:
        """Return a laboratory of its own where all that has happened in this one has happened."""
        shutil.copytree(self.storage, storage, dirs_exist_ok=True)
        return Laboratory(storage)

    def deliver(
        self, batch: str, files: Mapping[str, bytes], *, ready: bool = True, **more: str
    ) -> Path:
        """Put files, by their path in the batch, into the incoming folder."""
        folder = self.incoming / batch
        fill_folder(folder, files)
        for name, content in more.items():
            (folder / name.replace("_csv", ".csv")).write_text(content)
        if ready:
            (folder / "_READY").touch()
        return folder

    def catalog(self, **entries: Any) -> DataCatalog:
        """Return the project's catalog over this storage, MLflow left out."""
        config = json.loads(
            json.dumps(_read_configuration()[0]).replace(ROOT, self.storage.as_posix())
        )
        config = {
            name: entry.get("dataset", entry)
            for name, entry in config.items()
            if not name.startswith("_")
        }
        catalog = DataCatalog.from_config(config)
        catalog["open_champion"] = MemoryDataset(lambda: self.champion, copy_mode="assign")
        catalog["params:data_processing"] = self.parameters
        catalog["params:image_size_px"] = self.size_px
        for name, entry in entries.items():
            catalog[name.replace("params_", "params:")] = entry
        return catalog

    def take_in(self, *nodes: str) -> dict[str, Any]:
        """Run `data_processing`, or some of its nodes; return the report of the screening."""
        pipeline = data_processing.create_pipeline()
        pipeline = pipeline.only_nodes(*nodes) if nodes else pipeline
        catalog = self.catalog()
        SequentialRunner().run(pipeline, catalog)
        report: dict[str, Any] = catalog.load("intake_report") if not nodes else {}
        return report

    def answer(
        self,
        batch: str,
        answer: str,
        by: str = "Ada",
        reason: str = "looked at",
        about: str = "batch",
    ) -> None:
        """Run `review`. The sheet is drawn where there is no answer yet, for the person to see."""
        given = {"batch": batch, "about": about, "answer": answer, "by": by, "reason": reason}
        catalog = self.catalog(params_review=given)
        catalog["params:review.batch"] = batch
        catalog["params:review.about"] = about
        if answer:  # drawing it takes longer than all the rest
            catalog["review_sheet"] = MemoryDataset(copy_mode="assign")
        SequentialRunner().run(review.create_pipeline(), catalog)

    def review(
        self, batch: str, answer: str, at: str = "2026-11-22T10:00:00+00:00", by: str = "Ada"
    ) -> None:
        """Record an answer of a given time, as `review` does, without its pictures."""
        record = {"batch": batch, "answer": answer, "by": by, "reason": "looked at", "at": at}
        self.catalog().save("batch_reviews", {f"{at.replace(':', '')}-{batch}": record})

    def log(self) -> pd.DataFrame:
        return self.catalog().load("image_index")

    def index(self) -> pd.DataFrame:
        """Return the index as it stands, by path."""
        return settle_index(self.log()).set_index("path", drop=False)

    def statuses(self) -> dict[str, int]:
        counts = self.index()["status"].value_counts()
        return {str(status): int(count) for status, count in counts.items()}

    def quarantine(self) -> pd.DataFrame:
        parts = self.catalog().load("quarantined_images")
        tables = [parts.read(batch) for batch in parts.names()]
        return pd.concat(tables, ignore_index=True)

    def verdict(self, batch: str) -> dict[str, Any]:
        record: dict[str, Any] = self.catalog().load("batch_screenings")[batch]
        return record

    def tally(self, batch: str) -> dict[str, int]:
        """Return what became of all that was found in a batch, as `batches` tells it."""
        images = self.index()
        counts = tally_batch(self.verdict(batch), images.loc[images["batch"] == batch, "status"])
        assert counts["found"] == sum(counts.values()) - counts["found"]
        return counts

    def snapshot(self) -> dict[str, bytes]:
        """Return all files but those of a run."""
        return {
            path.relative_to(self.storage).as_posix(): path.read_bytes()
            for path in sorted(self.storage.rglob("*"))
            if path.is_file() and not path.is_relative_to(self.storage / "runs")
        }
