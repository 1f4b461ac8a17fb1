"""Pages of the reference, made from the code: they cannot say what it does not do."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click
import yaml

PROJECT = Path(__file__).resolve().parents[2]
# Kedro would take over the log, and the warnings about dead links with it.
os.environ["KEDRO_LOGGING_CONFIG"] = str(
    PROJECT / "src" / "image_classification" / "orchestration" / "kedro_logging.yml"
)

from image_classification.commands.group import commands  # noqa: E402
from image_classification.configuration.parameters import Parameters  # noqa: E402
from image_classification.gate.measure import MEASURES  # noqa: E402
from image_classification.pipeline_registry import register_pipelines  # noqa: E402


def write_pages() -> dict[str, str]:
    """Return the pages by name."""
    return {
        "reference/commands.md": write_commands(),
        "reference/parameters.md": write_parameters(),
        "reference/pipelines.md": write_pipelines(),
        "reference/catalog.md": write_catalog(),
        "reference/measures.md": write_measures(),
    }


def write_commands() -> str:
    """Return what each command says about itself."""
    context = click.Context(commands, info_name="image-classification")
    lines = ["# Commands", "", "What `--help` says of each.", ""]
    for name in commands.list_commands(context):
        command = commands.get_command(context, name)
        own = click.Context(command, info_name=name, parent=context)
        lines += [f"## `{name}`", "", "```text", command.get_help(own), "```", ""]
    return "\n".join(lines)


def write_parameters() -> str:
    """Return the files of parameters as they are, and what each key may be."""
    lines = [
        "# Parameters",
        "",
        "`conf/base`, file by file. An environment, `--params` or a form says what differs.",
        "",
    ]
    for file in sorted((PROJECT / "conf/base").glob("*.yml")):
        if file.name not in ("catalog.yml", "airflow.yml", "mlflow.yml"):
            lines += [f"## {file.name}", "", "```yaml", file.read_text(), "```", ""]
    lines += ["## What they may be", "", "| key | value |", "|---|---|"]
    lines += [f"| `{key}` | {allowed} |" for key, allowed in _list_keys(Parameters, "")]
    return "\n".join(lines)


def _list_keys(schema: Any, path: str) -> Iterator[tuple[str, str]]:
    for name, kind in get_type_hints(schema, include_extras=True).items():
        key = f"{path}{name}"
        if hasattr(kind, "__total__"):
            yield from _list_keys(kind, f"{key}.")
        else:
            yield key, _describe_type(kind)


def _describe_type(kind: Any) -> str:
    """Return a type and its range in words."""
    inner, bounds = kind, []
    if hasattr(kind, "__metadata__"):
        inner = get_args(kind)[0]
        for field in kind.__metadata__:
            for bound in getattr(field, "metadata", [field]):
                bounds += [
                    f"{sign} {getattr(bound, name)}"
                    for name, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
                    if getattr(bound, name, None) is not None
                ]
    literal = get_args(inner)
    if literal and all(isinstance(value, str) for value in literal):
        text = ", ".join(f"`{value}`" if value else "empty" for value in literal)
    elif literal and type(inner).__name__ in ("UnionType", "Union"):
        text = " or ".join(_describe_type(one) for one in literal)
    elif literal:
        text = f"{inner.__name__} of {', '.join(_describe_type(one) for one in literal)}"
    else:
        text = {"NoneType": "null", "str": "text", "float": "number", "int": "whole number"}.get(
            getattr(inner, "__name__", ""), getattr(inner, "__name__", str(inner))
        )
    return " ".join([text, *([f"({', '.join(bounds)})"] if bounds else [])])


def write_pipelines() -> str:
    """Return the nodes of each pipeline, with what they read and write."""
    lines = ["# Pipelines", "", "One node is one task of the DAG of that name.", ""]
    for name, pipeline in register_pipelines().items():
        lines += [f"## `{name}`", "", "| node | does | reads | writes |", "|---|---|---|---|"]
        for node in pipeline.nodes:
            does = (inspect.getdoc(node.func) or "").split("\n")[0]
            reads, writes = _list_code(node.inputs), _list_code(node.outputs)
            lines.append(f"| `{node.name}` | {does} | {reads} | {writes} |")
        lines.append("")
    return "\n".join(lines)


def write_catalog() -> str:
    """Return each dataset, with its type and where it lies."""
    entries = yaml.safe_load((PROJECT / "conf/base/catalog.yml").read_text())
    lines = ["# Catalog", "", "| dataset | type | where |", "|---|---|---|"]
    for name, entry in entries.items():
        if name.startswith("_"):
            continue
        inner = entry.get("dataset", entry)
        inner = inner if isinstance(inner, dict) else {"type": inner}
        kinds = dict.fromkeys(str(one.get("type", "")).rpartition(".")[2] for one in (entry, inner))
        where = inner.get("filepath") or entry.get("key") or entry.get("artifact_path") or ""
        lines.append(f"| `{name}` | {_list_code(kinds)} | {_list_code([where]) if where else ''} |")
    return "\n".join(lines)


def write_measures() -> str:
    """Return what is measured of a model."""
    lines = [
        "# Measures",
        "",
        "Of the validation images, for both models. A floor has the name of its measure.",
        "",
        "| measure | name | what it is | better | guardrail |",
        "|---|---|---|---|---|",
    ]
    for measure in MEASURES:
        said = (inspect.getdoc(measure.compute) or "").split("\n")[0]
        said = said.removeprefix("Return the ").removeprefix("Return ")
        better = "more" if measure.larger_is_better else "less"
        lines.append(
            f"| {measure.title} | `{measure.name}` | {said} | {better} | `{measure.guardrail}` |"
        )
    return "\n".join(lines)


def _list_code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names if name)
