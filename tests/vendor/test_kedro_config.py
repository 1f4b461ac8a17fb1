"""Which loader `${globals:...}` asks."""

from __future__ import annotations

from pathlib import Path

from kedro.config import OmegaConfigLoader

from image_classification.vendor.kedro_config import answer_globals


def test_the_loader_that_was_named_last_answers(tmp_path: Path) -> None:
    loaders = []
    for name in ("one", "two"):
        (tmp_path / name / "base").mkdir(parents=True)
        (tmp_path / name / "local").mkdir()
        (tmp_path / name / "base" / "globals.yml").write_text(f"root: {name}\n")
        (tmp_path / name / "base" / "catalog.yml").write_text("cells: {place: '${globals:root}'}\n")
        place = str(tmp_path / name)
        loaders.append(OmegaConfigLoader(place, base_env="base", default_run_env="local"))
    answer_globals(loaders[0])
    assert loaders[0]["catalog"] == {"cells": {"place": "one"}}
    answer_globals(loaders[1])
    assert loaders[1]["catalog"] == {"cells": {"place": "two"}}
