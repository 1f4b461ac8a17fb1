"""The published archive of malaria cells: download it, verify it, keep it.

The images and their labels are those of Rajaraman et al., PeerJ 6:e4568, 2018, published by the
National Library of Medicine (NLM) of the United States.
"""

from __future__ import annotations

import re
import shutil
import sys
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pooch
import requests
from filelock import FileLock, Timeout

from image_classification.datasets.leftover import IMAGE_SUFFIXES
from image_classification.errors import ConfigurationError, DataError

CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True)
class Source:
    """Where an archive comes from, and what it must hold.

    Attributes:
        name: as `make data SOURCE=<name>` knows it.
        url: address of the archive.
        file_name: of the archive on this machine. Archives of other bytes have other names, so
            that the recorded digest of one is never held against another.
        size_bytes: exact size; None where it is not known.
        classes: the class folders.
        images_per_class: images in each of them, each name counted once.
    """

    name: str
    url: str
    file_name: str
    size_bytes: int | None = None
    classes: tuple[str, ...] = ("Parasitized", "Uninfected")
    images_per_class: int = 13_779


SOURCES = {
    source.name: source
    for source in (
        Source(
            "nlm",
            "https://data.lhncbc.nlm.nih.gov/public/Malaria/cell_images.zip",
            "cell_images.zip",
            size_bytes=353_452_851,
        ),
        Source(
            "kaggle",
            "https://www.kaggle.com/api/v1/datasets/download/iarunava/"
            "cell-images-for-detecting-malaria",
            "cell_images_kaggle.zip",
        ),
    )
}


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server.

    Attributes:
        timeout_s: seconds without a single byte, after which a try ends.
        tries: downloads begun before giving up.
        pause_s: seconds between two tries.
    """

    timeout_s: float = 30
    tries: int = 3
    pause_s: float = 5


PATIENCE = Patience()


@dataclass(frozen=True)
class _Digests:
    """What the sha256 of an archive must be: what the user asks for, or else what was recorded."""

    wanted: str | None
    recorded: str | None


class Progress:
    """Shows on stderr how far a long task is: in one line on a terminal, else a line now and then.

    It has the attribute and the methods that pooch asks of a progress bar.
    """

    def __init__(self, title: str, total: int = 0) -> None:
        self.title = title
        self.total = total
        self._done = 0
        self._started = time.monotonic()
        self._on_terminal = sys.stderr.isatty()
        self._interval_s = 0.2 if self._on_terminal else 10
        self._due = self._started + self._interval_s

    def update(self, amount: int) -> None:
        """Add `amount` bytes."""
        self._done += amount
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + self._interval_s
            self._show("" if self._on_terminal else "\n")

    def reset(self) -> None:
        """Count from zero again, unless the size is known from the count alone."""
        self._done = 0 if self.total else self._done

    def close(self) -> None:
        """End the line, if there is anything to show."""
        if self._done:
            self._show("\n")

    def _show(self, end: str) -> None:
        # pooch counts whole chunks, and the last chunk may be shorter.
        done = min(self._done, self.total or self._done)
        share = f" of {self.total / 1e6:.1f} MB ({done / self.total:.0%})" if self.total else " MB"
        rate = done / 1e6 / max(time.monotonic() - self._started, 1e-3)
        line = f"{self.title}: {done / 1e6:.1f}{share}, {rate:.1f} MB/s"
        print(f"\r{line:<78}" if self._on_terminal else line, end=end, file=sys.stderr, flush=True)


def download_archive(
    folder: Path, source: Source, sha256: str | None = None, patience: Patience = PATIENCE
) -> Path:
    """Put the archive of `source` into `folder`, verified, and return its path.

    An archive that is there already is verified, and not downloaded again. The digest of a
    verified archive is recorded beside it, in the format of `sha256sum`; from then on the archive
    must have that digest, unless `sha256` names another.

    A broken download starts again from its beginning: pooch does not resume. The archive gets
    its name after the verification; a killed download leaves a hidden folder, which the next one
    removes. An archive put there by hand that proves wrong is renamed to `<name>.wrong`, since it
    may be the user's only copy.

    Args:
        folder: made where it does not exist.
        source: address, name, size and contents of the archive.
        sha256: digest that the archive must have, 64 hexadecimal digits.
        patience: timeout, tries and the pause between them.

    Raises:
        ConfigurationError: `sha256` is not a digest.
        DataError: the archive cannot be downloaded or stored, or is not the one expected.
    """
    archive = folder / source.file_name
    digests = _Digests(_read_digest(sha256) if sha256 else None, _read_record(archive))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=0), _make_staging(folder) as staging:
            if archive.is_file():
                digest = _accept(archive, source, digests)
            else:
                digest = _download(archive, source, digests, patience, staging)
            _record_digest(archive, digest, staging)
    except Timeout:
        raise DataError(
            f"Another download into '{folder}' is at work. Wait for its end, and run again."
        ) from None
    except OSError as error:
        raise DataError(
            f"The archive cannot be stored as '{archive}': {error}. Make room or give write "
            "access, or name another folder with --to."
        ) from error
    return archive


@contextmanager
def _make_staging(folder: Path) -> Iterator[Path]:
    """Yield an empty folder on the same disk, and remove it; what a killed run left goes too."""
    staging = folder / ".partial"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _accept(archive: Path, source: Source, digests: _Digests) -> str:
    try:
        digest = _verify(archive, source, digests)
    except DataError as error:
        aside = archive.replace(archive.with_name(f"{archive.name}.wrong"))
        raise DataError(
            f"'{archive}' is not the archive expected. {error}\nIt is now '{aside}'. "
            f"{_name_remedies(source, archive)}"
        ) from None
    print(f"'{archive}' is there and verified: nothing to download.", flush=True)
    return digest


def _download(
    archive: Path, source: Source, digests: _Digests, patience: Patience, staging: Path
) -> str:
    try:
        print(f"Downloading {source.url} ...", flush=True)
        staged = _fetch(source, staging, patience)
        digest = _verify(staged, source, digests)
    except requests.RequestException as error:
        raise DataError(
            f"{source.url} cannot be downloaded: {error}\n{_name_remedies(source, archive)}"
        ) from error
    except DataError as error:
        raise DataError(
            f"What came from {source.url} is not the archive expected, and is removed. {error}\n"
            f"{_name_remedies(source, archive)}"
        ) from None
    # pooch lets only the owner read the file.
    staged.chmod(0o644)
    staged.replace(archive)
    return digest


def _name_remedies(source: Source, archive: Path) -> str:
    others = " or ".join(f"make data SOURCE={name}" for name in SOURCES if name != source.name)
    return (
        f"Run again; or take another source: {others}; or download {source.url} by hand, put it "
        f"at '{archive}' and run again."
    )


def _fetch(source: Source, staging: Path, patience: Patience) -> Path:
    # pooch would advise to take the digest of an unverified file as the known one.
    pooch.get_logger().setLevel("WARNING")
    for attempt in range(1, patience.tries):
        try:
            return _fetch_once(source, staging, patience.timeout_s)
        except requests.RequestException as error:
            if not _may_pass(error):
                raise
            print(
                f"Try {attempt} of {patience.tries} failed: {error}\n"
                f"Starting again in {patience.pause_s:g} s ...",
                flush=True,
            )
            time.sleep(patience.pause_s)
    return _fetch_once(source, staging, patience.timeout_s)


def _fetch_once(source: Source, staging: Path, timeout_s: float) -> Path:
    progress = Progress("Download")
    downloader = pooch.HTTPDownloader(
        progressbar=progress, chunk_size=CHUNK_BYTES, timeout=timeout_s
    )
    try:
        return Path(pooch.retrieve(source.url, None, source.file_name, staging, None, downloader))
    except requests.RequestException:
        progress.close()
        raise


def _may_pass(error: requests.RequestException) -> bool:
    """Tell a broken connection or a busy server from a wrong address."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        status = error.response.status_code
        return status >= 500 or status in (408, 429)
    return isinstance(
        error,
        (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError),
    )


