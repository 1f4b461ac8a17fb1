"""Records of corrected labels: written once, and kept for ever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from image_classification.datasets.table import RecordsDataset


class CorrectionsDataset(RecordsDataset):
    """Records, one JSON file each. Saving one that exists leaves it as it is."""

    def save(self, data: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the records that do not exist yet, each whole."""
        known = self.load()
        super().save({name: record for name, record in data.items() if name not in known})
