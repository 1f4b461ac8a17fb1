"""What other projects left in the environment: cleaned before a library reads it, or refused.

It is called before TensorFlow, Keras, MLflow or Airflow is imported, so it imports none of them.
"""

from __future__ import annotations

import locale
import os
import sys
import sysconfig
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
from zoneinfo import ZoneInfo

from image_classification.errors import ConfigurationError
from image_classification.machine.place import open_own_folder

Variables = MutableMapping[str, str]

KERAS = {"KERAS_BACKEND": "tensorflow"}
"""What Keras reads once, as it is imported, and what the networks of this project need."""

KERAS_HOME = Path(__file__).parent / "keras_home"
"""A folder with the `keras.json` that the networks need: a user's own may say otherwise."""

DROPPED = {
    # Keras and TensorFlow
    "KERAS_MAX_EPOCHS": "it would cut every training short",
    "KERAS_MAX_STEPS_PER_EPOCH": "it would cut every training short",
    "KERAS_NNX_ENABLED": "it is for another backend of Keras",
    "KERAS_TORCH_DEVICE": "it is for another backend of Keras",
    "TF_CONFIG": "it is the cluster of another training",
    "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "TensorFlow brings its own",
    "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION_VERSION": "TensorFlow brings its own",
    # git, which names the commit of the code that runs
    "GIT_DIR": "it is another repository",
    "GIT_WORK_TREE": "it is another repository",
    "GIT_INDEX_FILE": "it is another repository",
    "GIT_COMMON_DIR": "it is another repository",
    "GIT_OBJECT_DIRECTORY": "it is another repository",
    "GIT_NAMESPACE": "it is another repository",
    # Python
    "PYTHONWARNINGS": "a warning of a library is no error of this project",
    "PYTHONIOENCODING": "texts are UTF-8",
    "MATPLOTLIBRC": "figures look alike on every machine",
}
"""Variables that decide what another project wanted, each with the reason why it is ignored."""

MLFLOW_KEPT = (
    "MLFLOW_TRACKING_",
    "MLFLOW_HTTP_",
    "MLFLOW_S3_",
    "MLFLOW_GCS_",
    "MLFLOW_ARTIFACT_",
    "MLFLOW_ARTIFACTS_DESTINATION",
    "MLFLOW_MULTIPART_",
    "MLFLOW_SQLALCHEMYSTORE_",
    "MLFLOW_SUPPRESS_",
    "MLFLOW_DISABLE_TELEMETRY",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR",
    "MLFLOW_ENABLE_MULTIPART_",
    "MLFLOW_LOGGING_",
    "MLFLOW_AUTH_",
    "MLFLOW_FLASK_",
    "MLFLOW_SERVER_",
    "MLFLOW_CREATE_MODEL_VERSION_",
    "MLFLOW_WORKSPACE",
    "MLFLOW_PORT",
)
"""How MLflow is reached. All else of it says what is written where: a run, an experiment, a
registry, a model; this project names each of them itself."""

PROXIES = ("http_proxy", "https_proxy", "all_proxy")
HERE = ("localhost", "127.0.0.1", "::1")
"""Hosts that are never asked through a proxy."""

CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

SERVICE_PREFIXES = (
    "AIRFLOW",
    "FLASK_",
    "UVICORN_",
    "GUNICORN_",
    "WEB_CONCURRENCY",
    "PYTHON",
    "CELERY_",
    "VIRTUAL_ENV",
    "CONDA_",
)
"""Of variables by which another server, or another Python, is set up."""

ignored: list[str] = []
"""What `settle` has ignored in this process, for `doctor`."""


def settle() -> list[str]:
    """Clean the environment of this process; return a sentence for each thing that is ignored.

    Raises:
        ConfigurationError: something cannot be undone any more; the message says what to do.
    """
    before = dict(os.environ)
    told = clean(os.environ)
    if "PYTHONWARNINGS" in before:
        warnings.resetwarnings()
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning):
            warnings.simplefilter("ignore", category)
    if before.get("TZ") != os.environ.get("TZ"):
        time.tzset()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.encoding.lower() != "utf-8":
            stream.reconfigure(errors="backslashreplace")
    ignored.extend(told)
    refuse()
    return told


def settle_command() -> None:
    """Clean the environment of a command, or end it with a sentence."""
    try:
        settle()
    except ConfigurationError as error:
        sys.exit(f"Error: {error}")


