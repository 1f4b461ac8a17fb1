"""Catalog datasets of our own: batches, index, packed pixels, registered networks."""

from image_classification.datasets.batch import ImageBatches, ImageBatchesDataset
from image_classification.datasets.folder import ImageFolder, ImageFolderDataset
from image_classification.datasets.inbox import Inbox, InboxDataset, IncomingBatch
from image_classification.datasets.lineage import RunImagesDataset
from image_classification.datasets.network import (
    OpenNetwork,
    RegisteredNetwork,
    RegisteredNetworkDataset,
)
from image_classification.datasets.pixel import PackedPixels, PackedPixelsDataset, PixelShard
from image_classification.datasets.table import (
    AppendedTableDataset,
    BatchTables,
    BatchTablesDataset,
    Records,
    RecordsDataset,
    WholeJSONDataset,
)

__all__ = [
    "AppendedTableDataset",
    "BatchTables",
    "BatchTablesDataset",
    "ImageBatches",
    "ImageBatchesDataset",
    "ImageFolder",
    "ImageFolderDataset",
    "Inbox",
    "InboxDataset",
    "IncomingBatch",
    "OpenNetwork",
    "PackedPixels",
    "PackedPixelsDataset",
    "PixelShard",
    "Records",
    "RecordsDataset",
    "RegisteredNetwork",
    "RegisteredNetworkDataset",
    "RunImagesDataset",
    "WholeJSONDataset",
]
