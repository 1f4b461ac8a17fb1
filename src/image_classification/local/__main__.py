"""`python -m image_classification.local`: data, demo, replay, up, down and sbom. See `make`."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from image_classification.errors import ImageClassificationError
from image_classification.local.bill import write_bill
from image_classification.local.download import SOURCES, download_archive
from image_classification.local.nights import run_nights
from image_classification.local.ports import ServiceError
from image_classification.local.services import Stack, read_stack
from image_classification.machine.environment import settle
from image_classification.machine.process import locate_command
from image_classification.machine.stack import STACKS
from image_classification.vendor.quiet import silence_libraries


def main(arguments: list[str] | None = None) -> int:
    """Run a verb; return the exit status."""
    options = _parse(arguments)
    try:
        settle()
        silence_libraries()
        if options.verb in ("demo", "replay"):
            run_nights(Path.cwd(), options.verb, options.data, options.nights, options.model)
        elif options.verb == "data":
            _download(options)
        elif options.verb == "sbom":
            print("\n".join(map(str, write_bill(options.to))))
        elif options.verb == "up":
            _start(options)
        elif options.verb == "airflow":
            _call_airflow(options.stack, options.command)
        else:
            _stop(options.stack)
    except ImageClassificationError as error:
        print(f"\nError: {error}", file=sys.stderr)
        return 1
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m image_classification.local")
    verbs = parser.add_subparsers(dest="verb", required=True)
    demo = verbs.add_parser("demo", help="two nights of retraining, then stop")
    replay = verbs.add_parser("replay", help="release images by date, a batch a night")
    for verb, nights in ((demo, 2), (replay, 6)):
        verb.add_argument("--data", type=Path, help="image folder, or the published zip")
        verb.add_argument("--nights", type=_count, default=nights, help=f"default: {nights}")
        verb.add_argument("--model", help="the registered model; default: that of the project")
    _add_data(verbs.add_parser("data", help="download the published images and verify them"))
    sbom = verbs.add_parser("sbom", help="write what is shipped, and its licences")
    sbom.add_argument("--to", type=Path, default=Path("build"), help="folder for both files")
    up = verbs.add_parser("up", help="start MLflow and Airflow, and leave them running")
    up.add_argument("--mlflow-port", type=int, help="default: the first free one from 5000")
    up.add_argument("--airflow-port", type=int, help="default: the first free one from 8080")
    down = verbs.add_parser("down", help="stop them")
    airflow = verbs.add_parser("airflow", help="a command of Airflow, on a stack that runs")
    airflow.add_argument("command", nargs="+", help="such as: dags list")
    for verb in (up, down, airflow):
        verb.add_argument("--stack", choices=STACKS, default="main")
    return parser.parse_args(arguments)


def _count(given: str) -> int:
    if not given.isdigit() or not int(given):
        raise argparse.ArgumentTypeError(f"a number from 1 on is allowed. Received: {given}")
    return int(given)


def _add_data(data: argparse.ArgumentParser) -> None:
    data.add_argument("--source", choices=SOURCES, default="nlm", help="who publishes the archive")
    data.add_argument("--url", help="another address of it, such as a mirror")
    data.add_argument("--to", type=Path, default=Path("data/download"), help="folder for it")
    data.add_argument(
        "--sha256",
        default=os.environ.get("DATA_SHA256"),
        help="digest it must have; default: DATA_SHA256 of the environment",
    )


def _download(options: argparse.Namespace) -> None:
    source = SOURCES[options.source]
    if options.url:
        # A mirror may have packed the images anew.
        source = replace(source, url=options.url, size_bytes=None)
    archive = download_archive(options.to, source, options.sha256)
    print(f"\n  Images    {archive}\n\nUse them: make demo DATA={shlex.quote(str(archive))}")


def _start(options: argparse.Namespace) -> None:
    stack = Stack(options.stack, Path.cwd())
    print("Starting MLflow and Airflow ...", flush=True)
    stack.start(options.mlflow_port, options.airflow_port)
    accounts = stack.accounts
    password = accounts.read_mlflow_password("admin")
    print(f"\n  Airflow   {stack.airflow_url}   user: admin   password: {stack.password}")
    print(f"  MLflow    {stack.mlflow_url}   user: admin   password: {password}")
    print(f"  Others    {accounts.file}   (SECURITY.md tells what each may do)")
    print(f"  Commands  source {shlex.quote(str(accounts.login_file))}")
    print(f"  Logs      {stack.logs}")
    print(f"\nStop them: make down{'' if stack.name == 'main' else f' STACK={stack.name}'}")


def _call_airflow(name: str, command: list[str]) -> None:
    """Become a command of Airflow that knows the stack."""
    stack = read_stack(name, Path.cwd())
    if stack is None:
        raise ServiceError(f"The stack '{name}' does not run. Start it: make up STACK={name}")
    program = locate_command("airflow")
    os.execve(program, [program, *command], stack.environment())  # noqa: S606 - no shell is meant


def _stop(name: str) -> None:
    stack = read_stack(name, Path.cwd())
    if stack is None or not stack.running():
        print(f"The stack '{name}' does not run.")
    if stack is not None:
        stack.stop()
        print("Stopped.")


if __name__ == "__main__":
    sys.exit(main())
