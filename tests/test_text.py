"""Text from outside: one form to compare, and escaped where it is shown."""

from __future__ import annotations

import pytest

from image_classification.text import (
    escape_cell,
    escape_lines,
    escape_markdown,
    escape_text,
    restore_cell,
    tell_name,
    unify_text,
)


def test_names_that_look_the_same_are_the_same() -> None:
    assert unify_text("Zu\u0308rich") == unify_text("Z\u00fcrich") == "Z\u00fcrich"
    assert unify_text("plain") == "plain"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zürich 日本 a.png", "Zürich 日本 a.png"),
        ("a\x1b[31m\n\t\x07", r"a\x1b[31m\n\t\x07"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\udce9", r"\udce9"),
    ],
)
def test_nothing_is_a_command_to_a_terminal(text: str, shown: str) -> None:
    assert escape_text(text) == shown


@pytest.mark.parametrize(
    ("name", "told"),
    [("ring", "ring"), ("7", "'7'"), ("2nd", "'2nd'"), ("", ""), ("a\x07", r"a\x07")],
)
def test_beside_a_number_a_name_is_told_from_it(name: str, told: str) -> None:
    assert tell_name(name) == told


def test_lines_stay_lines() -> None:
    assert escape_lines("a\x1b\nb\r\n") == "a\\x1b\nb\\r\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("kept: +1.0 points (95 % CI 0.1 to 2.0), P(better) = 0.99", None),
        ("contract.maximum_refused_share, d'Ivoire & co", None),
        ("![x](http://evil/p.png)", r"!\[x\](http:\/\/evil/p.png)"),
        ("<img src=x onerror=alert(1)>", r"\<img src=x onerror=alert(1)>"),
        ("**bold** _it_ `code` ~~no~~ a", r"\*\*bold\*\* \_it\_ \`code\` \~\~no\~\~ a"),
        ("&lt;b&gt; &#60;", r"\&lt;b\&gt; \&#60;"),
        ("see www.evil.com", r"see www\.evil.com"),
        ("one\n\n# two", "one # two"),
    ],
)
def test_nothing_is_markup(text: str, shown: str | None) -> None:
    assert escape_markdown(text) == (text if shown is None else shown)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "'=1", "''=1"])
def test_nothing_is_a_formula_and_all_is_read_back(text: str) -> None:
    assert escape_cell(text) == f"'{text}"
    assert restore_cell(escape_cell(text)) == text


@pytest.mark.parametrize("text", ["", "C1", "a=b", "'quoted'", "d'Ivoire", " =1"])
def test_other_cells_stay_as_they_are(text: str) -> None:
    assert escape_cell(text) == restore_cell(text) == text
