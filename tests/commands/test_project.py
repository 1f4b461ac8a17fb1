"""The command that proposes a project file."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from image_classification.commands.project import new_project
from image_classification.configuration.location import find_configuration
from image_classification.configuration.plain import PlainConfiguration
from image_classification.configuration.project import (
    KEYS,
    OPTIONAL,
    PROJECT_VARIABLE,
    read_project,
)


@pytest.fixture
def leaves(tmp_path: Path) -> Path:
    """A folder of grey images of three classes, of 20 fields."""
    content = io.BytesIO()
    Image.new("L", (28, 24), 90).save(content, "PNG")
    for label in ("healthy", "rust", "mildew"):
        folder = tmp_path / "leaves" / label
        folder.mkdir(parents=True)
        for field in range(20):
            for number in range(2):
                (folder / f"field{field}_{number}.png").write_bytes(content.getvalue())
    (tmp_path / "leaves" / "rust" / "field1_9.png").write_bytes(b"no image")
    return tmp_path / "leaves"


def propose(folder: Path, images: Path) -> Result:
    return CliRunner().invoke(new_project, [str(folder), "--from", str(images)])


def test_the_proposed_file_is_a_project_and_each_value_says_why(
    tmp_path: Path, leaves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = propose(tmp_path / "mine", leaves)
    file = tmp_path / "mine" / "project.yml"
    assert done.exit_code == 0, done.output
    assert f"export {PROJECT_VARIABLE}={file}" in done.output
    monkeypatch.setenv(PROJECT_VARIABLE, str(file))
    found = read_project(find_configuration(), "test")
    assert set(found) == {*KEYS, *OPTIONAL}
    assert found["classes"] == ["healthy", "mildew", "rust"]
    assert found["words"]["groups"] == "fields"
    assert found["image_size_px"] == 24
    text = file.read_text()
    assert "# The folders: healthy 40, mildew 40, rust 41." in text
    for key in KEYS:
        assert f"\n{key}: " in text
        assert f"{key}: " in done.output
    parameters = PlainConfiguration(env="base")["parameters"]
    assert parameters["registered_model_name"] == "leaves-classifier"
    assert parameters["promotion"]["floors"] == {}


def test_a_file_that_is_there_stays(tmp_path: Path, leaves: Path) -> None:
    (tmp_path / "project.yml").write_text("title: Mine\n")
    done = propose(tmp_path, leaves)
    assert done.exit_code == 1
    assert "is there already" in done.output
    assert (tmp_path / "project.yml").read_text() == "title: Mine\n"


def test_images_that_cannot_be_read_tell_nothing(tmp_path: Path) -> None:
    (tmp_path / "x" / "a").mkdir(parents=True)
    (tmp_path / "x" / "a" / "1.png").write_bytes(b"no image")
    done = propose(tmp_path / "mine", tmp_path / "x")
    assert done.exit_code == 1
    assert "nothing can be guessed" in done.output
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("folder", "said"), [("local", "it is in force"), ("leaves", "export KEDRO_ENV=leaves")]
)
def test_it_says_how_an_environment_is_used(
    tmp_path: Path, leaves: Path, monkeypatch: pytest.MonkeyPatch, folder: str, said: str
) -> None:
    (tmp_path / "conf" / "base").mkdir(parents=True)
    monkeypatch.setenv("IMAGE_CLASSIFICATION_CONFIGURATION", str(tmp_path / "conf"))
    assert said in propose(tmp_path / "conf" / folder, leaves).output
