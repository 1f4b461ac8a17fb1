"""The guide to the attacks names tests that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
GUIDE = Path(__file__).with_name("README.md").read_text()
NAMED = re.findall(r"\| `([\w/]+\.py)(?:::(\w+))?` \|$", GUIDE, re.MULTILINE)


def list_tests(file: Path) -> set[str]:
    nodes = ast.walk(ast.parse(file.read_text()))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef)}


def test_each_attack_is_tried_by_a_test() -> None:
    lines = [line for line in GUIDE.splitlines() if line.startswith("| ")]
    rows = [line for line in lines if not line.startswith("| attack |")]
    assert len(NAMED) == len(rows)


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_it_is_there(file: str, test: str) -> None:
    assert (TESTS / file).is_file()
    assert not test or test in list_tests(TESTS / file)
