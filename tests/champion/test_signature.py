"""Who vouches for the files of a packaged model."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from model_signing import verifying

from image_classification.champion import signature
from image_classification.configuration.signing import Signing
from image_classification.errors import SignatureError


@pytest.fixture(autouse=True)
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(signature, "_signing", None)
    path = tmp_path / "keys" / "signing.pem"
    signature.use({"method": "key", "private_key": str(path)})
    return path


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "network").write_text("weights")
    return folder


def test_without_a_project_nothing_can_be_checked(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signature, "_signing", None)
    assert not signature.is_used()
    with pytest.raises(SignatureError, match="No project is loaded"):
        signature.check_folder(files, "v1")


def test_the_key_is_made_once_and_only_its_owner_reads_it(key: Path) -> None:
    for expected in (True, False):
        with signature.make_key() as is_first:
            assert is_first is expected
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.parent.stat().st_mode & 0o777 == 0o700
    assert b"PUBLIC KEY" in key.with_suffix(".pub").read_bytes()


def test_who_was_killed_while_making_the_key_is_followed_with_the_same_one(
    key: Path, files: Path
) -> None:
    making = signature.make_key()
    making.__enter__()
    signature.sign_folder(files)
    making.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    with signature.make_key() as is_first:
        assert is_first
    signature.check_folder(files, "v1")


def test_a_consumer_checks_it_with_the_command_of_the_library(key: Path, files: Path) -> None:
    with signature.make_key():
        signature.sign_folder(files)
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(files)]
    command += ["--signature", str(files / signature.SIGNATURE)]
    command += ["--public_key", str(key.with_suffix(".pub")), "--no-ignore-git-paths"]
    command += ["--ignore-paths", str(files / signature.SIGNATURE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_key_that_cannot_be_used_is_an_error_of_ours(key: Path, files: Path) -> None:
    key.parent.mkdir()
    key.write_text("no key")
    with pytest.raises(
        SignatureError, match=r"cannot be signed by method 'key'.*Nothing was logged"
    ):
        signature.sign_folder(files)


def test_a_key_that_is_kept_elsewhere_is_placed_whole_and_once(
    key: Path, files: Path, tmp_path: Path
) -> None:
    private = signature.make_private_key()
    signature.place_key(key, private)
    assert key.read_bytes() == private
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.parent.stat().st_mode & 0o777 == 0o700
    assert not signature.needs_key()
    signature.sign_folder(files)
    signature.check_folder(files, "v1")
    written = [path.stat().st_ino for path in (key, key.with_suffix(".pub"))]
    signature.place_key(key, private)
    assert [path.stat().st_ino for path in (key, key.with_suffix(".pub"))] == written
    signature.place_key(key, signature.make_private_key())
    with pytest.raises(SignatureError, match="v1 is not what was packaged and signed"):
        signature.check_folder(files, "v1")


def test_a_signer_of_sigstore_is_known_by_both_names_of_the_configuration(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def use(_: object, **names: str) -> None:
        asked.append(names)

    monkeypatch.setattr(verifying.Config, "use_sigstore_verifier", use)
    monkeypatch.setattr(verifying.Config, "verify", lambda *_: None)
    signature.use({"method": "sigstore", "identity": "a@lab", "identity_provider": "https://id"})
    (files / signature.SIGNATURE).write_text("{}")
    signature.check_folder(files, "v1")
    assert asked == [{"identity": "a@lab", "oidc_issuer": "https://id"}]


def test_a_damaged_signature_is_an_error_of_ours(files: Path) -> None:
    with signature.make_key():
        pass
    for content in ("", "{}", "no JSON"):
        (files / signature.SIGNATURE).write_text(content)
        with pytest.raises(SignatureError, match="v1 is not what was packaged and signed"):
            signature.check_folder(files, "v1")


class TestCertificates:
    """Signed with a key whose certificate an authority has given: a laboratory's own."""

    @pytest.fixture
    def signing(self, tmp_path: Path) -> Signing:
        """A root, and a certificate for signing that it has given."""
        return issue(tmp_path, "laboratory")

    def test_files_are_signed_and_known_by_the_authority(
        self, signing: Signing, files: Path
    ) -> None:
        signature.use(signing)
        assert not signature.needs_key()
        signature.sign_folder(files)
        signature.check_folder(files, "v1")
        (files / "network").write_text("others")
        with pytest.raises(SignatureError, match=r"v1 is not what was .*changed since: network"):
            signature.check_folder(files, "v1")

    def test_what_another_authority_vouches_for_is_refused(
        self, signing: Signing, files: Path, tmp_path: Path
    ) -> None:
        signature.use(issue(tmp_path, "somebody else"))
        signature.sign_folder(files)
        signature.use(signing)
        with pytest.raises(SignatureError, match="v1 is not what was packaged and signed"):
            signature.check_folder(files, "v1")


UNUSED = (
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def issue(folder: Path, name: str) -> Signing:
    """Make an authority and a certificate of it for signing code."""
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root, leaf = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name}'s {what}")])
        for what in ("root", "models")
    )
    now = datetime.now(UTC)

    def make(subject: x509.Name, own: ec.EllipticCurvePublicKey, *, is_root: bool) -> bytes:
        usage = x509.KeyUsage(
            digital_signature=not is_root,
            key_cert_sign=is_root,
            **dict.fromkeys(UNUSED, False),
        )
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(root)
            .public_key(own)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(own), critical=False)
            .add_extension(above, critical=False)
        )
        if not is_root:
            code = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
            builder = builder.add_extension(code, critical=False)
        signed = builder.sign(root_key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)

    place = folder / name.replace(" ", "-")
    place.mkdir()
    contents = {
        "root.pem": make(root, root_key.public_key(), is_root=True),
        "models.pem": make(leaf, key.public_key(), is_root=False),
        "key.pem": key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    }
    for file, content in contents.items():
        (place / file).write_bytes(content)
    return {
        "method": "certificate",
        "private_key": str(place / "key.pem"),
        "certificate": str(place / "models.pem"),
        "certificate_chain": [str(place / "root.pem")],
    }
