"""Text that came from outside: in one Unicode form, and escaped for whoever reads it."""

from __future__ import annotations

import re
import unicodedata

MARKUP = re.compile(r"[\\`*\[\]<~]|(?<!\w)_|_(?!\w)|&(?=#?\w+;)")
"""What Markdown takes for a mark of its own within a line; an underscore within a word is none. The
bar of a table is escaped where a table is made."""

ADDRESS = re.compile(r"://|\bwww\.", re.IGNORECASE)
"""What Markdown makes a link of, without any mark."""

FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""How a cell begins that a spreadsheet would compute, or that was kept from it."""


def unify_text(text: str) -> str:
    """Return text in the form in which names are compared: Unicode's NFC.

    macOS writes names decomposed (NFD), people type them composed: both look the same.
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def escape_text(text: str) -> str:
    """Return text that each screen, table and log can hold.

    What is not UTF-8, and what a terminal would take as a command, is written with a backslash.
    """
    if text.isascii() and text.isprintable():
        return text
    whole = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in whole)


def tell_name(name: str) -> str:
    """Return a name as it stands beside a number: one that begins with a digit is quoted."""
    shown = escape_text(name)
    return f"'{shown}'" if shown[:1].isdigit() else shown


def escape_lines(text: str) -> str:
    """Return text of several lines, each as `escape_text` returns it."""
    return "\n".join(map(escape_text, text.split("\n")))


def escape_markdown(text: str) -> str:
    """Return text in one line that Markdown shows as it is: no link, no picture, no markup."""
    shown = MARKUP.sub(r"\\\g<0>", escape_text(" ".join(text.split())))
    return ADDRESS.sub(lambda found: re.sub(r"[/.]", r"\\\g<0>", found[0]), shown)


def escape_cell(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula; `restore_cell` undoes it."""
    return f"'{text}" if FORMULA.match(text) else text


def restore_cell(text: str) -> str:
    """Return the text that `escape_cell` was given."""
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text
