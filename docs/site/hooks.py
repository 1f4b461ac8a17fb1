"""What the site has beside `docs/`: pages of the checkout, files that pages link to, a reference.

MkDocs calls these functions while it builds. In the repository a page links to a file beside it, so
that its links work there too; here each such link is turned to the page of that file.
"""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))
import reference

PROJECT = Path(__file__).resolve().parents[2]

PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "airflow/README.md": "airflow/index.md",
    "tests/security/README.md": "tests/security/index.md",
}
"""Pages of the checkout outside `docs/`, and where they stand on the site."""

LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?\)")
CODE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
LANGUAGES = {".py": "python", ".yml": "yaml", ".toml": "toml", ".lock": "text", "": "text"}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that do not lie in `docs/`."""
    for path, page in PAGES.items():
        files.append(File.generated(config, page, content=(PROJECT / path).read_text()))
    for page, content in reference.write_pages().items():
        files.append(File.generated(config, page, content=content))
    linked = {
        target
        for file in list(files.documentation_pages())
        for target in _list_linked(file.src_uri, file.content_string)
        if _find_page(target) == _name_source(target)
    }
    for target in sorted(linked):
        content = _show_source(PROJECT / target)
        files.append(File.generated(config, _name_source(target), content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn the links of a page to where their files stand on the site."""
    place = page.file.src_uri
    if place.startswith("source/"):
        return markdown

    def turn(found: re.Match[str]) -> str:
        target = _resolve(place, found[2])
        if target is None:
            return found[0]
        return (
            "]("
            + posixpath.relpath(_find_page(target), posixpath.dirname(place))
            + f"{found[3] or ''})"
        )

    return "".join(part if is_code else LINK.sub(turn, part) for part, is_code in _split(markdown))


def _split(markdown: str) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a page, and whether each is a block of code."""
    end = 0
    for block in CODE.finditer(markdown):
        yield markdown[end : block.start()], False
        yield block[0], True
        end = block.end()
    yield markdown[end:], False


def _list_linked(place: str, markdown: str) -> Iterator[str]:
    for part, is_code in _split(markdown):
        for found in [] if is_code else LINK.finditer(part):
            if (target := _resolve(place, found[2])) is not None:
                yield target


def _resolve(place: str, link: str) -> str | None:
    """Return the path in the checkout that a link leads to; None if it leads out, or nowhere."""
    if re.match(r"[a-z]+:|/", link) or place.startswith("reference/"):
        return None
    origin = next((path for path, page in PAGES.items() if page == place), f"docs/{place}")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(origin), link))
    # What is not there is left as it is: MkDocs then names it.
    return target if not target.startswith("..") and (PROJECT / target).exists() else None


def _find_page(target: str) -> str:
    if target in PAGES:
        return PAGES[target]
    if target.startswith("docs/") and (PROJECT / target).is_file():
        return target.removeprefix("docs/")
    return _name_source(target)


def _name_source(target: str) -> str:
    return f"source/{target}.md"


def _show_source(path: Path) -> str:
    """Return a page with the content of a file, or with the names in a folder."""
    name = path.relative_to(PROJECT).as_posix()
    if path.is_dir():
        names = sorted(
            entry.name for entry in path.iterdir() if not entry.name.startswith((".", "_"))
        )
        return f"# {name}/\n\n" + "\n".join(f"- `{entry}`" for entry in names)
    language = LANGUAGES.get(path.suffix, "text")
    return f"# {path.name}\n\n`{name}`\n\n````{language}\n{path.read_text()}\n````\n"
