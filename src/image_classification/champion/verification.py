"""Does the champion answer as stored? A fresh process loads it, as a consumer would."""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from image_classification.champion import consumer, package, registry, sandbox
from image_classification.errors import RegistryError, VerificationError

logger = logging.getLogger(__name__)

CONSUMER_TIMEOUT_S = 600
TIMED_CALLS = 9


def measure_version(model_name: str, version: str) -> dict[str, Any]:
    """Measure a registered version in a fresh process; see `consumer`.

    Returns:
        The result of `consumer.consume_model`, and `environment`, the digest of the installed
        packages.

    Raises:
        VerificationError: the version cannot be loaded, or cannot answer.
    """
    found = consume_version(package.name_uri(model_name, version), TIMED_CALLS)
    return found | {"environment": digest_environment()}


def verify_champion(
    model_name: str, version: str, tolerance: float, measured: Mapping[str, Any] | None = None
) -> None:
    """Check that a consumer of the champion gets this version, and that it answers as stored.

    The measures of this run are enough if the same packages are still installed, and if the alias
    leads to the same files, byte for byte. Otherwise a fresh process loads the champion.

    Args:
        model_name: the registered model.
        version: the version that the alias should point to.
        tolerance: the largest difference allowed between a probability and the stored one.
        measured: the result of `measure_version` in this run; None if it has not measured.

    Raises:
        VerificationError: the champion cannot be loaded, is another model, or answers differently.
    """
    uri = package.name_uri(model_name, registry.CHAMPION)
    answer = measured if measured and _still_holds(measured, model_name) else consume_version(uri)
    expected = registry.find_model_id(model_name, version)
    if expected and answer["model_id"] != expected:
        raise VerificationError(
            f"{uri} answers as model {answer['model_id']}, not as {expected}, which is version "
            f"{version}."
        )
    difference = answer["golden_difference"]
    if difference is None:
        logger.warning("Version %s keeps no golden images: its answers were not checked", version)
    elif not difference <= tolerance:
        raise VerificationError(
            f"Version {version} does not answer its golden images as it did when it was made: a "
            f"probability differs by {difference:.4g}, allowed: {tolerance:g} "
            "(promotion.golden_tolerance)."
        )
    logger.info("Verified: %s answers its golden images (within %s)", uri, difference)


def consume_version(model_uri: str, timed_calls: int = 0) -> dict[str, Any]:
    """Load a model in a fresh process, as a consumer would; return the result of `consumer`.

    This process fetches the files and checks their signature. The one that runs their code is
    confined (see `sandbox`) and gets nothing else.

    Args:
        model_uri: the URI of a version or an alias; see `package.name_uri`.
        timed_calls: how often one image is classified to measure the latency.

    Raises:
        VerificationError: the model cannot be fetched or loaded, is not what was signed, or cannot
            answer.
    """
    began = time.perf_counter()
    try:
        with (
            package.fetch_files(*package.split_uri(model_uri)) as files,
            TemporaryDirectory() as folder,
        ):
            fetch_s = time.perf_counter() - began
            answer = _consume(files, folder, timed_calls, model_uri)
    except VerificationError:
        raise
    except RegistryError as error:
        raise VerificationError(f"{model_uri} cannot be used: {error}") from error
    return answer | {"load_s": fetch_s + answer["load_s"]}


def _consume(files: Path, folder: str, timed_calls: int, model_uri: str) -> dict[str, Any]:
    file = Path(folder, "answer.json")
    # -I: neither the working directory nor PYTHONPATH may give it this project's code.
    command = [
        sys.executable,
        "-I",
        "-X",
        "utf8",
        consumer.__file__,
        str(files),
        str(file),
        str(timed_calls),
    ]
    try:
        done = subprocess.run(  # noqa: S603 - our own script
            sandbox.confine(command, folder, str(files)),
            cwd=folder,
            env=sandbox.make_environment(folder),
            capture_output=True,
            text=True,
            timeout=CONSUMER_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise VerificationError(
            f"{model_uri} did not answer within {CONSUMER_TIMEOUT_S} s in a fresh process."
        ) from None
    # The model's code may have put a link there, or a pipe that nobody writes into.
    if done.returncode or file.is_symlink() or not file.is_file():
        last = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise VerificationError(f"{model_uri} cannot be used in a fresh process:\n{last}")
    try:
        answer: dict[str, Any] = json.loads(file.read_text())
    except ValueError as error:
        raise VerificationError(f"{model_uri} gave no whole answer: {error}") from error
    return answer


@cache
def digest_environment() -> str:
    """Return 32 hex digits that change when Python or an installed package changes."""
    packages = {f"{found.name}=={found.version}" for found in distributions()}
    facts = [sys.version, sys.executable, *sorted(packages)]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:32]


def _still_holds(measured: Mapping[str, Any], model_name: str) -> bool:
    """Tell whether the champion has the same files and packages as when it was measured."""
    if not measured.get("files_digest") or measured.get("environment") != digest_environment():
        return False
    try:
        with package.fetch_files(model_name, registry.CHAMPION) as folder:
            return bool(consumer.digest_files(folder) == measured["files_digest"])
    except RegistryError as error:
        logger.warning("The champion's files are not those that were measured: %s", error)
        return False
