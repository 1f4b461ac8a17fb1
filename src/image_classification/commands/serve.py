"""The command that answers images over HTTP with the champion."""

from __future__ import annotations

import os
from dataclasses import replace

import click

from image_classification.champion import package, registry
from image_classification.commands.console import open_context, report_errors
from image_classification.commands.endpoint.message import Limits
from image_classification.commands.endpoint.worker import Task, Worker
from image_classification.errors import RegistryError

LIMITS = Limits()

CONNECTIONS = 256
"""More at the same time are told at once that the server is busy."""

KEPT_VARIABLES = ("PATH", "HOME", "USER", "TMPDIR", "TZ", "LANG", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
KEPT_PREFIXES = ("PYTHON", "LC_", "TF_", "KERAS_", "XLA_", "CUDA_", "NVIDIA_", "OMP_")
"""What the processes that decode strangers' images know of the environment: no password."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", default=5050, show_default=True, help="The port.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 64))
@click.option("--maximum-images", default=LIMITS.images, show_default=True, type=click.IntRange(1))
@click.option(
    *("--maximum-pixels", "--maximum-image-pixels"),
    "image_pixels",
    default=LIMITS.image_pixels,
    show_default=True,
    type=click.IntRange(1),
)
@click.option(
    "--maximum-seconds", default=LIMITS.seconds, show_default=True, type=click.FloatRange(0.1)
)
@report_errors
def serve(
    host: str,
    port: int,
    workers: int,
    maximum_images: int,
    image_pixels: int,
    maximum_seconds: float,
) -> None:
    """Answer images over HTTP with the version that is champion now.

    POST /invocations takes what `mlflow models serve` takes as JSON, and only images: no paths, no
    parameters. It listens to this machine unless --host says otherwise; it asks for no password.
    """
    # What no other command needs is imported by none.
    import uvicorn

    from image_classification.commands.endpoint.app import Endpoint
    from image_classification.vendor.uvicorn import PunctualProtocol

    limits = replace(
        LIMITS, images=maximum_images, image_pixels=image_pixels, seconds=maximum_seconds
    )
    model_name = str(open_context().params["registered_model_name"])
    version = registry.find_version(model_name, registry.CHAMPION)
    if version is None:
        raise RegistryError(
            f"Registered model '{model_name}' has no version with the alias 'champion'. Run the "
            "pipeline 'retraining' first."
        )
    with package.open_parts(model_name, version.version) as parts:
        _forget_secrets()
        task = Task(parts.network, limits.image_pixels)
        crew = [Worker(task, limits.seconds) for _ in range(workers)]
        click.echo(f"{model_name} v{version.version}: http://{host}:{port}/invocations")
        endpoint = Endpoint(crew, parts.class_names, str(version.version), limits)
        uvicorn.run(
            endpoint.make_app(),
            host=host,
            port=port,
            http=PunctualProtocol,
            ws="none",
            limit_concurrency=CONNECTIONS,
            access_log=False,
            server_header=False,
            log_level="warning",
        )


def _forget_secrets() -> None:
    for name in list(os.environ):
        if name not in KEPT_VARIABLES and not name.startswith(KEPT_PREFIXES):
            del os.environ[name]
