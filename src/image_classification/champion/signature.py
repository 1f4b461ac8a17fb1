"""Signatures of packaged models: who made these files, and are they as they were made?

The format is that of the OpenSSF's `model-signing` (a sigstore bundle around a list of the files'
sha256), so that a consumer can check a model with that package's own command.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from image_classification.errors import SignatureError

if TYPE_CHECKING:
    from image_classification.configuration.signing import Signing

SIGNATURE = "model.sig"
"""File of a logged model: the signature of all its other files."""

ADDED_BY_DOWNLOAD = "registered_model_meta"
"""File that MLflow adds when it fetches a model from the registry: its name and version."""

COUNTERSIGNATURES = "model-*.sig"
"""Files of a logged model: signatures of other installations that took it over."""

LOCK_TIMEOUT_S = 60

NAMED_FILES, LONGEST = 5, 300
"""An error names at most so many files, and quotes at most so many characters."""

_signing: Signing | None = None


def use(signing: Signing) -> None:
    """Sign and check, in this process, as the configuration says."""
    global _signing  # noqa: PLW0603 - like MLflow's address, it is that of the process
    _signing = signing


def current() -> Signing:
    """Return how this process signs and checks."""
    signing: Signing = _known()
    return signing


def is_used() -> bool:
    """Return whether this process knows how models are signed: it has loaded a project."""
    return _signing is not None


def needs_key() -> bool:
    """Return whether this installation has to make its key still."""
    return _known()["method"] == "key" and not _public_key().exists()


@contextmanager
def make_key() -> Iterator[bool]:
    """Hold the lock of the key, and make what is missing of it.

    The public half is written last, after the caller is done: whoever is killed before that is
    followed by one who begins again, with the same key.

    Yields:
        Whether this caller makes the key: it then may do first what the first one has to do.
    """
    private, public = Path(_known()["private_key"]), _public_key()
    private.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(private.with_suffix(".lock"), timeout=LOCK_TIMEOUT_S):
        is_first = needs_key()
        if is_first and not private.exists():
            _write(private, make_private_key(), 0o600)
        yield is_first
        if is_first:
            _write(public, derive_public_key(private.read_bytes()), 0o644)


def place_key(path: Path, private: bytes) -> None:
    """Write both halves of a key that is kept elsewhere, where they are not there already.

    Args:
        path: of the private half, in a folder that is nobody else's.
        private: the private half, as PEM.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(path.with_suffix(".lock"), timeout=LOCK_TIMEOUT_S):
        if not path.exists() or path.read_bytes() != private:
            _write(path.with_suffix(".pub"), derive_public_key(private), 0o644)
            _write(path, private, 0o600)


def sign_folder(folder: Path, name: str = SIGNATURE) -> None:
    """Sign all files of a packaged model; the signature is one more file of it.

    Args:
        folder: the model's files.
        name: of the signature.

    Raises:
        SignatureError: the key cannot be used.
    """
    from model_signing import signing  # noqa: PLC0415 - takes a second to import

    given = _known()
    config: Any = signing.Config()  # type: ignore[no-untyped-call]
    config.set_hashing_config(_hash(folder))
    try:
        if given["method"] == "key":
            config.use_elliptic_key_signer(private_key=given["private_key"])
        elif given["method"] == "certificate":
            config.use_certificate_signer(
                private_key=given["private_key"],
                signing_certificate=given["certificate"],
                certificate_chain=given["certificate_chain"],
            )
        else:
            config.use_sigstore_signer(use_ambient_credentials=True)
        config.sign(folder, folder / name)
    except Exception as error:
        raise SignatureError(
            f"The packaged model cannot be signed by method '{given['method']}' (signing in "
            f"conf/*/globals.yml): {error}. Nothing was logged."
        ) from error


def check_folder(folder: Path, title: str) -> None:
    """Check that the files of a model are those that this installation has signed.

    Args:
        folder: the model's files. MLflow's own note about the download may lie among them.
        title: what the model is called, for the error.

    Raises:
        SignatureError: there is no signature, it is not of the one who has to sign, or a file was
            changed, added or removed since.
    """
    from model_signing import verifying  # noqa: PLC0415 - takes a second to import

    given = _known()
    name = name_countersignature()
    name = name if name and (folder / name).is_file() else SIGNATURE
    if not (folder / name).is_file():
        raise SignatureError(
            f"{title} carries no signature ({name}): it was not packaged by this "
            f"installation. {REMEDY}"
        )
    config: Any = verifying.Config()  # type: ignore[no-untyped-call]
    config.set_hashing_config(_hash(folder))
    try:
        if given["method"] == "key":
            config.use_elliptic_key_verifier(public_key=_public_key())
        elif given["method"] == "certificate":
            config.use_certificate_verifier(certificate_chain=given["certificate_chain"])
        else:
            config.use_sigstore_verifier(
                identity=given["identity"], oidc_issuer=given["identity_provider"]
            )
        config.verify(folder, folder / name)
    except Exception as error:  # what a damaged signature makes of the library is not documented
        raise SignatureError(
            f"{title} is not what was packaged and signed: {_describe(error)}. {REMEDY}"
        ) from error


def name_countersignature() -> str:
    """Return the name of this installation's signature of a model that another one has made.

    It is "" where signatures are not made with a key: whoever may sign is then known to all.
    """
    if _known()["method"] != "key" or not _public_key().is_file():
        return ""
    digest = hashlib.sha256(_public_key().read_bytes()).hexdigest()
    return f"model-{digest[:16]}.sig"


REMEDY = (
    "Nothing of it was run. Roll back to another version, or train a new one; if the key is new, "
    "restore the old one from a backup (signing.private_key in conf/*/globals.yml)."
)


def _describe(error: Exception) -> str:
    """Return what the library found, in short: it writes digests as bytes of Python."""
    text = " ".join(str(error).split()).replace("\\'", "'")
    if changed := re.findall(r"Hash mismatch for '([^']+)'", text):
        return f"changed since: {', '.join(changed[:NAMED_FILES])}"
    return text[:LONGEST] or type(error).__name__


def _known() -> Any:
    if _signing is None:
        raise SignatureError("No project is loaded: it says how models are signed.")
    return _signing


def _public_key() -> Path:
    return Path(_known()["private_key"]).with_suffix(".pub")


def _hash(folder: Path) -> Any:
    """Return what of a folder is signed: all files, and no link."""
    from model_signing import hashing  # noqa: PLC0415

    left_out = [folder / SIGNATURE, folder / ADDED_BY_DOWNLOAD, *folder.glob(COUNTERSIGNATURES)]
    config: Any = hashing.Config()  # type: ignore[no-untyped-call]
    return config.set_ignored_paths(paths=left_out, ignore_git_paths=False)


def make_private_key() -> bytes:
    """Return a new private key, as PEM."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def derive_public_key(private: bytes) -> bytes:
    """Return the public half of a private key, as PEM."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    return (
        serialization.load_pem_private_key(private, None)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file whole, on the disk, and readable for nobody else from its first moment."""
    part = path.with_name(f"{path.name}.partial")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