def _verify(path: Path, source: Source, digests: _Digests) -> str:
    """Return the digest of the file at `path` if it is the archive of `source`.

    What has the recorded digest was verified in full when that was recorded.
    """
    _check_size(path, source)
    digest: str = pooch.file_hash(str(path))
    _check_digest(digest, digests, f"{source.file_name}.sha256")
    if digest != digests.recorded:
        _check_contents(path, source)
    return digest


def _check_size(path: Path, source: Source) -> None:
    size = path.stat().st_size
    expected = "" if source.size_bytes is None else f" of {source.size_bytes:,} bytes"
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            start = file.read(40)
        kind = (
            "a web page: a proxy or a sign-in answered"
            if start.lstrip().startswith(b"<")
            else "not a zip file, or not a whole one"
        )
        raise DataError(
            f"Expected a zip{expected}, received {size:,} bytes that begin with {start!r}: {kind}."
        )
    if source.size_bytes not in (None, size):
        raise DataError(f"Expected a zip{expected}, received one of {size:,} bytes.")


def _check_digest(digest: str, digests: _Digests, record: str) -> None:
    if digests.wanted and digest != digests.wanted:
        raise DataError(f"Expected the sha256 {digests.wanted}, as given; received {digest}.")
    if not digests.wanted and digest != (digests.recorded or digest):
        raise DataError(
            f"Expected the sha256 {digests.recorded}, as '{record}' beside it records; received "
            f"{digest}. If the archive was published anew, delete that record."
        )


