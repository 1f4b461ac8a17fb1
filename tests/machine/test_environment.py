"""What another project left in the environment does nothing, or is named in a sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

from image_classification.errors import ConfigurationError
from image_classification.machine import environment

HARMLESS = {"MLFLOW_TRACKING_URI": "http://mlflow:5000", "AIRFLOW_CONN_SMTP": "smtp://relay"}
"""What is meant for this project, or for whoever runs it."""

LEFT_BEHIND = {
    "KERAS_BACKEND": "jax",
    "TF_USE_LEGACY_KERAS": "1",
    "KERAS_MAX_EPOCHS": "0",
    "KERAS_MAX_STEPS_PER_EPOCH": "1",
    "KERAS_NNX_ENABLED": "true",
    "TF_CONFIG": "{}",
    "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "cpp",
    "MLFLOW_RUN_ID": "0" * 32,
    "MLFLOW_REGISTRY_URI": "http://127.0.0.1:9",
    "MLFLOW_EXPERIMENT_NAME": "other",
    "MLFLOW_EXPERIMENT_ID": "77",
    "MLFLOW_ACTIVE_MODEL_ID": "m-1",
    "_MLFLOW_ACTIVE_MODEL_ID": "m-1",
    "MLFLOW_RUN_CONTEXT": "{}",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "true",
    "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "true",
    "GIT_DIR": "/elsewhere/.git",
    "GIT_WORK_TREE": "/elsewhere",
    "MATPLOTLIBRC": "/elsewhere",
    "PYTHONWARNINGS": "error",
    "PYTHONIOENCODING": "ascii",
    "SSL_CERT_FILE": "/gone/ca.pem",
    "REQUESTS_CA_BUNDLE": "/gone/ca.pem",
    "KEDRO_LOGGING_CONFIG": "/gone/logging.yml",
    "ALL_PROXY": "socks5://127.0.0.1:9",
    "TZ": "Nowhere/Land",
}


@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_what_another_project_left_is_ignored_and_named(name: str) -> None:
    variables = {name: LEFT_BEHIND[name], **HARMLESS}
    told = environment.clean(variables)
    assert variables.get(name) in (None, "tensorflow", "UTC")
    assert len(told) == 1
    assert told[0].startswith(name)
    assert variables.items() >= HARMLESS.items()
    assert environment.clean(variables) == []


def test_an_environment_that_holds_nothing_of_others_is_told_nothing() -> None:
    told = environment.clean({"PATH": "/bin", "HOME": "/", "TZ": ":Europe/Berlin", **HARMLESS})
    assert told == []


@pytest.mark.parametrize("zone", ["CET-1CEST", "/etc/localtime", "UTC", "America/New_York"])
def test_a_time_zone_that_the_system_knows_stays(zone: str) -> None:
    variables = {"TZ": zone}
    assert environment.clean(variables) == []
    assert variables["TZ"] == zone


@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "all_proxy"])
def test_services_on_this_machine_are_asked_past_a_proxy(name: str) -> None:
    variables = {name: "http://proxy:3128", "NO_PROXY": "intranet, localhost"}
    environment.clean(variables)
    assert variables[name] == "http://proxy:3128"
    assert variables["no_proxy"] == "intranet,localhost,127.0.0.1,::1"
    assert variables["NO_PROXY"] == variables["no_proxy"]


def test_a_workspace_stays_where_a_server_is_named() -> None:
    named = {"MLFLOW_WORKSPACE": "cells", "MLFLOW_TRACKING_URI": "https://mlflow"}
    environment.clean(named)
    assert named["MLFLOW_WORKSPACE"] == "cells"
    local = {"MLFLOW_WORKSPACE": "cells"}
    environment.clean(local)
    assert "MLFLOW_WORKSPACE" not in local


def test_a_user_without_a_name_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    variables: dict[str, str] = {}
    environment.clean(variables)
    assert variables["USER"] == variables["LOGNAME"] == "uid-54321"
    assert variables["HOME"] == "/"


def test_a_home_that_cannot_be_written_is_not_written(tmp_path: Path) -> None:
    variables = {"HOME": str(tmp_path / "gone")}
    environment.clean(variables)
    assert not Path(variables["MPLCONFIGDIR"]).is_relative_to(tmp_path)


@pytest.mark.parametrize("made", ["a link", "open to all", "as it was"])
def test_settings_that_somebody_else_put_into_the_temporary_folder_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place = tmp_path / f"image-classification-{os.getuid()}"
    if made == "a link":
        (tmp_path / "theirs").mkdir(mode=0o700)
        place.symlink_to(tmp_path / "theirs")
    elif made == "open to all":
        place.mkdir()
        place.chmod(0o777)
    variables = {"HOME": str(tmp_path / "gone")}
    environment.clean(variables)
    taken = Path(variables["MPLCONFIGDIR"])
    assert (taken == place) is (made == "as it was")
    assert taken.stat().st_mode & 0o777 == 0o700


def test_services_of_our_own_get_nothing_of_another_server() -> None:
    left = {"AIRFLOW__CORE__EXECUTOR": "x", "AIRFLOW_HOME": "/x", "FLASK_DEBUG": "1"}
    left |= {
        "UVICORN_RELOAD": "1",
        "PYTHONPATH": "/x",
        "PYTHONHOME": "/x",
        "GUNICORN_CMD_ARGS": "x",
    }
    ours = environment.clean_for_services(left | HARMLESS)
    assert not left.keys() & ours.keys()
    assert ours.items() >= HARMLESS.items()
    assert ours["PYTHONUTF8"] == "1"


def test_pythonpath_that_hides_an_installed_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "numpy").mkdir()
    (tmp_path / "secrets.py").touch()
    (fault,) = environment.find_hidden_packages(f"/gone{os.pathsep}{tmp_path}")
    assert str(tmp_path) in fault
    assert "numpy, secrets" in fault
    assert "unset PYTHONPATH" in fault


def test_pythonpath_that_hides_nothing_stays(tmp_path: Path) -> None:
    (tmp_path / "my_plugins").mkdir()
    (tmp_path / "tests").mkdir()
    places = (str(tmp_path), str(Path(__file__).parents[2] / "src"), sysconfig.get_path("purelib"))
    assert list(environment.find_hidden_packages(os.pathsep.join(places))) == []


def test_keras_of_another_backend_that_is_in_memory_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Config:
        @staticmethod
        def backend() -> str:
            return "torch"

    monkeypatch.setitem(sys.modules, "keras.src.backend.config", Config)
    with pytest.raises(ConfigurationError, match=r"backend 'torch'.*KERAS_BACKEND=tensorflow"):
        environment.settle_keras()


def test_every_variable_of_mlflow_that_names_what_is_written_is_dropped() -> None:
    from mlflow import environment_variables

    words = ("_RUN_ID", "_RUN_NAME", "_EXPERIMENT", "_REGISTRY", "_ACTIVE_MODEL", "_RUN_CONTEXT")
    named = {
        name
        for name in vars(environment_variables)
        if name.startswith("MLFLOW_") and any(word in f"{name}" for word in words)
    }
    assert named > {"MLFLOW_RUN_ID", "MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT_ID"}
    variables = dict.fromkeys(named, "x")
    environment.clean(variables)
    assert not named & variables.keys()


def test_a_process_starts_with_what_the_project_needs(tmp_path: Path) -> None:
    """Keras reads its settings in the home; texts are printed to a terminal without UTF-8."""
    (tmp_path / ".keras").mkdir()
    settings = {"backend": "jax", "image_data_format": "channels_first", "floatx": "float16"}
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps(settings))
    code = (
        "import image_classification.machine.environment as e, os, time, json, warnings;"
        "e.settle();"
        "warnings.warn('x', DeprecationWarning);"
        "config = json.loads((e.KERAS_HOME / 'keras.json').read_text());"
        "assert os.environ['KERAS_HOME'] == str(e.KERAS_HOME);"
        "print('é', config['image_data_format'], config['backend'], config['floatx'], time.tzname,"
        " len(e.ignored))"
    )
    inherited = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | LEFT_BEHIND | {"PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    expected = f"\\xe9 channels_last tensorflow float32 ('UTC', 'UTC') {len(LEFT_BEHIND)}\n"
    assert done.stdout == expected, done.stderr


@pytest.mark.parametrize("command", ["image_classification.commands.entry"])
def test_a_command_names_what_it_cannot_undo(tmp_path: Path, command: str) -> None:
    (tmp_path / "pandas.py").touch()
    done = subprocess.run(
        [sys.executable, "-c", f"from {command} import main; main()"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: PYTHONPATH names '{tmp_path}'")


def test_texts_that_are_not_utf_8_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("locale.getencoding", lambda: "ISO-8859-1")
    if not sys.flags.utf8_mode:
        with pytest.raises(ConfigurationError, match=r"iso-8859-1.*PYTHONUTF8=1"):
            environment.refuse()


@pytest.mark.slow
def test_airflow_is_imported_as_a_library_whatever_another_one_is_told(tmp_path: Path) -> None:
    (tmp_path / "airflow.cfg").write_text("[core]\nexecutor = %(gone)s\n[broken\n")
    code = (
        "import os, image_classification.machine.environment as e\n"
        "with e.an_airflow_of_its_own():\n"
        "    from airflow.sdk import DAG\n"
        "print(os.environ['AIRFLOW_HOME'], os.environ['AIRFLOW__CORE__EXECUTOR'])"
    )
    left = {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__EXECUTOR": "NoSuch"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | left,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"{tmp_path} NoSuch\n", done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["airflow.cfg"]
