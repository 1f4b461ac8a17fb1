"""One DAG run, one code."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from shipped import CONF

from image_classification.configuration.plain import digest_configuration
from image_classification.errors import CodeChangedError, ConfigurationError
from image_classification.machine.code import CODE, Code
from image_classification.orchestration import code
from image_classification.orchestration.code import check_code, record_code

FILES = ("catalog.yml", "globals.yml", "mlflow.yml", "parameters.yml", "project.yml", "airflow.yml")


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """Files of a configuration; what is in them does not matter here."""
    for env in ("base", "production"):
        (tmp_path / "conf" / env).mkdir(parents=True)
    for name in FILES:
        (tmp_path / "conf" / "base" / name).write_text((CONF / "base" / name).read_text())
    (tmp_path / "conf" / "production" / "parameters_training.yml").write_text("training: {}\n")
    return tmp_path / "conf"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of a package, which this process is of."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "rule.py").write_text("LIMIT = 1\n")
    deploy(tmp_path / "package", monkeypatch)
    return tmp_path / "package"


def deploy(package: Path, patch: pytest.MonkeyPatch) -> None:
    """Let this be a worker that was started with the files as they are now."""
    patch.setattr(code, "CODE", Code(package))


@pytest.fixture
def context(conf: Path, tmp_path: Path) -> Any:
    """As much of Kedro's context of a run as is asked for."""
    entry = {
        "type": "image_classification.datasets.WholeJSONDataset",
        "filepath": str(tmp_path / "runs" / "one" / "code.json"),
    }

    class Loader(dict[str, Any]):
        def __init__(self) -> None:
            super().__init__(catalog={"run_code": entry})
            self.conf = conf

    return SimpleNamespace(config_loader=Loader(), env="production")


def test_a_task_with_what_the_run_began_with_goes_on(context: Any, package: Path) -> None:
    record_code(context)
    check_code(context)


@pytest.mark.usefixtures("package")
def test_a_run_that_an_earlier_release_began_goes_on(context: Any) -> None:
    check_code(context)


def test_a_task_of_another_package_fails_with_the_remedy(
    context: Any, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_code(context)
    (package / "rule.py").write_text("LIMIT = 2\n")
    deploy(package, monkeypatch)
    with pytest.raises(
        CodeChangedError, match=r"The package of this task is not .*Clear the whole"
    ):
        check_code(context)
    record_code(context)  # the whole run was cleared
    check_code(context)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("base/parameters.yml", "positive_class: other\n"),
        ("base/project.yml", "title: other\n"),
        ("production/parameters_training.yml", "training: {epochs: 1}\n"),
        ("production/globals.yml", "storage_root: /other\n"),
    ],
)
def test_a_task_of_another_configuration_fails(
    context: Any, conf: Path, file: str, content: str
) -> None:
    record_code(context)
    (conf / file).write_text(content)
    with pytest.raises(CodeChangedError, match="The configuration of this task is not"):
        check_code(context)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    "file", ["base/airflow.yml", "production/credentials.yml", "staging/parameters.yml"]
)
def test_what_no_task_of_the_run_reads_may_change(context: Any, conf: Path, file: str) -> None:
    record_code(context)
    (conf / "staging").mkdir()
    (conf / file).write_text("anything: else\n")
    check_code(context)


def test_a_worker_that_holds_older_modules_works_for_no_run(context: Any, package: Path) -> None:
    record_code(context)
    (package / "rule.py").write_text("LIMIT = 2\n")
    for work in (record_code, check_code):
        with pytest.raises(CodeChangedError, match="Restart the workers"):
            work(context)


def test_the_named_project_file_counts(
    conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digest_configuration(conf, None)
    assert before != digest_configuration(conf, "production")
    named = tmp_path / "leaves.yml"
    named.write_text("title: Leaves\n")
    monkeypatch.setenv("IMAGE_CLASSIFICATION_PROJECT", str(named))
    assert digest_configuration(conf, None) != before


def test_another_try_would_meet_the_same() -> None:
    assert issubclass(CodeChangedError, ConfigurationError)
    assert code.CODE is CODE
