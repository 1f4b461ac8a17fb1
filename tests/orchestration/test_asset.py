"""Assets of Airflow."""

from __future__ import annotations

import airflow_home  # noqa: F401 - before Airflow is imported

from image_classification.configuration.scope import SHARED, Scope
from image_classification.orchestration.asset import NEW_CHAMPION, NEW_IMAGES, make_asset


def test_an_asset_of_a_project_without_a_name_has_its_own_name_alone() -> None:
    asset = make_asset(NEW_IMAGES, SHARED)
    assert (asset.name, asset.group) == ("new_images", "image-classification")


def test_what_one_scope_announces_is_no_asset_of_another() -> None:
    scopes = (SHARED, Scope("leaves"), Scope("leaves", "production"), Scope("", "production"))
    made = {make_asset(NEW_CHAMPION, scope).name for scope in scopes}
    assert made == {
        "champion",
        "leaves-champion",
        "leaves-production-champion",
        "production-champion",
    }
    assert make_asset(NEW_CHAMPION, scopes[2]).group == "leaves-production"
