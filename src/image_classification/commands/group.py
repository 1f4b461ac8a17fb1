"""The command `image-classification`; `kedro` knows the same verbs."""

from __future__ import annotations

import click

from image_classification.commands import (
    batch,
    check,
    decisions,
    image,
    label,
    policy,
    score,
    serve,
    watch,
)


@click.group(name="Image Classification")
def commands() -> None:
    """Deliver and score images, answer reviews, correct labels, read and undo decisions."""


for command in (
    batch.deliver,
    batch.batches,
    batch.review,
    batch.take_back,
    label.relabel,
    score.score,
    serve.serve,
    check.check,
    image.images,
    image.lineage,
    watch.trend,
    watch.show_profile,
    decisions.show_ledger,
    decisions.explain,
    decisions.rollback,
    policy.gate_report,
):
    commands.add_command(command)