def settle_keras() -> None:
    """Let Keras be imported with TensorFlow, also where a packaged model is loaded elsewhere.

    Raises:
        ConfigurationError: this process has imported Keras with another backend.
    """
    imported = sys.modules.get("keras.src.backend.config")
    if imported is not None and (backend := imported.backend()) != KERAS["KERAS_BACKEND"]:
        raise ConfigurationError(
            f"Keras was imported with the backend '{backend}', and the network needs 'tensorflow'. "
            "Set KERAS_BACKEND=tensorflow before Keras is imported."
        )
    ignored.extend(_set_backend(os.environ))


def clean(variables: Variables) -> list[str]:
    """Change variables so that what another project left there does nothing.

    Args:
        variables: of an environment; changed in place.

    Returns:
        A sentence for each variable that said something else and is ignored.
    """
    return [sentence for rule in RULES for sentence in rule(variables)]


def clean_for_services(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for services of our own: Airflow's connections are all that stays."""
    ours = dict(variables)
    clean(ours)
    return {
        name: value
        for name, value in ours.items()
        if not name.startswith(SERVICE_PREFIXES) or name.startswith("AIRFLOW_CONN_")
    } | {"PYTHONUTF8": "1"}


@contextmanager
def an_airflow_of_its_own() -> Iterator[None]:
    """Let Airflow be imported as a library, whatever another Airflow is told here or at home.

    As it is imported, Airflow reads its configuration, and writes one where there is none.
    """
    if "airflow" in sys.modules:
        yield
        return
    told = {name: value for name, value in os.environ.items() if name.startswith("AIRFLOW")}
    for name in told:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="airflow-") as home:
        os.environ["AIRFLOW_HOME"] = home
        try:
            yield
        finally:
            del os.environ["AIRFLOW_HOME"]
            os.environ.update(told)


def refuse() -> None:
    """Check what cannot be cleaned in a process that has started.

    Raises:
        ConfigurationError: PYTHONPATH hides installed packages, or texts would not be UTF-8.
    """
    if faults := [*find_hidden_packages(os.environ.get("PYTHONPATH", "")), *_find_encoding()]:
        raise ConfigurationError(" ".join(faults))


def _find_encoding() -> Iterator[str]:
    encoding = "utf-8" if sys.flags.utf8_mode else locale.getencoding().lower()
    if encoding not in ("utf-8", "utf8"):
        yield (
            f"Texts would be read and written as {encoding}, by LANG or LC_ALL; UTF-8 is needed. "
            "Start again with PYTHONUTF8=1."
        )


def find_hidden_packages(path: str) -> Iterator[str]:
    """Return a sentence for each folder of PYTHONPATH that hides what is installed."""
    if not path:
        return
    site = Path(sysconfig.get_path("purelib"))
    known = (_list_importable(site) | sys.stdlib_module_names) - {"image_classification"}
    for place in filter(None, path.split(os.pathsep)):
        hidden = sorted(known & _list_importable(Path(place)))
        if hidden and Path(place).resolve() != site.resolve():
            more = f" and {len(hidden) - 3} more" if len(hidden) > 3 else ""
            yield (
                f"PYTHONPATH names '{place}', whose {', '.join(hidden[:3])}{more} would be used "
                "instead of what is installed for this project. Start again without it: "
                "unset PYTHONPATH"
            )


