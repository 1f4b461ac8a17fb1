"""What must hold of the project as a whole; each check is itself tried with a bad case."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from kedro.framework.project import configure_project, pipelines
from kedro.pipeline import Node, Pipeline

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def registered() -> dict[str, Pipeline]:
    configure_project("image_classification")
    pipelines.set_requested(None)
    return dict(pipelines)


@pytest.fixture(scope="module")
def declared() -> dict[str, dict[str, object]]:
    text = (PROJECT / "conf" / "base" / "catalog.yml").read_text()
    catalog = yaml.safe_load(text)
    return {name: entry for name, entry in catalog.items() if not name.startswith("_")}


def find_undeclared(pipeline: Pipeline, declared: Iterable[str]) -> set[str]:
    return {
        name
        for name in pipeline.datasets()
        if name not in declared and not name.startswith("params:") and name != "parameters"
    }


def find_misnamed(pipeline: Pipeline) -> list[str]:
    return [node.name for node in pipeline.nodes if node.name != node.func.__name__]


def find_python(folder: Path) -> list[Path]:
    return [*folder.rglob("*.py"), *folder.rglob("__init__*")]


def double(value: int) -> int:
    return 2 * value


BAD_PIPELINE = Pipeline([Node(double, inputs="raw_images", outputs="lost", name="double_it")])


def test_no_dataset_of_any_pipeline_is_in_memory(
    registered: dict[str, Pipeline], declared: dict[str, dict[str, object]]
) -> None:
    for name, pipeline in registered.items():
        assert find_undeclared(pipeline, declared) == set(), name
    assert not any("MemoryDataset" in str(entry["type"]) for entry in declared.values())
    assert find_undeclared(BAD_PIPELINE, declared) == {"lost"}


def test_every_declared_dataset_is_used(
    registered: dict[str, Pipeline], declared: dict[str, dict[str, object]]
) -> None:
    used = set().union(*(pipeline.datasets() for pipeline in registered.values()))
    assert set(declared) - used == set()


def test_every_node_is_named_as_its_function(registered: dict[str, Pipeline]) -> None:
    for name, pipeline in registered.items():
        assert find_misnamed(pipeline) == [], name
    assert find_misnamed(BAD_PIPELINE) == ["double_it"]


def test_the_pipelines_of_the_design_are_registered(registered: dict[str, Pipeline]) -> None:
    assert set(registered) == {
        *("__default__", "data_processing", "training", "inference", "promotion", "retraining")
    }


def test_the_airflow_folder_holds_no_python_that_would_hide_apache_airflow(
    tmp_path: Path,
) -> None:
    assert find_python(PROJECT / "airflow") == []
    (tmp_path / "__init__.py").touch()
    assert find_python(tmp_path) != []


def test_the_lock_names_no_package_index() -> None:
    lock = (PROJECT / "requirements.lock").read_text()
    assert "http://" not in lock
    assert "https://" not in lock
    assert lock.count("--hash=sha256:") > lock.count("==")


def test_the_layers_hold() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


def test_the_layers_would_notice_a_breach(tmp_path: Path) -> None:
    # The same contracts over a package in which a lower layer imports a higher one.
    package = tmp_path / "image_classification"
    package.mkdir()
    for source in (PROJECT / "src" / "image_classification").rglob("*.py"):
        copy = package / source.relative_to(PROJECT / "src" / "image_classification")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(source.read_text())
    (package / "errors.py").write_text(
        (package / "errors.py").read_text() + "\nimport image_classification.orchestration\n"
    )
    (tmp_path / "pyproject.toml").write_text((PROJECT / "pyproject.toml").read_text())
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
        "from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode != 0
    assert "BROKEN" in done.stdout
