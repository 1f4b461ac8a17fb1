"""The files of a packaged model: signed when they are logged, checked whenever they are fetched."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from image_classification import tracking
from image_classification.champion import registry, signature
from image_classification.champion.consumer import GOLDEN_CELLS
from image_classification.errors import RegistryError, SignatureError

logger = logging.getLogger(__name__)

CODE = "code/image_classification"
"""Where MLflow puts this project among the files of a model: all of it, as it is asked to."""

CARRIED = (
    "__init__.py",
    "errors.py",
    "text.py",
    "gate/__init__.py",
    "gate/prediction.py",
    "intake/__init__.py",
    "intake/colour.py",
    "intake/picture.py",
    "machine/__init__.py",
    "machine/environment.py",
    "machine/keras_home/*",
    "machine/place.py",
    "pipelines/__init__.py",
    "pipelines/packaged/*.py",
    "vendor/__init__.py",
    "vendor/kedro_runner.py",
    "vendor/tensorflow.py",
    "vision/*.py",
)
"""What of it a model carries: what answers, and nothing that trains, decides or is served. Each
file is one request where it is uploaded, and one wherever the model is fetched."""


@dataclass(frozen=True)
class ModelParts:
    """The files of a packaged model that later runs need."""

    network: Path
    class_names: list[str]


def seal(model_name: str, folder: Path, golden_cells: pd.DataFrame) -> None:
    """Complete the files of a model before they are uploaded, and sign them all.

    Args:
        model_name: that it will be registered as.
        folder: the model's files.
        golden_cells: images and the network's answers, which become one of the files.

    Raises:
        SignatureError: the key cannot be used.
    """
    _leave_out_code(folder / CODE)
    golden_cells.to_parquet(folder / GOLDEN_CELLS, index=False)
    _sign_versions_of_before(model_name)
    signature.sign_folder(folder)


def _leave_out_code(code: Path) -> None:
    """Remove the modules that no packaged model needs."""
    carried = {path for pattern in CARRIED for path in code.glob(pattern)}
    for path in sorted(code.rglob("*"), reverse=True):  # a folder after all that is in it
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        elif path.is_file() and path not in carried:
            path.unlink()


@contextmanager
def fetch_files(model_name: str, version: str) -> Iterator[Path]:
    """Fetch the files of a version, or of an alias, into a folder that is deleted at the end.

    Nothing of a model may be loaded that did not come through here.

    Raises:
        SignatureError: they are not the files that this installation has signed for this version.
        RegistryError: there is no such version; or the files are gone, or cannot be fetched.
    """
    if not signature.is_used():
        logger.warning("No project is loaded: the signature of '%s' is not checked", model_name)
        with _download(model_name, version) as path:
            yield path
        return
    _sign_versions_of_before(model_name)
    found = _resolve(model_name, version)
    with _download(model_name, str(found.version)) as path:
        title = f"Version {found.version} of '{model_name}'"
        signature.check_folder(path, title)
        _check_identity(path, found, title)
        yield path


def countersign(model_name: str, version: str, files: Path) -> None:
    """Sign a version that another installation has made, and that was checked.

    Args:
        model_name: the registered model of this installation.
        version: of it.
        files: those of the version, as the other installation has signed them.

    Raises:
        SignatureError: this installation signs by no key of its own, and trusts no other signer.
    """
    title = f"Version {version} of '{model_name}'"
    _sign_versions_of_before(model_name)
    try:
        signature.check_folder(files, title)
    except SignatureError:
        name = signature.name_countersignature()
        if not name:
            raise
        signature.sign_folder(files, name)
        model_id = registry.find_model_id(model_name, version)
        tracking.attach_file(str(model_id), files / name)


@contextmanager
def open_parts(model_name: str, version: str) -> Iterator[ModelParts]:
    """Fetch the network file and the class names of a version; the file is deleted at the end.

    Raises:
        RegistryError: the version was not packaged by this project, or its files are gone.
    """
    uri = f"models:/{model_name}/{version}"
    with fetch_files(model_name, version) as path:
        artifacts = _read_model(path, uri).flavors.get("python_function", {}).get("artifacts", {})
        missing = {"network", "class_names"} - set(artifacts)
        if missing:
            raise RegistryError(
                f"{uri} carries no artifact named {', '.join(sorted(missing))}: it was not logged "
                "by this project's training pipeline. Give the alias to a version that was."
            )
        try:
            class_names = json.loads((path / artifacts["class_names"]["path"]).read_text())
        except (OSError, ValueError) as error:
            raise RegistryError(f"The class names of {uri} cannot be read: {error}") from error
        yield ModelParts(path / artifacts["network"]["path"], class_names)


def name_uri(model_name: str, version: str) -> str:
    """Return MLflow's URI of a version, or of an alias."""
    separator = "@" if version in (registry.CHAMPION, registry.CHALLENGER) else "/"
    return f"models:/{model_name}{separator}{version}"


def split_uri(model_uri: str) -> tuple[str, str]:
    """Return the registered model of such a URI, and the version or alias."""
    model_name, version = re.split("[@/]", model_uri.removeprefix("models:/"))
    return model_name, version


def _resolve(model_name: str, version: str) -> ModelVersion:
    if version not in (registry.CHAMPION, registry.CHALLENGER):
        return registry.get_version(model_name, version)
    found = registry.find_version(model_name, version)
    if found is None:
        raise RegistryError(f"No version of '{model_name}' has the alias '{version}'.")
    return found


@contextmanager
def _download(model_name: str, version: str) -> Iterator[Path]:
    uri = name_uri(model_name, version)
    with TemporaryDirectory() as folder:
        try:
            path = Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder))
        except (OSError, MlflowException) as error:
            # A dead server is not a broken model, and raises another error.
            tracking.prepare_store(tracking.read_uri())
            raise RegistryError(f"The files of {uri} cannot be fetched: {error}") from error
        yield path


def _check_identity(path: Path, version: ModelVersion, title: str) -> None:
    """Check that signed files are those of this very version, not a copy of another one's.

    Raises:
        SignatureError: they belong to another model.
    """
    made_as = _read_model(path, title).model_id
    registered = registry.read_model_id(version)
    if made_as and registered and made_as != registered:
        raise SignatureError(
            f"{title} was registered as model {registered}, and its files are those of model "
            f"{made_as}. {signature.REMEDY}"
        )


def _read_model(path: Path, title: str) -> Model:
    try:
        return Model.load(str(path))
    except (OSError, MlflowException) as error:
        raise RegistryError(f"{title} is no whole MLflow model: {error}") from error


def _sign_versions_of_before(model_name: str) -> None:
    """Sign, once, the versions that were registered before this installation signed any."""
    if not signature.needs_key():
        return
    with signature.make_key() as is_first:
        if not is_first:
            return
        for version in registry.list_versions(model_name):
            try:
                _sign_version(model_name, version)
            except RegistryError as error:
                logger.warning("Version %s stays without a signature: %s", version.version, error)


def _sign_version(model_name: str, version: ModelVersion) -> None:
    model_id = registry.read_model_id(version)
    if model_id is None:
        raise RegistryError(f"its source is no logged model, but {version.source}")
    with _download(model_name, str(version.version)) as path:
        if (path / signature.SIGNATURE).exists():
            return
        signature.sign_folder(path)
        tracking.attach_file(model_id, path / signature.SIGNATURE)
    logger.warning(
        "Signed version %s of '%s' as it is now: it was registered before models were signed",
        version.version,
        model_name,
    )
