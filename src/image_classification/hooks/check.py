"""Refuse a wrong configuration, a wrong dataset or a dead server before any work starts."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from image_classification import tracking
from image_classification.champion import sandbox, signature
from image_classification.configuration import names
from image_classification.configuration.bounds import check_bounds
from image_classification.configuration.parameters import check_parameters
from image_classification.configuration.signing import read_signing
from image_classification.configuration.storage import close_storage, read_mode
from image_classification.datasets import cache
from image_classification.datasets.neighbour import mark_folder
from image_classification.datasets.secret import find_key
from image_classification.datasets.store import check_store
from image_classification.errors import ConfigurationError, name_near_misses
from image_classification.machine.environment import settle

GLOBALS = (
    "storage_root",
    "incoming",
    "images",
    "registered_model_name",
    "scoring_places",
    "signing",
    "storage_mode",
    "incoming_mode",
    "cache",
    "cache_gib",
)


class CheckHook:
    """Refuse a wrong configuration or a dead MLflow server before any work starts."""

    def __init__(self) -> None:
        self._own: dict[str, str] = {}

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Check parameters, what this run changes of them, globals and the tracking store.

        The storage is closed to others before anything is written there; an object store is tried.
        """
        settle()
        loader: Any = context.config_loader
        settings = loader["globals"]
        for key in settings:
            if key not in GLOBALS:
                raise ConfigurationError(
                    f"conf/*/globals.yml: '{key}' is not a key. Allowed: {', '.join(GLOBALS)}."
                    f"{name_near_misses(key, GLOBALS)}"
                )
        signing = read_signing(settings["signing"])
        check_parameters(loader["parameters"])
        check_bounds(loader.read_configured(), loader["parameters"])
        modes = [read_mode(name, settings[name]) for name in ("storage_mode", "incoming_mode")]
        close_storage(settings["storage_root"], settings["incoming"], *modes)
        cache.use(settings["cache"], settings["cache_gib"])
        check_store(settings["storage_root"])
        cache.heed_forgotten(settings["storage_root"])
        if signing["method"] == "key":
            signing["private_key"] = find_key(signing["private_key"])
        signature.use(signing)
        # What lies beside it is another project's, or another environment's.
        root = str(settings["storage_root"]).removesuffix(f"/{loader.scope.prefix}")
        sandbox.hide(root, signing.get("private_key", ""))
        places = (str(settings[key]) for key in ("storage_root", "incoming", "images"))
        self._own = dict.fromkeys(places, loader.scope.prefix) if loader.scope.prefix else {}
        mlflow = loader["mlflow"]
        # If the run is open, an earlier task has asked the server; this one may wait for it.
        is_open = bool(mlflow.get("tracking", {}).get("run", {}).get("id"))
        uri = mlflow.get("server", {}).get("mlflow_tracking_uri") or ""
        tracking.prepare_store(uri, ask=not is_open)

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Refuse a dataset that the catalog does not declare: Kedro would keep it in memory only.

        An intake marks what is this project's of places that others may share.

        Raises:
            ConfigurationError: the catalog does not declare a dataset; the message names it.
        """
        for name in sorted(pipeline.datasets()):
            if name not in catalog:
                raise ConfigurationError(
                    f"Dataset '{name}' is not in conf/base/catalog.yml, and nothing may pass "
                    f"between nodes in memory.{name_near_misses(name, catalog.keys())} Declare it."
                )
        if names.INCOMING_BATCHES in pipeline.inputs():
            for place, name in self._own.items():
                with suppress(OSError):  # a folder that may only be read is nobody else's
                    mark_folder(place, name)
