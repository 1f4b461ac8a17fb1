"""The files of a packaged model: signed, fetched, checked and opened, in a real MLflow store."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from registry_store import MODEL, log_model, open_run
from registry_store import register as register_version

from image_classification.champion import package, registry, signature
from image_classification.champion.consumer import GOLDEN_CELLS
from image_classification.errors import RegistryError, SignatureError

pytestmark = pytest.mark.usefixtures("store")

PACKAGE = "image_classification"
CELLS = pd.DataFrame({"image_name": ["a"], "image": [b"x"], "probability_A": [0.25]})


def lay_out(folder: Path, artifacts: tuple[str, ...] = ("network", "class_names")) -> Path:
    """Write the files of a packaged model, with these artifacts."""
    (folder / "files").mkdir()
    for name in artifacts:
        (folder / "files" / name).write_text(json.dumps(["ring", "healthy"]))
    paths = "".join(f"\n      {name}:\n        path: files/{name}" for name in artifacts)
    (folder / "MLmodel").write_text(
        f"flavors:\n  python_function:\n    loader_module: x\n    artifacts:{paths or ' {}'}\n"
    )
    return folder


def test_a_version_whose_files_are_broken_is_an_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, version = register_version("broken", files=lay_out(tmp_path))

    def fail(_: str) -> None:
        raise MlflowException("MLmodel is missing")

    monkeypatch.setattr("image_classification.champion.package.Model.load", fail)
    with (
        pytest.raises(RegistryError, match="is no whole MLflow model: MLmodel is missing"),
        package.open_parts(MODEL, version),
    ):
        pass


def test_a_packaged_model_opens_with_its_network_and_its_classes_in_order(tmp_path: Path) -> None:
    _, version = register_version("a", files=lay_out(tmp_path))
    with package.open_parts(MODEL, version) as parts:
        assert parts.network.name == "network"
        assert parts.network.exists()
        assert parts.class_names == ["ring", "healthy"]
    assert not parts.network.exists()


@pytest.mark.parametrize(
    ("there", "missing"), [((), "class_names, network"), (("network",), "class_names")]
)
def test_a_model_not_packaged_here_is_refused_with_the_remedy(
    tmp_path: Path, there: tuple[str, ...], missing: str
) -> None:
    _, version = register_version("a", files=lay_out(tmp_path, there))
    with (
        pytest.raises(RegistryError, match=f"carries no artifact named {missing}: .* Give the"),
        package.open_parts(MODEL, version),
    ):
        pass


def test_class_names_that_cannot_be_read_are_an_error_of_ours(tmp_path: Path) -> None:
    files = lay_out(tmp_path)
    (files / "files" / "class_names").write_text("no JSON")
    _, version = register_version("a", files=files)
    with (
        pytest.raises(RegistryError, match=f"class names of models:/cells/{version} cannot"),
        package.open_parts(MODEL, version),
    ):
        pass


def test_files_that_are_gone_are_an_error_of_ours() -> None:
    with (
        pytest.raises(RegistryError, match="files of models:/cells@champion cannot be fetched"),
        package.fetch_files(MODEL, registry.CHAMPION),
    ):
        pass


def test_the_files_of_an_alias_are_those_of_its_version(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("of the first")
    _, first = register_version("a", files=tmp_path / "a")
    register_version("b")
    MlflowClient().set_registered_model_alias(MODEL, registry.CHAMPION, first)
    for name in (registry.CHAMPION, first):
        with package.fetch_files(MODEL, name) as folder:
            assert (folder / "file").read_text() == "of the first"


# Signed when they are logged, checked whenever they are fetched


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the key of this installation, which signs from now on."""
    monkeypatch.setattr(signature, "_signing", None)
    signature.use({"method": "key", "private_key": str(tmp_path / "keys" / "signing.pem")})
    return tmp_path / "keys"


def log_sealed(folder: Path) -> str:
    """Log a model as a night does; return its version."""
    files = lay_out(folder)
    package.seal(MODEL, files, CELLS)
    return str(registry.register_challenger(MODEL, log_model(open_run("a"), files), {}).version)


def fetch(version: str) -> set[str]:
    """Return the names of the files that `fetch_files` gives."""
    with package.fetch_files(MODEL, version) as folder:
        return {path.name for path in folder.rglob("*")}


def locate(version: str) -> Path:
    """Return where MLflow's store keeps the files of a version."""
    uri = MlflowClient().get_model_version_download_uri(MODEL, version)
    return Path(uri.removeprefix("file://"))


@pytest.mark.usefixtures("keys")
def test_a_model_carries_the_code_that_answers_and_no_other(tmp_path: Path) -> None:
    files = lay_out(tmp_path)
    whole = Path(package.__file__).parents[1]
    shutil.copytree(whole, files / package.CODE, ignore=shutil.ignore_patterns("__pycache__"))
    package.seal(MODEL, files, CELLS)
    code = files / package.CODE
    carried = {path.relative_to(code).as_posix() for path in code.rglob("*") if path.is_file()}
    assert {"pipelines/packaged/nodes.py", "vision/scoring.py", "errors.py"} < carried
    assert not any(name.startswith(("champion/", "datasets/", "pages/")) for name in carried)
    assert all(any(path.iterdir()) for path in code.rglob("*") if path.is_dir())
    # A module of that name that is gone would be missed by nobody here.
    assert all(list(code.glob(pattern)) for pattern in package.CARRIED)


