"""Model versions in the registry, without the minutes that training and packaging take."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from mlflow.models import Model

from image_classification.champion import registry, signature


def log_model(run_id: str, files: Path | None = None) -> str:
    """Log a model for a run; return its id.

    Args:
        run_id: the run.
        files: a folder whose files become those of the model.
    """
    client = MlflowClient()
    experiment_id = client.get_run(run_id).info.experiment_id
    logged = client.create_logged_model(experiment_id, name="model", source_run_id=run_id)
    if files is not None:
        client.log_model_artifacts(logged.model_id, str(files))
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    return str(logged.model_id)


def register_version(
    model_name: str, run_id: str, tags: Mapping[str, str], network: Path | None = None
) -> str:
    """Log a model for a run and register it as challenger; return the version.

    Args:
        model_name: the registered model.
        run_id: a run of MLflow.
        tags: of the version.
        network: a Keras file of two classes, which can then be opened; None for an empty model.
    """
    with TemporaryDirectory() as made:
        folder = _lay_out_parts(Path(made), network) if network is not None else None
        if folder is not None:
            sign(folder)
        model_id = log_model(run_id, folder)
    return str(registry.register_challenger(model_name, model_id, tags).version)


def sign(folder: Path) -> None:
    """Sign the files of a model with the key of the storage that is in force."""
    key = Path(os.environ["IMAGE_CLASSIFICATION_STORAGE"], "keys", "signing.pem")
    signature.use({"method": "key", "private_key": str(key)})
    with signature.make_key():
        signature.sign_folder(folder)


def _lay_out_parts(folder: Path, network: Path) -> Path:
    """Write what `package.open_parts` looks for, where kedro-mlflow puts it."""
    paths = {"network": "artifacts/network.keras", "class_names": "artifacts/class_names.json"}
    parts = {name: {"path": path} for name, path in paths.items()}
    (folder / "artifacts").mkdir()
    (folder / paths["network"]).write_bytes(network.read_bytes())
    (folder / paths["class_names"]).write_text(json.dumps(["Parasitized", "Uninfected"]))
    Model(flavors={"python_function": {"artifacts": parts}}).save(folder / "MLmodel")
    return folder
