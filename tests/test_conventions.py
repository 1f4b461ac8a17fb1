"""What must hold of the project as a whole; each check is itself tried with a bad case."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from kedro.framework.project import configure_project, pipelines
from kedro.pipeline import Node, Pipeline

PROJECT = Path(__file__).resolve().parents[1]
# Written so that this file does not hold them.
MARKS = [word.replace("-", "") for word in ("TO-DO", "FIX-ME", "XX-X")]


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


def find_ambiguous(pipelines: Iterable[Pipeline]) -> set[str]:
    """Return the names that stand for different functions in different pipelines."""
    functions: dict[str, set[object]] = {}
    for pipeline in pipelines:
        for node in pipeline.nodes:
            functions.setdefault(node.name, set()).add(node.func)
    return {name for name, found in functions.items() if len(found) > 1}


def find_unfinished(root: Path, folders: Iterable[str]) -> list[str]:
    """Return the lines that put something off."""
    mark = re.compile(rf"\b({'|'.join(MARKS)})\b")
    return [
        f"{path.relative_to(root)}: {line.strip()}"
        for folder in folders
        for path in sorted((root / folder).rglob("*"))
        if path.suffix in (".py", ".yml", ".j2", ".md", ".toml")
        for line in path.read_text().splitlines()
        if mark.search(line)
    ]


def find_python(folder: Path) -> list[Path]:
    return [*folder.rglob("*.py"), *folder.rglob("__init__*")]


def double(value: int) -> int:
    return 2 * value


BAD_PIPELINE = Pipeline([Node(double, inputs="image_batches", outputs="lost", name="double_it")])


def test_no_dataset_of_any_pipeline_is_in_memory(
    registered: dict[str, Pipeline], declared: dict[str, dict[str, object]]
) -> None:
    for name, pipeline in registered.items():
        assert find_undeclared(pipeline, declared) == set(), name
    assert not any("MemoryDataset" in str(entry["type"]) for entry in declared.values())
    assert find_undeclared(BAD_PIPELINE, declared) == {"lost"}


def test_the_table_of_the_index_has_the_columns_that_the_code_writes(
    declared: dict[str, dict[str, object]],
) -> None:
    from image_classification.intake.index import LOG_COLUMNS

    assert declared["image_index"]["columns"] == LOG_COLUMNS


def test_every_declared_dataset_is_used(
    registered: dict[str, Pipeline], declared: dict[str, dict[str, object]]
) -> None:
    used = set().union(*(pipeline.datasets() for pipeline in registered.values()))
    # Written after the nodes: the packaged model is there only when they have ended, and so are
    # the times that they took, and what people see of the night.
    assert set(declared) - used == {
        *("logged_model", "package_measures", "decision", "task_timings"),
        *("pages", "night_records", "run_code"),
    }


def test_every_node_is_named_as_its_function(registered: dict[str, Pipeline]) -> None:
    for name, pipeline in registered.items():
        assert find_misnamed(pipeline) == [], name
    assert find_misnamed(BAD_PIPELINE) == ["double_it"]


def test_a_node_name_means_one_function_in_every_pipeline(registered: dict[str, Pipeline]) -> None:
    assert find_ambiguous(registered.values()) == set()
    other = Pipeline([Node(len, inputs="image_batches", outputs="lost", name="double_it")])
    assert find_ambiguous([BAD_PIPELINE, other]) == {"double_it"}


def test_nothing_is_put_off(tmp_path: Path) -> None:
    assert find_unfinished(PROJECT, ["src", "tests", "conf", "airflow", "dags"]) == []
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "bad.py").write_text(f"x = 1  # {MARKS[0]}: later\n")
    assert len(find_unfinished(tmp_path, ["src"])) == 1


def test_the_pipelines_of_the_design_are_registered(registered: dict[str, Pipeline]) -> None:
    assert set(registered) == {
        *("__default__", "data_processing", "training", "inference", "promotion", "retraining"),
        *("monitoring", "hindsight", "review", "rollback", "retention"),
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


BREACHES = {
    "errors_of_ours.py": "",
    "vendor/breach.py": "import image_classification.orchestration.graph",
    "pipelines/review/breach.py": "import image_classification.pipelines.rollback.nodes",
    "gate/breach.py": "import image_classification.gate.breach_too\nimport kedro",
    "gate/breach_too.py": "import image_classification.gate.breach",
    "champion/breach.py": "import airflow.sdk",
    "figures/breach.py": "import mlflow",
    "figures/breach_too.py": "import tensorflow",
}
"""Modules that no contract names: each breaks the contract of its folder, or has no place."""

CONTRACTS = {
    "Layers, high to low; folders of a row are siblings": "vendor.breach -> ",
    "Pipelines do not import one another": "pipelines.review.breach -> ",
    "No circle between the modules of a folder": ".breach_too -> .breach",
    "Only orchestration imports Airflow": "champion.breach -> airflow",
    "Only champion, tracking and the vendors import MLflow": "figures.breach -> mlflow",
    "Only vision imports TensorFlow": "figures.breach_too -> tensorflow",
    "The gate and the intake know no framework": "gate.breach -> kedro",
}
"""Name of each contract, and what it says of its breach."""


def test_each_contract_notices_a_breach_in_a_module_that_it_does_not_name(tmp_path: Path) -> None:
    package = tmp_path / "image_classification"
    shutil.copytree(PROJECT / "src" / "image_classification", package)
    for path, text in BREACHES.items():
        (package / path).write_text(f"{text}\n")
    (tmp_path / "pyproject.toml").write_text((PROJECT / "pyproject.toml").read_text())
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
        "from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    names = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert set(CONTRACTS) == {contract["name"] for contract in names["contracts"]}
    for name, breach in CONTRACTS.items():
        assert f"{name} BROKEN" in said
        assert breach in said, name
    # A module at the top that no row of the layers knows.
    assert "errors_of_ours" in said


def find_left_out(root: Path, config: pytest.Config) -> list[str]:
    """Return the test files that `config` does not collect: themselves, or a folder above."""
    ignore = config.hook.pytest_ignore_collect
    return [
        path.relative_to(root).as_posix()
        for path in sorted(root.rglob("test_*.py"))
        if any(
            ignore(collection_path=place, config=config)
            for place in (path, *path.parents)
            if place.is_relative_to(root)
        )
    ]


def test_the_quick_tests_leave_out_only_what_is_for_the_slow_ones(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = PROJECT / "tests"
    monkeypatch.setattr(pytestconfig.option, "markexpr", "not slow and not end_to_end")
    left_out = find_left_out(tests, pytestconfig)
    assert {"test_package.py", "end_to_end/test_nights.py"} < set(left_out)
    whole = re.compile(r"^pytestmark = \[?[\w\s.,]*pytest\.mark\.end_to_end", re.MULTILINE)
    assert [name for name in left_out if not whole.search((tests / name).read_text())] == []
    monkeypatch.setattr(pytestconfig.option, "markexpr", "slow or end_to_end or browser")
    assert find_left_out(tests, pytestconfig) == []
