"""Catalog datasets of our own: batches, index, packed pixels, registered networks, curves."""

from image_classification.datasets.arrival import IncomingBatch
from image_classification.datasets.batch import ImageBatches, ImageBatchesDataset
from image_classification.datasets.correction import CorrectionsDataset
from image_classification.datasets.inbox import Inbox, InboxDataset
from image_classification.datasets.ledger import LedgerDataset
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
from image_classification.datasets.pixel import PackedPixels, PackedPixelsDataset, PixelShard
from image_classification.datasets.source import ImageSource, ImageSourceDataset
from image_classification.datasets.spreadsheet import SpreadsheetDataset
from image_classification.datasets.table import (
    AppendedTableDataset,
    BatchTables,
    BatchTablesDataset,
    Records,
    RecordsDataset,
    WholeJSONDataset,
)
from image_classification.datasets.version import RegisteredModel, RegisteredModelDataset

__all__ = [
    "AppendedTableDataset",
    "BatchTables",
    "BatchTablesDataset",
    "CorrectionsDataset",
    "ImageBatches",
    "ImageBatchesDataset",
    "ImageSource",
    "ImageSourceDataset",
    "Inbox",
    "InboxDataset",
    "IncomingBatch",
    "LedgerDataset",
    "MetricCurvesDataset",
    "MlflowMetricDataset",
    "MlflowMetricHistoryDataset",
    "MlflowMetricsHistoryDataset",
    "OpenNetwork",
    "PackedPixels",
    "PackedPixelsDataset",
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
