"""The command that takes a version from one environment to another."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from image_classification.commands.completion import complete_version
from image_classification.commands.console import open_context, open_dataset, report_errors, say
from image_classification.configuration import names
from image_classification.errors import ConfigurationError

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext

    from image_classification.champion.handover import Party


@click.command("copy-version")
@click.argument("version", shell_complete=complete_version)
@click.option("--from", "source", required=True, help="The environment whose version it is.")
@click.option("--to", "target", required=True, help="The environment whose champion it becomes.")
@click.option("--reason", default="", help="Why, where it was not promoted there; kept for ever.")
@click.option("--by", default="", help="A name to be kept beside your user name.")
@report_errors
def copy_version(version: str, source: str, target: str, reason: str, by: str) -> None:
    """Make VERSION of one environment, such as staging, champion of another, with its evidence.

    Its files, signature and promotion are checked, it answers its golden images in a fresh process,
    and both ledgers tell of it. `rollback` undoes it in the other environment.
    """
    from image_classification import tracking
    from image_classification.champion.handover import hand_over
    from image_classification.champion.statement import Statement, name_user

    giving, taking = open_context(source), open_context(target)
    addresses = [_locate_server(context) for context in (giving, taking)]
    if addresses[0] != addresses[1]:
        raise ConfigurationError(
            f"'{source}' and '{target}' use different MLflow stores ({', '.join(addresses)}), and "
            "a version is copied within one. Set MLFLOW_TRACKING_URI to a server of both."
        )
    title = f"copy_version {version} of {source} to {target}"
    giver, taker = (_open_party(context, title) for context in (giving, taking))
    succeeded = False
    try:
        statement = Statement(name_user(), typed=by, reason=reason)
        say(hand_over(giver, taker, version, statement))
        succeeded = True
    finally:
        for party in (giver, taker):
            tracking.close_run(party.release.run.mlflow_run_id, succeeded, title)


def _locate_server(context: KedroContext) -> str:
    return str(context.config_loader["mlflow"]["server"]["mlflow_tracking_uri"])


def _open_party(context: KedroContext, title: str) -> Party:
    from image_classification import tracking
    from image_classification.champion.handover import Party
    from image_classification.champion.release import Release
    from image_classification.champion.statement import DecisionRun, name_user
    from image_classification.configuration.signing import read_signing
    from image_classification.datasets.secret import find_key

    now = datetime.now(UTC)
    experiment_id = context.mlflow.open_experiment()  # type: ignore[attr-defined]
    run_id = tracking.open_run(
        experiment_id, f"copy_version/{now:%Y-%m-%dT%H-%M-%S.%f}", title, {"env": str(context.env)}
    )
    parameters, settings = context.params, context.config_loader["globals"]
    signing = read_signing(settings["signing"])
    if signing["method"] == "key":
        signing["private_key"] = find_key(signing["private_key"])
    release = Release(
        parameters["registered_model_name"],
        open_dataset(context, names.LEDGER),
        parameters["promotion"],
        DecisionRun(run_id, experiment_id=experiment_id, identity=name_user()),
    )
    return Party(str(context.env), release, signing, parameters["data_processing"]["classes"])
