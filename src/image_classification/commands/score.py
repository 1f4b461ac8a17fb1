"""The command that scores images with the champion."""

from __future__ import annotations

from pathlib import Path

import click

from image_classification.commands.console import (
    as_json_option,
    check_suffix,
    report_errors,
    run_pipeline,
    say,
    show_table,
)
from image_classification.configuration import names
from image_classification.vendor.kedro import locate_file


@click.command()
@click.argument("path")
@click.option("--to", type=click.Path(path_type=Path), help="A .parquet or .csv file.")
@click.option(
    "--allow",
    "places",
    multiple=True,
    help="A folder, or the beginning of URLs, of images that the list may name. May be repeated.",
)
@as_json_option
@report_errors
def score(path: str, to: Path | None, places: tuple[str, ...], as_json: bool) -> None:
    """Score PATH with the champion: a folder of images, or a list of them.

    A list is a .txt with a path per line, or a .csv or .parquet with a column `path`. It names
    images of its own folder, of the storage, and of what --allow or `scoring_places` (globals.yml)
    names.
    """
    if to is not None:
        check_suffix(to)
    place, *allowed = (
        name if "://" in name else str(Path(name).absolute()) for name in (path, *places)
    )
    catalog = run_pipeline(
        "inference", inference={"images": place}, named_places=[place, *allowed]
    ).catalog
    say(catalog.load(names.SCORE_SUMMARY)["outcome"], err=as_json)
    if as_json or to is not None:
        show_table(catalog.load(names.SCORES), [], to, as_json=as_json)
    else:
        say(f"Table: {locate_file(catalog[names.SCORE_TABLE])}")
