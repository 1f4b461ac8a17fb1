"""Which pipelines there are, and what is packaged with a trained network."""

from __future__ import annotations

import ast
import sys
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
from kedro.pipeline import Pipeline
from kedro_mlflow.pipeline.pipeline_ml import PipelineML

import image_classification
from image_classification import pipeline_registry
from image_classification.configuration.tag import DECIDES
from image_classification.errors import ConfigurationError
from image_classification.pipelines import monitoring, packaged

PACKAGE = Path(image_classification.__file__).parent
SERVED = ("pipelines/packaged", "vision", "gate/prediction.py", "errors.py")
"""What of the package a served model imports."""


@pytest.fixture(scope="module")
def registered() -> dict[str, Pipeline]:
    return pipeline_registry.register_pipelines()


def test_what_trains_is_bound_to_the_packaged_pipeline_and_nothing_else_is(
    registered: dict[str, Pipeline],
) -> None:
    bound = {name for name, one in registered.items() if isinstance(one, PipelineML)}
    assert bound == {"__default__", "training", "retraining"}
    assert bound == {name for name, one in registered.items() if "network" in one.all_outputs()}
    for name in bound:
        whole = registered[name]
        assert isinstance(whole, PipelineML)
        assert whole.input_name == "images"
        assert [node.name for node in whole.inference.nodes] == ["classify_images"]


def test_retraining_is_the_other_pipelines_of_the_night_together(
    registered: dict[str, Pipeline],
) -> None:
    parts = ("data_processing", "monitoring", "hindsight", "training", "promotion")
    together = {node.name for part in parts for node in registered[part].nodes}
    assert {node.name for node in registered["retraining"].nodes} == together


def test_promotion_alone_judges_the_registered_challenger(registered: dict[str, Pipeline]) -> None:
    inputs = registered["promotion"].inputs()
    assert "challenger" in inputs
    assert "network" not in inputs


def test_a_tag_that_does_not_fit_its_node_is_refused_at_registration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = Pipeline(monitoring.create_pipeline().nodes, tags=DECIDES)
    monkeypatch.setattr(monitoring, "create_pipeline", lambda: wrong)
    with pytest.raises(ConfigurationError, match="decides"):
        pipeline_registry.register_pipelines()


def test_requirements_of_a_packaged_model_are_the_versions_in_use() -> None:
    pinned = dict(line.split("==") for line in pipeline_registry.pin_requirements())
    assert pinned == {name: version(name) for name in pipeline_registry.MODEL_REQUIREMENTS}


def test_whatever_a_served_model_imports_is_among_its_requirements() -> None:
    files = [
        file
        for part in SERVED
        for file in ([PACKAGE / part] if part.endswith(".py") else (PACKAGE / part).rglob("*.py"))
    ]
    imported = {name.partition(".")[0] for file in files for name in list_imports(file)}
    foreign = imported - set(sys.stdlib_module_names) - {"image_classification"}
    owners = packages_distributions()
    needed = {owners[name][0].lower() for name in foreign}
    brought_along = {"keras"}
    """TensorFlow requires it, in the version that fits."""
    assert needed - brought_along <= set(pipeline_registry.MODEL_REQUIREMENTS)


def list_imports(file: Path) -> set[str]:
    """Return the modules that a file imports by their absolute names."""
    names: set[str] = set()
    for statement in ast.walk(ast.parse(file.read_text())):
        if isinstance(statement, ast.Import):
            names |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            names.add(statement.module)
    return names


def test_code_of_a_packaged_model_is_this_package() -> None:
    assert pipeline_registry.describe_model()["code_paths"] == [str(PACKAGE)]
    assert packaged.create_packaged_pipeline().inputs() >= {"images", "network", "class_names"}
