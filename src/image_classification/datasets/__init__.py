"""Catalog datasets of our own: batches, index, packed pixels, registered networks, curves.

Kedro, pandas and MLflow take seconds to import, and what only looks something up needs none of
them: the names below are imported at their first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from image_classification.datasets.arrival import IncomingBatch
    from image_classification.datasets.artifact import MlflowArtifactDataset
    from image_classification.datasets.batch import ImageBatches, ImageBatchesDataset
    from image_classification.datasets.correction import CorrectionsDataset
    from image_classification.datasets.dataset import InboxDataset, LedgerDataset, PagesDataset
    from image_classification.datasets.forgotten import ForgottenDataset
    from image_classification.datasets.holdings import Holdings, HoldingsDataset
    from image_classification.datasets.inbox import Inbox
    from image_classification.datasets.lineage import (
        RegisteredImages,
        RegisteredImagesDataset,
        RunImagesDataset,
    )
    from image_classification.datasets.metric import (
        MetricCurvesDataset,
        MlflowMetricDataset,
        MlflowMetricHistoryDataset,
        MlflowMetricsHistoryDataset,
    )
    from image_classification.datasets.network import (
        OpenNetwork,
        RegisteredNetwork,
        RegisteredNetworkDataset,
        RegisteredVersionsDataset,
    )
    from image_classification.datasets.page import Pages
    from image_classification.datasets.pixel import PackedPixels, PackedPixelsDataset, PixelShard
    from image_classification.datasets.record import Records
    from image_classification.datasets.source import ImageSource, ImageSourceDataset
    from image_classification.datasets.spreadsheet import SpreadsheetDataset
    from image_classification.datasets.table import (
        AppendedTableDataset,
        BatchTables,
        BatchTablesDataset,
        RecordsDataset,
        WholeJSONDataset,
    )
    from image_classification.datasets.version import RegisteredModel, RegisteredModelDataset

_HOMES = {
    "IncomingBatch": "arrival",
    "MlflowArtifactDataset": "artifact",
    "ImageBatches": "batch",
    "ImageBatchesDataset": "batch",
    "CorrectionsDataset": "correction",
    "InboxDataset": "dataset",
    "LedgerDataset": "dataset",
    "PagesDataset": "dataset",
    "ForgottenDataset": "forgotten",
    "Holdings": "holdings",
    "HoldingsDataset": "holdings",
    "Inbox": "inbox",
    "RegisteredImages": "lineage",
    "RegisteredImagesDataset": "lineage",
    "RunImagesDataset": "lineage",
    "MetricCurvesDataset": "metric",
    "MlflowMetricDataset": "metric",
    "MlflowMetricHistoryDataset": "metric",
    "MlflowMetricsHistoryDataset": "metric",
    "OpenNetwork": "network",
    "RegisteredNetwork": "network",
    "RegisteredNetworkDataset": "network",
    "RegisteredVersionsDataset": "network",
    "Pages": "page",
    "PackedPixels": "pixel",
    "PackedPixelsDataset": "pixel",
    "PixelShard": "pixel",
    "Records": "record",
    "ImageSource": "source",
    "ImageSourceDataset": "source",
    "SpreadsheetDataset": "spreadsheet",
    "AppendedTableDataset": "table",
    "BatchTables": "table",
    "BatchTablesDataset": "table",
    "RecordsDataset": "table",
    "WholeJSONDataset": "table",
    "RegisteredModel": "version",
    "RegisteredModelDataset": "version",
}

__all__ = [
    "AppendedTableDataset",
    "BatchTables",
    "BatchTablesDataset",
    "CorrectionsDataset",
    "ForgottenDataset",
    "Holdings",
    "HoldingsDataset",
    "ImageBatches",
    "ImageBatchesDataset",
    "ImageSource",
    "ImageSourceDataset",
    "Inbox",
    "InboxDataset",
    "IncomingBatch",
    "LedgerDataset",
    "MetricCurvesDataset",
    "MlflowArtifactDataset",
    "MlflowMetricDataset",
    "MlflowMetricHistoryDataset",
    "MlflowMetricsHistoryDataset",
    "OpenNetwork",
    "PackedPixels",
    "PackedPixelsDataset",
    "Pages",
    "PagesDataset",
    "PixelShard",
    "Records",
    "RecordsDataset",
    "RegisteredImages",
    "RegisteredImagesDataset",
    "RegisteredModel",
    "RegisteredModelDataset",
    "RegisteredNetwork",
    "RegisteredNetworkDataset",
    "RegisteredVersionsDataset",
    "RunImagesDataset",
    "SpreadsheetDataset",
    "WholeJSONDataset",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
