"""No cell of a table that people open is a formula, and it is read back as it was."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from image_classification.datasets import SpreadsheetDataset


def test_a_table_is_written_without_formulas_and_read_back_as_it_was(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"image_name": ["=cmd()", "C1.png", "'-x"], "=label": ["@a", "b", None], "n": [-1, 2, 3]}
    )
    dataset = SpreadsheetDataset(filepath=str(tmp_path / "t.csv"), save_args={"index": False})
    dataset.save(table)
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines == ["image_name,'=label,n", "'=cmd(),'@a,-1", "C1.png,b,2", "''-x,,3"]
    pd.testing.assert_frame_equal(dataset.load(), table, check_dtype=False)
