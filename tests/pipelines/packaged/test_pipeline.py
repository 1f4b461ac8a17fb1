"""The pipeline that is logged with a network: what a service has to give it."""

from __future__ import annotations

from image_classification.pipelines import training
from image_classification.pipelines.packaged import create_packaged_pipeline


def test_a_caller_gives_images_and_all_else_is_kept_with_the_model() -> None:
    served = create_packaged_pipeline()
    trains = training.create_selection_pipeline() + training.create_pipeline()
    kept = {name for name in served.inputs() if not name.startswith("params:")} - {"images"}
    assert kept == {"network", "class_names"}
    assert kept <= trains.all_outputs(), "a training makes what is kept"
    assert served.outputs() == {"predictions"}
