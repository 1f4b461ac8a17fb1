"""The page of all nights, written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from terminal import call


@pytest.mark.usefixtures("in_judged")
def test_the_page_of_all_nights_is_written_and_its_place_is_told(judged: Path) -> None:
    result = call("report")
    assert result.exit_code == 0, result.output
    page = judged / "pages" / "index.html"
    assert result.output.strip().splitlines()[-1] == str(page)
    text = page.read_text()
    assert "Version 2 is in use, since " in text
    assert "Version 2 stays in use: version 3 is not better enough" in text