def _check_contents(path: Path, source: Source) -> None:
    name = ""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_images([member.filename for member in members], source)
            progress = Progress("Verify", sum(member.file_size for member in members))
            for member in members:
                name = f" at its member '{member.filename}'"
                _read_through(archive, member, progress)
            progress.close()
    # RuntimeError: a password, or an unknown compression; ValueError, OSError: wrong offsets.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError) as error:
        raise DataError(f"The zip is damaged{name}: {error}") from error


def _check_images(names: list[str], source: Source) -> None:
    """Count each name once per class: the archive on Kaggle holds every image twice."""
    paths = [PurePosixPath(name) for name in names]
    images = {
        (path.parent.name, path.name) for path in paths if path.suffix.lower() in IMAGE_SUFFIXES
    }
    received = Counter(label for label, _ in images)
    expected = dict.fromkeys(source.classes, source.images_per_class)
    if received != expected:
        raise DataError(
            f"Expected {_list_counts(expected)}; received {_list_counts(received) or 'no images'}."
        )


def _list_counts(counts: dict[str, int]) -> str:
    folders = ", ".join(f"{count:,} in '{label}'" for label, count in sorted(counts.items())[:5])
    return folders and f"{sum(counts.values()):,} images ({folders})"


def _read_through(archive: zipfile.ZipFile, member: zipfile.ZipInfo, progress: Progress) -> None:
    """Read a member to its end, where zipfile compares the checksum."""
    with archive.open(member) as file:
        while chunk := file.read(CHUNK_BYTES):
            progress.update(len(chunk))


def _name_record(archive: Path) -> Path:
    return archive.with_name(f"{archive.name}.sha256")


def _read_record(archive: Path) -> str | None:
    record = _name_record(archive)
    if not record.is_file():
        return None
    try:
        return _read_digest(record.read_text(encoding="utf-8").partition(" ")[0])
    except (ConfigurationError, UnicodeDecodeError):
        raise DataError(
            f"'{record}' does not begin with a sha256 digest. Delete it and run again."
        ) from None


def _record_digest(archive: Path, digest: str, staging: Path) -> None:
    record = _name_record(archive)
    staged = staging / record.name
    staged.write_text(f"{digest}  {archive.name}\n", encoding="utf-8")
    staged.replace(record)


def _read_digest(text: str) -> str:
    digest = text.strip().lower()
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise ConfigurationError(
            "DATA_SHA256 must be a sha256 digest of 64 hexadecimal digits, as `sha256sum` prints "
            f"it. Received: '{text}'."
        )
    return digest
