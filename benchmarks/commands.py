"""What a command that looks something up costs beyond starting Python, and what it imports.

    python benchmarks/commands.py

Seconds of processor time of a fresh process, over the storage in force. Each verb is typed as
`image-classification VERB`, and as `kedro VERB`, which starts as every command of Kedro does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

import measuring

VERBS = ("--help", "--version", "ledger", "batches", "trend", "explain")
LIMIT_S = 0.8
"""Of processor time, beyond starting Python."""

HEAVY = ("kedro", "mlflow", "pandas", "tensorflow")

TYPE_IT = """
import json, resource, sys
program, *heavy = sys.argv[1].split()
sys.argv = [program, *sys.argv[2:]]
if program == "kedro":
    from kedro.framework.cli import main
else:
    from image_classification.commands.entry import main
try:
    main()
except SystemExit:
    pass
used = resource.getrusage(resource.RUSAGE_SELF)
loaded = [name for name in heavy if name in sys.modules]
print(json.dumps([used.ru_utime + used.ru_stime, loaded]), file=sys.stderr)
"""

START = """
import json, resource, sys
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([used.ru_utime + used.ru_stime, []]), file=sys.stderr)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    measuring.add_options(parser, rounds=5)
    parser.add_argument("--version", dest="model", default="1", help="The version to be explained.")
    options = parser.parse_args()
    ours: dict[str, list[float]] = {verb: [] for verb in VERBS}
    theirs: dict[str, list[float]] = {verb: [] for verb in VERBS}
    for _ in range(2 if options.quick else options.rounds):
        start, _heavy = run(START)
        for verb in VERBS:
            words = [verb, options.model] if verb == "explain" else [verb]
            seconds, heavy = run(TYPE_IT, " ".join(["image-classification", *HEAVY]), *words)
            if heavy:
                raise SystemExit(f"image-classification {verb} imports {', '.join(heavy)}")
            ours[verb].append(seconds - start)
            theirs[verb].append(run(TYPE_IT, "kedro", *words)[0] - start)
    lines = [
        measuring.compare(
            f"`image-classification {verb}`, processor time beyond Python's start",
            f"`kedro {verb}`",
            (ours[verb], theirs[verb]),
            unit="s",
            goal=0.2,
            better="at most",
        )
        for verb in VERBS
    ]
    measuring.keep("commands", lines, {"limit_s": LIMIT_S, "ours": ours}, options.to)
    for line in lines:
        if line.ours > LIMIT_S:
            raise SystemExit(f"{line.what}: {line.ours:.2f} s, allowed: {LIMIT_S} s")


def run(code: str, *arguments: str) -> tuple[float, list[str]]:
    command = [sys.executable, "-c", code, *arguments]
    environment = {**os.environ, "KEDRO_DISABLE_TELEMETRY": "1"}
    told = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=measuring.PROJECT, env=environment
    )
    seconds, heavy = json.loads(told.stderr.splitlines()[-1])
    return float(seconds), list(heavy)


if __name__ == "__main__":
    main()
