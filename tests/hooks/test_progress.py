"""A person who waits sees a line per node, and the rest lies in a file."""

from __future__ import annotations

import io
import logging
import logging.config
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner

from image_classification.configuration.location import find_project_path
from image_classification.hooks import progress as module
from image_classification.hooks.progress import KEPT_LOGS, ProgressHook, open_log
from image_classification.progress import progress

LOGGERS = ("", "image_classification", "image_classification.progress", "kedro", "mlflow")


@pytest.fixture
def shipped_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The logging of a `kedro run`, and afterwards that of the tests again."""
    monkeypatch.setattr(module, "log_as_others", lambda: None)
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(one.handlers[:], one.level, one.propagate) for one in loggers]
    path = find_project_path() / "conf" / "logging.yml"
    logging.config.dictConfig(yaml.safe_load(path.read_text()))
    yield
    logging.captureWarnings(False)
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


@pytest.fixture
def shown(shipped_logging: None) -> tuple[io.StringIO, io.StringIO]:
    """What is shown on stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    for name in LOGGERS:
        for handler in logging.getLogger(name).handlers:
            if handler.name in ("terminal", "warnings", "errors"):
                handler.setStream(out if handler.name == "terminal" else err)
    return out, err


def run(nodes: list[Node], storage: object) -> None:
    """Run nodes as a session does."""
    manager = _create_hook_manager()
    manager.register(ProgressHook())
    pipeline = Pipeline(nodes)
    catalog = DataCatalog({name: MemoryDataset(1) for name in pipeline.datasets()})
    context: Any = SimpleNamespace(config_loader={"globals": {"storage_root": str(storage)}})
    hook = manager.hook
    hook.after_context_created(context=context)
    params = {"pipeline_names": ["cells"]}
    hook.before_pipeline_run(run_params=params, pipeline=pipeline, catalog=catalog)
    try:
        SequentialRunner().run(pipeline, catalog, manager)
    except ValueError as error:
        options: Any = {"run_params": params, "pipeline": pipeline, "catalog": catalog}
        hook.on_pipeline_error(error=error, **options)
        return
    hook.after_pipeline_run(run_params=params, run_result={}, pipeline=pipeline, catalog=catalog)


def work(value: int) -> int:
    logging.getLogger("image_classification.intake").info("a detail")
    logging.getLogger("keras").warning("nobody can act on this")
    logging.getLogger("image_classification.gate").warning("somebody should look")
    return value


def fail(_: int) -> int:
    raise ValueError("no such class")


def test_a_run_shows_a_line_per_node_and_warnings_of_ours(
    shown: tuple[io.StringIO, io.StringIO], tmp_path: Path
) -> None:
    logging.getLogger("matplotlib").info("before the storage is known")
    run([Node(work, "a", "b", name="first"), Node(work, "b", "c", name="second_node")], tmp_path)
    (log,) = (tmp_path / "logs").iterdir()
    lines = shown[0].getvalue().splitlines()
    assert lines[0] == f"cells: 2 nodes; log: {log}"
    assert [line.split() for line in lines[1:]] == [
        ["1/2", "first", "0.0", "s"],
        ["2/2", "second_node", "0.0", "s"],
    ]
    assert len(set(map(len, lines[1:]))) == 1
    assert shown[1].getvalue() == "WARNING: somebody should look\n" * 2
    written = log.read_text()
    for said in ("before the storage", "a detail", "nobody can act", "Running node: first", "2/2"):
        assert said in written
    assert log.parent.stat().st_mode & 0o077 == 0


def test_a_run_that_fails_names_the_node_and_the_log(
    shown: tuple[io.StringIO, io.StringIO], tmp_path: Path
) -> None:
    run([Node(work, "a", "b", name="first"), Node(fail, "b", "c", name="second")], tmp_path)
    (log,) = (tmp_path / "logs").iterdir()
    lines = shown[0].getvalue().splitlines()
    assert lines[1].startswith(" 1/2  first ")
    assert lines[2:] == ["second failed after 0.0 s", f"log: {log}"]
    assert "no such class" in log.read_text()


def test_a_log_is_written_where_the_configuration_waits_for_it_alone(tmp_path: Path) -> None:
    assert open_log(str(tmp_path)) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("shipped_logging")
def test_there_is_no_log_where_none_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert open_log(str(tmp_path / "file")) is None
    assert open_log("s3://bucket/storage") is None


@pytest.mark.usefixtures("shipped_logging")
def test_one_process_has_one_log_and_old_ones_go(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for number in range(KEPT_LOGS + 5):
        (tmp_path / "logs" / f"2025-01-01T{number:06}.log").write_text("")
    first = open_log(str(tmp_path))
    assert first == open_log(str(tmp_path))
    assert len(list((tmp_path / "logs").iterdir())) == KEPT_LOGS


def test_under_airflow_a_node_is_told_of_through_its_own_log(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    with caplog.at_level(logging.INFO, logger=progress.name):
        run([Node(work, "a", "b", name="train_network")], tmp_path)
    (record,) = (one for one in caplog.records if one.name == progress.name)
    assert record.getMessage() == f"{'train_network':<28}     0.0 s"
