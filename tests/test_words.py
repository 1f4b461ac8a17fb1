"""The words of the project, as sentences take them."""

from __future__ import annotations

import ast
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from domain_words import DOMAIN
from jinja2 import Environment
from shipped import CONF

import image_classification
from image_classification import words
from image_classification.words import Words

SOURCE = Path(image_classification.__file__).parent


def test_one_and_several_are_counted() -> None:
    clothes = Words(group="garment", groups="garments", image="photo", images="photos")
    assert clothes.count_groups(1) == "1 garment"
    assert clothes.count_groups(1200) == "1,200 garments"
    assert clothes.count_images(1) == "1 photo"
    assert clothes.count_images(0) == "0 photos"
    assert clothes.name_groups(2) == "garments"


def test_words_in_force_are_those_of_the_whole_process() -> None:
    leaves = Words(image="leaf", images="leaves")
    words.use(leaves)
    assert words.current() is leaves


def test_words_of_no_project_fit_any() -> None:
    assert Words().count_groups(2) == "2 groups"


def test_a_key_is_read_in_the_words_of_the_project() -> None:
    clothes = Words(group="garment", groups="garments", image="photo", images="photos")
    assert clothes.tell_key("worst_patient") == "worst garment"
    assert clothes.tell_key("champion_unseen_patients") == "champion unseen garments"
    assert clothes.tell_key("golden_cells") == "golden photos"
    assert clothes.tell_key("calibration_error") == "calibration error"


# `local` makes and fetches blood cells; a cell of a table is another thing.
OF_BLOOD_CELLS = ("local/synthetic.py", "local/download.py")
SPOKEN = ("alt", "aria-label", "title")
"""Attributes of HTML that are read to people."""
KEY = re.compile(r"[\w./:-]+")


def find_domain_words(code: str) -> list[str]:
    """Return the texts in a file of code that speak of the domain of one project.

    Names of keys, columns and files may; so may docstrings, but for those of commands, which are
    their help.
    """
    tree = ast.parse(code)
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    read_by_programmers = {
        id(statement.value)
        for node in ast.walk(tree)
        if isinstance(body := getattr(node, "body", None), list) and not is_command(node)
        for statement in body
        if isinstance(statement, ast.Expr)
    }
    return [
        text.value
        for text in texts
        if isinstance(text.value, str)
        and id(text) not in read_by_programmers
        and DOMAIN.search(text.value)
        and not KEY.fullmatch(text.value)
    ]


class _Shown(HTMLParser):
    """Collects what a person reads, or hears, of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.texts += [str(value) for name, value in attrs if name in SPOKEN]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def find_domain_words_of_page(template: str) -> list[str]:
    """Return the texts in a template of a page that speak of the domain of one project."""
    tokens = list(Environment(autoescape=True).lex(template))
    shown = _Shown()
    shown.feed("".join(text if kind == "data" else "" for _, kind, text in tokens))
    inserted = [text.strip("\"'") for _, kind, text in tokens if kind == "string"]
    texts = [*shown.texts, *(text for text in inserted if not KEY.fullmatch(text))]
    return [text for text in texts if DOMAIN.search(text)]


def is_command(node: ast.AST) -> bool:
    decorators = getattr(node, "decorator_list", [])
    return any("command" in ast.unparse(decorator) for decorator in decorators)


def test_no_text_speaks_of_the_domain_of_one_project() -> None:
    files = [file for file in sorted(SOURCE.rglob("*.py")) if "vendor" not in file.parts]
    found = {
        str(file.relative_to(SOURCE)): texts
        for file in files
        if (texts := find_domain_words(file.read_text()))
    }
    assert not {file: texts for file, texts in found.items() if file not in OF_BLOOD_CELLS}
    for settings in ("airflow.yml",):
        assert not DOMAIN.search((CONF / "base" / settings).read_text())


def test_no_page_speaks_of_the_domain_of_one_project() -> None:
    pages = {file.name: file.read_text() for file in sorted(SOURCE.rglob("*.j2"))}
    assert len(pages) > 3
    assert {
        name: found for name, page in pages.items() if (found := find_domain_words_of_page(page))
    } == {}


@pytest.mark.parametrize(
    "page",
    [
        "<p>{{ n }} patients</p>",
        '<img alt="a cell of {{ name }}">',
        "<p>{{ 'of all cells' if many else name }}</p>",
        '<table aria-label="Cells"></table>',
    ],
)
def test_a_text_of_one_domain_is_noticed_on_a_page(page: str) -> None:
    assert find_domain_words_of_page(page)


def test_keys_and_names_of_styles_are_not_what_a_page_says() -> None:
    page = '<ul class="cells" id="cells">{{ cells.count }} {{ row["patient"] }}</ul>'
    assert not find_domain_words_of_page(page)


@pytest.mark.parametrize(
    "code",
    [
        'x = f"{n} patients"',
        'x = "a cell that"',
        '@click.command()\ndef f():\n    """Show cells."""',
    ],
)
def test_a_text_of_one_domain_is_noticed(code: str) -> None:
    assert find_domain_words(code)


def test_keys_and_docstrings_may_keep_their_names() -> None:
    assert not find_domain_words(
        '"""Cells."""\nx = "golden_cells.parquet", "patient"\n"""A cell."""'
    )
