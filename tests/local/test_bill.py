"""The bill of materials: what is shipped, and nothing else, with a licence for each."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from image_classification.local import bill as module
from image_classification.local.bill import (
    BillError,
    list_shipped,
    normalise,
    read_licence,
    select_components,
    write_bill,
)


def make_component(name: str, **more: Any) -> dict[str, Any]:
    return {
        "bom-ref": f"{name}==1",
        "name": name,
        "purl": f"pkg:pypi/{name}@1",
        "version": "1",
    } | more


BILL = {
    "bomFormat": "CycloneDX",
    "components": [
        make_component("MLflow", licenses=[{"license": {"id": "Apache-2.0"}}]),
        make_component("flask_wtf", licenses=[{"expression": "BSD-3-Clause"}]),
        make_component("pytest"),
        {
            "bom-ref": "a",
            "name": "mlflow",
            "version": "1",
            "externalReferences": [{"url": "file:/"}],
        },
    ],
    "dependencies": [
        {"ref": "MLflow==1", "dependsOn": ["flask_wtf==1", "pytest==1"]},
        {"ref": "pytest==1"},
    ],
}


def test_what_is_shipped_is_what_the_project_needs_and_what_that_needs() -> None:
    shipped = list_shipped("image-classification")
    assert {"image-classification", "mlflow", "flask-wtf", "tensorflow", "numpy"} <= shipped
    assert not {"pytest", "ruff", "mypy", "uv", "cyclonedx-bom"} & shipped


def test_a_package_that_is_not_there_is_named() -> None:
    with pytest.raises(BillError, match="'no-such-package' is not installed"):
        list_shipped("no-such-package")


def test_the_bill_holds_each_shipped_package_once_and_no_place_of_this_machine() -> None:
    bill = select_components(BILL, {"mlflow", "flask-wtf"})
    assert [component["name"] for component in bill["components"]] == ["MLflow", "flask_wtf"]
    assert bill["dependencies"] == [{"ref": "MLflow==1", "dependsOn": ["flask_wtf==1"]}]
    assert "file:" not in json.dumps(bill)


def test_a_licence_is_told_or_the_file_that_tells_it() -> None:
    assert read_licence(BILL["components"][0]) == "Apache-2.0"
    assert read_licence(BILL["components"][1]) == "BSD-3-Clause"
    assert read_licence(make_component("image-classification")) == "see LICENSE"


def test_names_are_compared_as_the_index_does() -> None:
    assert normalise("Flask_WTF.x") == "flask-wtf-x"


def test_both_files_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_describe_environment", lambda: BILL)
    monkeypatch.setattr(module, "list_shipped", lambda _: {"mlflow", "flask-wtf"})
    bill, licences = write_bill(tmp_path / "build")
    assert json.loads(bill.read_text())["bomFormat"] == "CycloneDX"
    assert list(csv.reader(licences.open())) == [
        ["package", "version", "licence"],
        ["MLflow", "1", "Apache-2.0"],
        ["flask_wtf", "1", "BSD-3-Clause"],
    ]


@pytest.mark.slow
def test_the_bill_of_this_environment_tells_a_licence_of_each_package(tmp_path: Path) -> None:
    bill, licences = write_bill(tmp_path)
    told = list(csv.DictReader(licences.open()))
    assert {normalise(row["package"]) for row in told} == list_shipped("image-classification")
    unnamed = [row["package"] for row in told if row["licence"] == "none named"]
    # Of a few, the licence stands in their repository alone.
    assert len(unnamed) < len(told) / 20, unnamed
    assert json.loads(bill.read_text())["bomFormat"] == "CycloneDX"
