"""The command that looks at machine, services and stores, and says what has to be mended."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import click

from image_classification.commands.console import report_errors, say
from image_classification.configuration.location import find_project_path
from image_classification.configuration.plain import PlainConfiguration
from image_classification.errors import ConfigurationError, RegistryError, TrackingError
from image_classification.machine import stack
from image_classification.machine.fitness import CLOCK_TOLERANCE_S, Finding, examine

ANSWER_TIMEOUT_S = 5

PLACES = {
    "incoming": "IMAGE_CLASSIFICATION_INCOMING",
    "images": "IMAGE_CLASSIFICATION_IMAGES",
}
"""Places that hold batches, each with the variable that names it."""


@click.command()
@report_errors
def doctor() -> None:
    """Say what keeps the project from working on this machine, each with its remedy.

    It looks at the environment, the packages, the configuration, the storage with its disk and its
    clock, MLflow with its registry, and the services that `make up` has started. It exits with 1
    if anything has to be mended.
    """
    findings = list(diagnose(find_project_path()))
    for finding in findings:
        say(str(finding))
    if any(finding.remedy for finding in findings):
        raise click.exceptions.Exit(1)
    say("Nothing has to be mended.")


def diagnose(project: Path) -> Iterator[Finding]:
    """Look at everything; yield what has to be mended, or is worth knowing."""
    try:
        configuration = PlainConfiguration()
        settings = configuration["globals"]
        uri = str(configuration["mlflow"]["server"]["mlflow_tracking_uri"])
        model_name = str(settings["registered_model_name"])
    except ConfigurationError as error:
        yield Finding("configuration", str(error), "Correct it in conf/, or in KEDRO_ENV.")
        yield from examine(project, str(project / "data"))
        yield from examine_services(project)
        return
    yield from examine(project, str(settings["storage_root"]))
    yield from examine_bucket(str(settings["storage_root"]))
    yield from examine_neighbours(settings)
    yield from examine_configuration(configuration)
    yield from examine_services(project)
    yield from examine_store(uri, model_name)


def examine_configuration(configuration: PlainConfiguration) -> Iterator[Finding]:
    """Check the parameters, the names and the modes that the files say."""
    from image_classification.configuration.parameters import check_parameters
    from image_classification.configuration.storage import read_mode

    try:
        check_parameters(configuration["parameters"])
        for name in ("storage_mode", "incoming_mode"):
            read_mode(name, configuration["globals"][name])
    except ConfigurationError as error:
        yield Finding("configuration", str(error), "Correct the files in conf/.")


def examine_bucket(root: str) -> Iterator[Finding]:
    """Look whether an object store can be relied on; of a folder, say nothing."""
    from image_classification.datasets.store import check_store

    try:
        check_store(root)
    except (ConfigurationError, OSError) as error:
        yield Finding("storage", str(error), "Do as this sentence says.")


def examine_neighbours(settings: Mapping[str, Any]) -> Iterator[Finding]:
    """Look whether another project has a folder where this one expects batches alone."""
    from image_classification.datasets.neighbour import list_neighbours

    for key, variable in PLACES.items():
        place = str(settings[key])
        try:
            found = list_neighbours(place)
        except OSError as error:
            yield Finding("storage", f"'{place}' cannot be listed: {error}.", "Give access to it.")
            continue
        for name in found:
            yield Finding(
                "storage",
                f"'{place}/{name}' is the folder of another project, and is left alone. What is "
                f"delivered as '{name}' would go to that one.",
                f"Name another folder in {variable}, or give this project a name (conf/base/"
                "project.yml), which moves it into a folder of its own: docs/environments.md.",
            )


def examine_services(project: Path) -> Iterator[Finding]:
    """Look which services of the stacks that were started do run, and whether they answer."""
    for name in stack.STACKS:
        state = stack.read_state(name, project)
        if state is None:
            continue
        again = f"make down STACK={name}; make up STACK={name}"
        for when, service in state.restarts[-3:]:
            sentence = f"{service} of the stack '{name}' had died, and was started again at {when}."
            yield Finding("services", sentence)
        dead = state.list_dead()
        for service in dead:
            log = state.folder / "logs" / f"{service}.log"
            yield Finding(
                "services",
                f"{service} of the stack '{name}' has died; its log is '{log}'.",
                # What is not the watcher itself is started again within seconds.
                again if stack.WATCHER in dead else f"Wait a minute; where it stays so: {again}",
            )
        if not dead:
            yield from _ask_airflow(state, again)


def _ask_airflow(state: stack.StackState, again: str) -> Iterator[Finding]:
    import requests

    address = f"http://{stack.HOST}:{state.airflow_port}"
    try:
        parts = requests.get(f"{address}/api/v2/monitor/health", timeout=ANSWER_TIMEOUT_S).json()
    except (requests.RequestException, ValueError) as error:
        yield Finding("services", f"Airflow at {address} does not answer: {error}", again)
        return
    for part, answer in parts.items():
        if isinstance(answer, dict) and answer.get("status") == "unhealthy":
            sentence = f"Airflow at {address} says that its {part} is unhealthy."
            yield Finding("services", sentence, again)


def examine_store(uri: str, model_name: str) -> Iterator[Finding]:
    """Look at MLflow's store, its clock, and the champion in its registry."""
    from image_classification import tracking
    from image_classification.champion import registry

    shown = tracking.hide_login(uri)
    file = Path(uri.removeprefix(tracking.SQLITE))
    if uri.startswith(tracking.SQLITE) and "://" not in str(file) and not file.exists():
        yield Finding("mlflow", f"'{shown}' is not there yet: the first run makes it.")
        return
    try:
        tracking.prepare_store(uri)
    except TrackingError as error:
        yield Finding("mlflow", str(error), "Do as this sentence says.")
        return
    if uri.startswith("http"):
        yield from _compare_clocks(uri)
    tracking.connect(uri)
    try:
        champion = registry.find_champion(model_name)
    except RegistryError as error:
        yield Finding("registry", str(error), "Do as this sentence says.")
        return
    if champion is None:
        yield Finding("registry", f"'{model_name}' has no champion yet.")


def _compare_clocks(uri: str) -> Iterator[Finding]:
    import requests

    answer = requests.get(f"{uri.rstrip('/')}/health", timeout=ANSWER_TIMEOUT_S)
    if not (date := answer.headers.get("Date")):
        return
    apart = time.time() - parsedate_to_datetime(date).timestamp()
    if abs(apart) > CLOCK_TOLERANCE_S:
        yield Finding(
            "clock",
            f"This machine is {apart / 60:+.0f} minutes from the MLflow server.",
            "Set the clock of one of them.",
        )
