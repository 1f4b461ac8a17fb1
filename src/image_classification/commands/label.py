"""The command that corrects labels."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from image_classification.commands.console import (
    load_entry,
    open_context,
    report_errors,
    save_entry,
    say,
)
from image_classification.configuration import names
from image_classification.errors import DataError
from image_classification.intake import correction, index
from image_classification.intake.request import (
    Relabelling,
    Request,
    group_changes,
    name_image,
    read_requests,
)

if TYPE_CHECKING:
    from image_classification.intake.correction import LabelChange

FAULTS_SHOWN = 100
"""At most this many rows of a list that cannot be used are printed."""


@click.command()
@click.argument("image", required=False)
@click.option("--to", "label", help="The class that it belongs to.")
@click.option("--reason", default="", help="Why; kept for ever.")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A .csv file with the columns image, label and, if wanted, reason.",
)
@click.option("--by", default=getpass.getuser, show_default="your user name", help="Who says so.")
@report_errors
def relabel(
    image: str | None, label: str | None, reason: str, source: Path | None, by: str
) -> None:
    """Correct the label of IMAGE, or of all images of a list.

    IMAGE is a file, or the sha256, the path or the name of one, as in the index. The next intake
    carries the correction out, and the next night trains on it. An image in conflict, because it
    was delivered under two labels, is trained on again with the label that it is given. A row of a
    list that cannot be used keeps its reason, and the others are recorded.
    """
    if (image is None) == (source is None) or (image is None) != (label is None):
        raise click.UsageError("Give either IMAGE and --to, or --from.")
    if not by.strip():
        raise click.UsageError("--by is empty: who says so?")
    if source is None:
        requests = [Request(name_image(str(image)), str(label), reason)]
    else:
        requests = read_requests(source.read_bytes(), reason)
    changes, faults = _judge(requests)
    for request, fault in faults[:FAULTS_SHOWN]:
        place = f"  - line {request.line}: " if request.line else "  - "
        say(f"{place}{fault}", err=True)
    if len(faults) > FAULTS_SHOWN:
        click.echo(f"  - … and {len(faults) - FAULTS_SHOWN} more", err=True)
    if not changes:
        raise DataError("No label was corrected: see above.")
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    records = {
        correction.name_record(at, correction.RELABEL, record["labels"][0]["image_id"][:12]): record
        for record in group_changes(changes, by, at).values()
    }
    save_entry(open_context(), names.LABEL_CORRECTIONS, records)
    left = f"; {len(faults)} could not be used" if faults else ""
    say(f"Recorded: {len(changes)} labels corrected by {by}{left}.")
    if source is None:
        ((_, change),) = changes
        say(f"{change['path']}: {change['before'] or 'no label'} → {change['after']}")
    click.echo(
        "The next intake carries it out. Which versions have learned from an image: "
        "image-classification lineage --image IMAGE"
    )


def _judge(
    requests: list[Request],
) -> tuple[list[tuple[Request, LabelChange]], list[tuple[Request, str]]]:
    """Return what requests change, and why others cannot be done."""
    context = open_context()
    corrections = load_entry(context, names.LABEL_CORRECTIONS)
    log = correction.foresee(load_entry(context, names.IMAGE_INDEX), corrections)
    accepted = index.select_accepted(log)
    classes = index.name_classes(accepted, context.params["data_processing"]["classes"])
    relabelling = Relabelling(log, classes)
    changes, faults = [], []
    for request in requests:
        judged = relabelling.judge(request)
        if isinstance(judged, str):
            faults.append((request, judged))
        else:
            changes.append((request, judged))
    return changes, faults
