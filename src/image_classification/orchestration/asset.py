"""Assets of Airflow: what one DAG announces, and another one waits for."""

from __future__ import annotations

from airflow.sdk import Asset

from image_classification.configuration.scope import Scope

NEW_IMAGES = "new_images"
"""Asset: images have joined the training set. The intake and the review announce them."""

NEW_CHAMPION = "champion"
"""Asset: the alias `champion` has moved. A promotion and a rollback announce it."""


def make_asset(name: str, scope: Scope) -> Asset:
    """Return an asset of a scope: what another one announces is none of its business."""
    return Asset(name=scope.name(name), group=scope.prefix or "image-classification")