TRAINS = {"vision/training.py", "vision/weights.py"}
"""Modules that are carried, and imported by nobody who only asks a network."""


def test_all_that_the_carried_code_imports_is_carried() -> None:
    whole = Path(package.__file__).parents[1]
    carried = {path for pattern in package.CARRIED for path in whole.glob(pattern)}
    missing = {
        f"{path.relative_to(whole)} imports {name}"
        for path in carried
        if path.suffix == ".py" and path.relative_to(whole).as_posix() not in TRAINS
        for name in list_imports(path)
        if not {whole / f"{name}.py", whole / name / "__init__.py"} & carried
    }
    assert missing == set()


def list_imports(path: Path) -> Iterator[str]:
    """Yield the modules of this project that a module imports as it is imported itself."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            _, _, module = str(node.module).partition(f"{PACKAGE}.")
            for alias in node.names:
                parts = [part for part in (*module.split("."), alias.name) if part]
                inner = Path(package.__file__).parents[1].joinpath(*parts)
                is_module = inner.with_suffix(".py").is_file() or inner.is_dir()
                yield "/".join(parts if is_module else parts[:-1])


@pytest.mark.usefixtures("keys")
def test_a_sealed_model_has_golden_cells_and_a_signature_and_is_fetched(tmp_path: Path) -> None:
    version = log_sealed(tmp_path)
    assert {GOLDEN_CELLS, signature.SIGNATURE, "network"} <= fetch(version)
    MlflowClient().set_registered_model_alias(MODEL, registry.CHAMPION, version)
    assert "network" in fetch(registry.CHAMPION)
    with package.fetch_files(MODEL, version) as folder:
        pd.testing.assert_frame_equal(pd.read_parquet(folder / GOLDEN_CELLS), CELLS)


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    "change", ["changed", "added", "removed", "compiled", "linked", "unsigned"]
)
def test_files_that_are_not_what_was_signed_are_refused_before_anything_reads_them(
    tmp_path: Path, change: str
) -> None:
    version = log_sealed(tmp_path)
    there = locate(version)
    network = there / "files" / "network"
    if change == "changed":
        network.write_text("other weights")
    elif change == "added":
        (there / "code.py").write_text("import os")
    elif change == "compiled":
        (there / "__pycache__").mkdir()
        (there / "__pycache__" / "x.pyc").write_text("other code")
    elif change == "removed":
        network.unlink()
    elif change == "linked":
        network.unlink()
        network.symlink_to("/etc/hostname")
    else:
        (there / signature.SIGNATURE).unlink()
    # MLflow's own store fetches no link.
    said = {
        "linked": "outside the artifact directory",
        "changed": r"signed: changed since: files/network\. Nothing of it was run",
    }.get(change, "Nothing of it was run")
    with pytest.raises(RegistryError, match=said):
        fetch(version)


@pytest.mark.usefixtures("keys")
def test_signed_files_of_another_model_are_not_those_of_this_version(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    files = lay_out(tmp_path / "one")
    with (files / "MLmodel").open("a") as file:
        file.write("model_id: m-of-another-version\n")
    package.seal(MODEL, files, CELLS)
    version = registry.register_challenger(MODEL, log_model(open_run("a"), files), {}).version
    with pytest.raises(SignatureError, match="its files are those of model m-of-another-version"):
        fetch(str(version))


@pytest.mark.usefixtures("keys")
def test_a_model_that_somebody_else_has_registered_is_refused(tmp_path: Path) -> None:
    log_sealed(tmp_path)
    strange = log_model(open_run("b"), lay_out_in(tmp_path / "strange"))
    version = registry.register_challenger(MODEL, strange, {}).version
    with pytest.raises(SignatureError, match=f"Version {version} of 'cells' carries no signature"):
        fetch(str(version))


def test_another_key_is_not_the_key(keys: Path, tmp_path: Path) -> None:
    version = log_sealed(tmp_path)
    for file in keys.iterdir():
        file.unlink()
    with signature.make_key():
        pass
    with pytest.raises(SignatureError, match="restore the old one from a backup"):
        fetch(version)


def test_versions_of_before_are_signed_once_as_they_are_then(
    keys: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = register_version("old", files=lay_out_in(tmp_path / "old"))[1]
    assert not keys.exists()
    assert signature.SIGNATURE in fetch(before)
    assert f"Signed version {before} of 'cells' as it is now" in caplog.text
    later = register_version("later", files=lay_out_in(tmp_path / "later"))[1]
    with pytest.raises(SignatureError, match="carries no signature"):
        fetch(later)
    assert (keys / "signing.pem").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("act", ["seal", "countersign"])
@pytest.mark.usefixtures("keys")
def test_the_first_signature_of_an_installation_signs_the_versions_of_before(
    tmp_path: Path, act: str
) -> None:
    before = register_version("old", files=lay_out_in(tmp_path / "old"))[1]
    files = lay_out_in(tmp_path / "new")
    if act == "seal":
        package.seal(MODEL, files, CELLS)
    else:
        with package._download(MODEL, before) as fetched:
            package.countersign(MODEL, before, fetched)
    assert (locate(before) / signature.SIGNATURE).is_file()
    assert signature.SIGNATURE in fetch(before)


def lay_out_in(folder: Path) -> Path:
    folder.mkdir()
    return lay_out(folder)