def _list_importable(folder: Path) -> set[str]:
    """Return the names by which modules and packages of a folder are imported."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return set()
    names = {entry.name.partition(".")[0] for entry in entries if entry.name.endswith(".py")}
    names |= {entry.name for entry in entries if "." not in entry.name and entry.is_dir()}
    return names - {"__pycache__", "tests", "test", "docs", "bin", "examples", "scripts"}


# ---- Each rule changes variables, and tells what it ignores.


def _set_backend(variables: Variables) -> Iterator[str]:
    asked = variables.get("KERAS_BACKEND", "tensorflow")
    variables.update(KERAS)
    if asked != "tensorflow":
        yield f"KERAS_BACKEND={asked} is ignored: the networks need TensorFlow."
    if variables.pop("TF_USE_LEGACY_KERAS", "") not in ("", "0", "false", "False"):
        yield "TF_USE_LEGACY_KERAS is ignored: the networks are of Keras 3."


def _set_keras_home(variables: Variables) -> Iterator[str]:
    variables["KERAS_HOME"] = str(KERAS_HOME)
    yield from ()


def _drop(variables: Variables) -> Iterator[str]:
    for name, reason in DROPPED.items():
        if variables.pop(name, ""):
            yield f"{name} is ignored: {reason}."


def _drop_mlflow(variables: Variables) -> Iterator[str]:
    for name in sorted(variables):
        known = name.startswith(MLFLOW_KEPT)
        if name == "_MLFLOW_ACTIVE_MODEL_ID" or (name.startswith("MLFLOW_") and not known):
            del variables[name]
            yield f"{name} is ignored: this project names its own runs and models."
    if "://" in (uri := variables.get("MLFLOW_TRACKING_URI", "")) and uri.startswith("http"):
        return
    if variables.pop("MLFLOW_WORKSPACE", ""):
        yield "MLFLOW_WORKSPACE is ignored: MLFLOW_TRACKING_URI names no server."


def _bypass_proxy(variables: Variables) -> Iterator[str]:
    given = [name for name in variables if name.lower() in PROXIES and variables[name]]
    for name in given:
        if variables[name].startswith("socks") and not (
            find_spec("socksio") and find_spec("socks")
        ):
            del variables[name]
            yield f"{name} is ignored: nothing that is installed speaks to a SOCKS proxy."
    if given:
        hosts = variables.get("no_proxy") or variables.get("NO_PROXY") or ""
        listed = [host.strip() for host in hosts.split(",") if host.strip()]
        listed += [host for host in HERE if host not in listed]
        variables["no_proxy"] = variables["NO_PROXY"] = ",".join(listed)


def _drop_lost_certificates(variables: Variables) -> Iterator[str]:
    for name in CERTIFICATES:
        places = variables.get(name, "").split(os.pathsep)
        if variables.get(name) and not any(os.path.exists(place) for place in places):  # noqa: PTH110 - no Path is made at each start
            yield f"{name} is ignored: there is no '{variables.pop(name)}'."


def _name_user(variables: Variables) -> Iterator[str]:
    """A container may run as a user without a name, and without a home."""
    if os.name == "posix" and not any(variables.get(name) for name in ("LOGNAME", "USER")):
        import pwd  # noqa: PLC0415 - Windows has none

        try:
            pwd.getpwuid(os.getuid())
        except KeyError:
            variables["LOGNAME"] = variables["USER"] = f"uid-{os.getuid()}"
            variables.setdefault("HOME", "/")
    yield from ()


def _find_home(variables: Variables) -> Iterator[str]:
    """Matplotlib and others write below the home; where that fails, each takes seconds for it."""
    home = variables.get("HOME")
    if home is not None and not os.access(home, os.W_OK):
        place = open_own_folder(Path(tempfile.gettempdir()))
        for name in ("MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
            variables.setdefault(name, str(place))
    yield from ()


def _settle_figures(variables: Variables) -> Iterator[str]:
    """A notebook leaves a backend of its own; figures are drawn into files."""
    variables["MPLBACKEND"] = "agg"
    yield from ()


def _drop_lost_logging(variables: Variables) -> Iterator[str]:
    place = variables.get("KEDRO_LOGGING_CONFIG", "")
    if place and not os.path.isfile(os.path.expanduser(place)):  # noqa: PTH111, PTH113 - as above
        del variables["KEDRO_LOGGING_CONFIG"]
        yield f"KEDRO_LOGGING_CONFIG is ignored: there is no '{place}'."


def _settle_time_zone(variables: Variables) -> Iterator[str]:
    zone = variables.get("TZ", "").removeprefix(":")
    # The long form, such as CET-1CEST, has a digit; a file has its whole path.
    if not zone or any(map(str.isdigit, zone)) or zone.startswith("/"):
        return
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        variables["TZ"] = "UTC"
        yield f"TZ={zone} is ignored: there is no such time zone. UTC is used."


RULES: tuple[Callable[[Variables], Iterator[str]], ...] = (
    _set_backend,
    _set_keras_home,
    _drop,
    _drop_mlflow,
    _bypass_proxy,
    _drop_lost_certificates,
    _name_user,
    _find_home,
    _settle_figures,
    _drop_lost_logging,
    _settle_time_zone,
)
