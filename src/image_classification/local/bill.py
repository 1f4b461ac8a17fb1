"""What the project is made of: a bill of materials (CycloneDX), and the licences, as a table."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from image_classification.errors import ImageClassificationError

PROJECT = "image-classification"
BILL, LICENCES = "sbom.cdx.json", "licences.csv"


class BillError(ImageClassificationError):
    """The bill of materials cannot be written."""


def write_bill(folder: Path) -> list[Path]:
    """Write both files for what is shipped: this project and the packages that it needs.

    Tools of its development are left out. The versions are those that are installed.

    Raises:
        BillError: a package is not installed, or CycloneDX's tool fails.
    """
    shipped = list_shipped(PROJECT)
    bill = select_components(_describe_environment(), shipped)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / BILL, folder / LICENCES]
    files[0].write_text(json.dumps(bill, indent=1, sort_keys=True) + "\n")
    with files[1].open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["package", "version", "licence"])
        for component in bill["components"]:
            rows.writerow([component["name"], component["version"], read_licence(component)])
    return files


def list_shipped(name: str) -> set[str]:
    """Return the names of a package and of all that it needs, normalised as by PEP 503."""
    known: set[tuple[str, str]] = set()
    wanted = [(normalise(name), "")]
    while wanted:
        package, extra = wanted.pop()
        if (package, extra) in known:
            continue
        known.add((package, extra))
        wanted += _list_requirements(package, extra)
    return {package for package, _ in known}


def select_components(bill: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return a bill of materials with these packages alone, each once."""
    wanted = set(names)
    components: dict[str, dict[str, Any]] = {}
    for component in bill["components"]:
        # Where a package was installed from is a matter of this machine.
        kept = {key: value for key, value in component.items() if key != "externalReferences"}
        name = normalise(component["name"])
        if name in wanted and ("purl" in component or name == PROJECT):
            components[component["bom-ref"]] = kept
    dependencies = [
        {**each, "dependsOn": [ref for ref in each.get("dependsOn", ()) if ref in components]}
        for each in bill["dependencies"]
        if each["ref"] in components
    ]
    return {**bill, "components": list(components.values()), "dependencies": dependencies}


def read_licence(component: dict[str, Any]) -> str:
    """Return what a component says of its licence, or which file of the package does."""
    told = [
        each.get("expression") or each["license"].get("id") or each["license"].get("name")
        for each in component.get("licenses", ())
    ]
    if told:
        return " AND ".join(dict.fromkeys(str(each) for each in told))
    metadata = _find(component["name"]).metadata
    files = metadata.get_all("License-File") or []
    classed = [each for each in metadata.get_all("Classifier") or [] if each.startswith("License")]
    line = (metadata.get_all("License") or [""])[0].strip().partition("\n")[0]
    said = line or ", ".join(classed)
    return f"see {', '.join(files)}" if files else said or "none named"


def normalise(name: str) -> str:
    """Return the name of a package as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _list_requirements(package: str, extra: str) -> Iterator[tuple[str, str]]:
    for line in _find(package).requires or ():
        needed = Requirement(line)
        if needed.marker is None or needed.marker.evaluate({"extra": extra}):
            yield from ((normalise(needed.name), each) for each in ("", *needed.extras))


def _find(package: str) -> Distribution:
    try:
        return distribution(package)
    except PackageNotFoundError:
        raise BillError(f"Package '{package}' is not installed. Run: make install") from None


def _describe_environment() -> dict[str, Any]:
    program = Path(sys.executable).with_name("cyclonedx-py")
    command = [str(program), "environment", "--output-reproducible", "--of", "JSON", sys.executable]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except OSError as error:
        raise BillError(f"cyclonedx-py cannot be run: {error}. Run: make install") from None
    except subprocess.CalledProcessError as error:
        raise BillError(f"cyclonedx-py failed: {error.stderr.strip()[-500:]}") from None
    bill: dict[str, Any] = json.loads(done.stdout)
    return bill
