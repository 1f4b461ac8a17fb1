"""Places that variables name."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_classification.machine.place import find_unusable, locate, locate_store

BASE = Path("/project")


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("data", "/project/data"),
        ("./data/../cells", "/project/cells"),
        ("/data/cells", "/data/cells"),
        ("~/cells", "/home/ada/cells"),
        (" /data\r\n", "/data"),
        ("file:///data/a%20b", "/data/a b"),
        ("/data/a b/ü#%20", "/data/a b/ü#%20"),
        ("s3://bucket/cells", "s3://bucket/cells"),
        ("az://container/cells", "abfs://container/cells"),
    ],
)
def test_a_place_is_a_whole_path_or_a_url(
    monkeypatch: pytest.MonkeyPatch, given: str, place: str
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert locate(given, BASE) == place


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("sqlite:///mlflow.db", "sqlite:////project/mlflow.db"),
        ("sqlite:///~/mlflow.db", "sqlite:////home/ada/mlflow.db"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
        ("sqlite:///s3://bucket/mlflow.db", "sqlite:///s3://bucket/mlflow.db"),
        ("http://mlflow:5000 ", "http://mlflow:5000"),
        ("postgresql://mlflow@db/mlflow", "postgresql://mlflow@db/mlflow"),
    ],
)
def test_an_sqlite_store_is_named_by_its_whole_path(
    monkeypatch: pytest.MonkeyPatch, given: str, address: str
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert locate_store(given, BASE) == address


@pytest.mark.parametrize(
    ("path", "sign"), [("/a?b/m.db", "?"), ("/a%20b/m.db", "%20"), ("/a*", "*"), ("/a[b]", "[")]
)
def test_a_path_that_an_address_cannot_hold_is_named(path: str, sign: str) -> None:
    assert f"its path holds '{sign}'" in find_unusable(Path(path))


@pytest.mark.parametrize("path", ["/a b/m.db", "/100% ü/m.db", "/a#]&+{x}${y}'/m.db"])
def test_other_signs_in_a_path_are_no_fault(path: str) -> None:
    assert find_unusable(Path(path)) == ""
