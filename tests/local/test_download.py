from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock

from image_classification.errors import ConfigurationError, DataError
from image_classification.local.__main__ import main
from image_classification.local.download import (
    CHUNK_BYTES,
    SOURCES,
    Patience,
    Progress,
    Source,
    download_archive,
)

HURRIED = Patience(timeout_s=0.5, tries=3, pause_s=0.01)

Answer = Callable[[BaseHTTPRequestHandler], None]


def pack(per_class: int = 3, roots: tuple[str, ...] = ("cell_images",)) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for root in roots:
            for label in ("Parasitized", "Uninfected"):
                for number in range(per_class):
                    archive.writestr(f"{root}/{label}/{number}.png", f"{label}{number}" * 100)
                archive.writestr(f"{root}/{label}/Thumbs.db", "not an image")
    return packed.getvalue()


GOOD = pack()


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def send(content: bytes, status: int = 200) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        begin(handler, content, status)
        handler.wfile.write(content)

    return answer


def drip(content: bytes, parts: int, pause_s: float) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        begin(handler, content)
        size = -(-len(content) // parts)
        for start in range(0, len(content), size):
            handler.wfile.write(content[start : start + size])
            time.sleep(pause_s)

    return answer


def cut(content: bytes) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        begin(handler, content)
        handler.wfile.write(content[: len(content) // 2])

    return answer


def send_half_without_a_length(content: bytes) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2])

    return answer


def redirect(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(302)
    handler.send_header("Location", "/elsewhere.zip")
    handler.end_headers()


def begin(handler: BaseHTTPRequestHandler, content: bytes, status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()


class Server(ThreadingHTTPServer):
    """Gives the `answers` in their order, and the last of them from then on."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[Answer] = []
        self.requests = 0
        self.released = threading.Event()

    @property
    def source(self) -> Source:
        url = f"http://127.0.0.1:{self.server_address[1]}/cell_images.zip"
        return Source("nlm", url, "cell_images.zip", len(GOOD), images_per_class=3)

    def stall(self, handler: BaseHTTPRequestHandler) -> None:
        cut(bytes(4 * CHUNK_BYTES))(handler)
        self.released.wait(20)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that go away."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests += 1
        self.server.answers[min(self.server.requests, len(self.server.answers)) - 1](self)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.name != ".lock")


def test_downloads_the_archive_and_records_its_digest_as_sha256sum_does(
    server: Server, tmp_path: Path
) -> None:
    server.answers = [send(GOOD)]
    archive = download_archive(tmp_path / "new" / "folder", server.source, patience=HURRIED)
    assert archive == tmp_path / "new" / "folder" / "cell_images.zip"
    assert archive.read_bytes() == GOOD
    assert leftovers(archive.parent) == ["cell_images.zip", "cell_images.zip.sha256"]
    record = archive.with_name("cell_images.zip.sha256")
    assert record.read_text() == f"{digest_of(GOOD)}  cell_images.zip\n"


def test_leaves_the_archive_readable_to_other_users(server: Server, tmp_path: Path) -> None:
    server.answers = [send(GOOD)]
    archive = download_archive(tmp_path, server.source, patience=HURRIED)
    assert archive.stat().st_mode & 0o777 == 0o644


def test_follows_a_redirection(server: Server, tmp_path: Path) -> None:
    server.answers = [redirect, send(GOOD)]
    assert download_archive(tmp_path, server.source, patience=HURRIED).read_bytes() == GOOD


def test_counts_an_image_in_a_doubled_folder_once(server: Server, tmp_path: Path) -> None:
    doubled = pack(roots=("cell_images", "cell_images/cell_images"))
    server.answers = [send(doubled)]
    source = replace(server.source, size_bytes=None)
    assert download_archive(tmp_path, source, patience=HURRIED).read_bytes() == doubled


def test_waits_for_a_server_that_drips(server: Server, tmp_path: Path) -> None:
    server.answers = [drip(GOOD, parts=8, pause_s=0.1)]
    assert download_archive(tmp_path, server.source, patience=HURRIED).read_bytes() == GOOD
    assert server.requests == 1


def test_gives_up_on_a_server_that_stalls(server: Server, tmp_path: Path) -> None:
    server.answers = [server.stall]
    began = time.monotonic()
    with pytest.raises(DataError, match=r"cannot be downloaded.*(?i:timed out)"):
        download_archive(tmp_path, server.source, patience=replace(HURRIED, timeout_s=0.2))
    assert time.monotonic() - began < 5
    assert server.requests == 3
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_tries_again_when_the_server_is_busy(server: Server, tmp_path: Path, status: int) -> None:
    server.answers = [send(b"busy", status), send(GOOD)]
    download_archive(tmp_path, server.source, patience=HURRIED)
    assert server.requests == 2


def test_starts_again_when_the_connection_is_cut(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers = [cut(GOOD), cut(GOOD), send(GOOD)]
    assert download_archive(tmp_path, server.source, patience=HURRIED).read_bytes() == GOOD
    said = capsys.readouterr().out
    assert "Try 1 of 3 failed" in said
    assert "Try 2 of 3 failed" in said


@pytest.mark.parametrize("answer", [cut(GOOD), send(b"broken", 500)], ids=["cut", "500"])
def test_names_the_other_source_and_the_manual_way_when_every_try_fails(
    server: Server, tmp_path: Path, answer: Answer
) -> None:
    server.answers = [answer]
    with pytest.raises(DataError, match="cannot be downloaded") as raised:
        download_archive(tmp_path, server.source, patience=HURRIED)
    by_hand = f"download {server.source.url} by hand, put it at '{tmp_path / 'cell_images.zip'}'"
    assert by_hand in str(raised.value)
    assert "make data SOURCE=kaggle" in str(raised.value)
    assert server.requests == 3
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("status", [401, 403, 404])
def test_does_not_try_again_where_the_address_is_wrong(
    server: Server, tmp_path: Path, status: int
) -> None:
    server.answers = [send(b"no", status)]
    with pytest.raises(DataError, match=rf"cannot be downloaded: {status} "):
        download_archive(tmp_path, server.source, patience=HURRIED)
    assert server.requests == 1
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("url", "reason"), [("ftp//nowhere", "No scheme"), ("gopher://x/y", "No connection")]
)
def test_names_an_address_that_is_none(tmp_path: Path, url: str, reason: str) -> None:
    source = replace(SOURCES["nlm"], url=url)
    with pytest.raises(DataError, match=f"{url} cannot be downloaded: .*{reason}"):
        download_archive(tmp_path, source, patience=HURRIED)


def test_says_that_nobody_listens(server: Server, tmp_path: Path) -> None:
    source = replace(SOURCES["nlm"], url="http://127.0.0.1:1/cell_images.zip")
    with pytest.raises(DataError, match="Connection refused"):
        download_archive(tmp_path, source, patience=HURRIED)


PAGE = b"<!DOCTYPE html><html>Please sign in</html>"
DAMAGED = GOOD.replace(b"Uninfected2Uninfected2", b"Uninfected2uninfected2", 1)
THREE_CLASSES = GOOD.replace(b"Parasitized/0.png", b"Undecided__/0.png")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PAGE, rf"a zip, received {len(PAGE)} bytes .*DOCTYPE.*: a web page"),
        (b"", r"a zip, received 0 bytes .*not a zip file, or not a whole one"),
        (GOOD[:-40], "not a zip file, or not a whole one"),
        (pack(4), r"Expected 6 images \(3 in .*received 8 images \(4 in 'Paras.*4 in 'Uninf"),
        (pack(0), "received no images"),
        (THREE_CLASSES, r"received 6 images \(2 in 'Paras.* 1 in 'Undecided__', 3 in 'Uninf"),
        (DAMAGED, r"damaged at its member 'cell_images/Uninfected/2.png': Bad CRC"),
    ],
    ids=["page", "empty", "cut", "too_many", "no_images", "other_class", "damaged"],
)
def test_removes_a_download_that_is_not_the_archive(
    server: Server, tmp_path: Path, content: bytes, message: str
) -> None:
    server.answers = [send(content)]
    source = replace(server.source, size_bytes=None)
    with pytest.raises(DataError, match=rf"(?s)is not the archive expected.*{message}"):
        download_archive(tmp_path, source, patience=HURRIED)
    assert server.requests == 1
    assert leftovers(tmp_path) == []


def test_notices_a_cut_that_the_connection_does_not_show(server: Server, tmp_path: Path) -> None:
    server.answers = [send_half_without_a_length(GOOD)]
    with pytest.raises(DataError, match=rf"a zip of {len(GOOD):,} bytes.*not a whole one"):
        download_archive(tmp_path, server.source, patience=HURRIED)
    assert leftovers(tmp_path) == []


def test_refuses_another_size_where_the_size_is_known(server: Server, tmp_path: Path) -> None:
    other = pack(4)
    server.answers = [send(other)]
    with pytest.raises(DataError, match=rf"of {len(GOOD):,} bytes, received one of {len(other):,}"):
        download_archive(tmp_path, server.source, patience=HURRIED)
    assert leftovers(tmp_path) == []


def test_refuses_a_download_of_another_digest_than_the_one_given(
    server: Server, tmp_path: Path
) -> None:
    server.answers = [send(GOOD)]
    expected = f"Expected the sha256 {'0' * 64}, as given; received {digest_of(GOOD)}"
    with pytest.raises(DataError, match=expected):
        download_archive(tmp_path, server.source, "0" * 64, patience=HURRIED)
    assert leftovers(tmp_path) == []


def test_accepts_a_given_digest_in_capitals(server: Server, tmp_path: Path) -> None:
    server.answers = [send(GOOD)]
    download_archive(tmp_path, server.source, digest_of(GOOD).upper() + "\n", HURRIED)


def test_refuses_a_given_digest_that_is_none_before_any_request(
    server: Server, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=r"64 hexadecimal digits.*Received: 'abc'"):
        download_archive(tmp_path, server.source, "abc", HURRIED)
    assert server.requests == 0


def test_refuses_a_later_download_that_differs_from_the_recorded_one(
    server: Server, tmp_path: Path
) -> None:
    renewed = pack(roots=("renewed_root",))
    server.answers = [send(GOOD), send(renewed), send(renewed)]
    source = replace(server.source, size_bytes=None)
    archive = download_archive(tmp_path, source, patience=HURRIED)
    archive.unlink()
    with pytest.raises(DataError, match=r"as 'cell_images.zip.sha256' beside it records.*delete"):
        download_archive(tmp_path, source, patience=HURRIED)
    assert leftovers(tmp_path) == ["cell_images.zip.sha256"]
    download_archive(tmp_path, source, digest_of(renewed), HURRIED)
    assert digest_of(renewed) in (tmp_path / "cell_images.zip.sha256").read_text()


def test_names_a_record_that_holds_no_digest(server: Server, tmp_path: Path) -> None:
    record = tmp_path / "cell_images.zip.sha256"
    record.write_bytes(b"\xff no digest")
    (tmp_path / "cell_images.zip").write_bytes(GOOD)
    with pytest.raises(DataError, match=rf"'{record}' does not begin with a sha256.*Delete it"):
        download_archive(tmp_path, server.source, patience=HURRIED)
    assert (tmp_path / "cell_images.zip").is_file()


def test_does_not_download_again_what_is_there(
    server: Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.answers = [send(GOOD)]
    first = download_archive(tmp_path, server.source, patience=HURRIED)
    capsys.readouterr()
    monkeypatch.setattr("zipfile.ZipFile.open", lambda *_: pytest.fail("the record is enough"))
    assert download_archive(tmp_path, server.source, patience=HURRIED) == first
    assert server.requests == 1
    assert f"'{first}' is there and verified: nothing to download" in capsys.readouterr().out


def test_accepts_an_archive_put_there_by_hand(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cell_images.zip").write_bytes(GOOD)
    download_archive(tmp_path, server.source, patience=HURRIED)
    assert server.requests == 0
    assert leftovers(tmp_path) == ["cell_images.zip", "cell_images.zip.sha256"]


def test_sets_a_wrong_archive_put_there_by_hand_aside_and_downloads_the_next_time(
    server: Server, tmp_path: Path
) -> None:
    server.answers = [send(GOOD)]
    archive = tmp_path / "cell_images.zip"
    archive.write_bytes(DAMAGED)
    with pytest.raises(DataError, match=r"(?s)damaged.*It is now '.*/cell_images.zip.wrong'"):
        download_archive(tmp_path, server.source, patience=HURRIED)
    assert leftovers(tmp_path) == ["cell_images.zip.wrong"]
    assert download_archive(tmp_path, server.source, patience=HURRIED).read_bytes() == GOOD


def test_notices_an_archive_that_changed_after_it_was_verified(
    server: Server, tmp_path: Path
) -> None:
    server.answers = [send(GOOD)]
    archive = download_archive(tmp_path, server.source, patience=HURRIED)
    archive.write_bytes(DAMAGED)
    with pytest.raises(DataError, match=f"records; received {digest_of(DAMAGED)}"):
        download_archive(tmp_path, server.source, patience=HURRIED)
    assert not archive.exists()


def test_starts_clean_after_a_killed_download(server: Server, tmp_path: Path) -> None:
    server.answers = [server.stall, send(GOOD)]
    begin_download = (
        "import sys; from pathlib import Path\n"
        "from image_classification.local.download import Source, download_archive\n"
        "download_archive(Path(sys.argv[1]), Source('nlm', sys.argv[2], 'cell_images.zip'))"
    )
    command = [sys.executable, "-c", begin_download, str(tmp_path), server.source.url]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: partial_bytes(tmp_path) > 0)
        finally:
            process.kill()
    assert partial_bytes(tmp_path) > 0
    assert not (tmp_path / "cell_images.zip").exists()
    assert download_archive(tmp_path, server.source, patience=HURRIED).read_bytes() == GOOD
    assert leftovers(tmp_path) == ["cell_images.zip", "cell_images.zip.sha256"]


def test_does_not_take_over_what_a_killed_run_had_not_verified(
    server: Server, tmp_path: Path
) -> None:
    server.answers = [send(GOOD)]
    (tmp_path / ".partial").mkdir()
    (tmp_path / ".partial" / "cell_images.zip").write_bytes(DAMAGED)
    assert download_archive(tmp_path, server.source, patience=HURRIED).read_bytes() == GOOD
    assert server.requests == 1


def partial_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / ".partial").glob("tmp*"))


def wait_for(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + 15
    while not happened():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def test_refuses_to_run_twice_at_a_time_in_one_folder(server: Server, tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / ".lock"),
        pytest.raises(DataError, match=f"Another download into '{tmp_path}' is at work"),
    ):
        download_archive(tmp_path, server.source, patience=HURRIED)
    assert server.requests == 0


def test_says_so_when_the_folder_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot be stored as '.*/file/cell_images.zip'.*--to"):
        download_archive(tmp_path / "file", server.source, patience=HURRIED)


@pytest.mark.parametrize(
    ("total", "line"),
    [(4_000_000, r"Verify: 4\.0 of 4\.0 MB \(100%\), .* MB/s\n"), (0, r"Verify: 3\.0 MB, .*\n")],
)
def test_shows_progress_in_whole_lines_where_stderr_is_no_terminal(
    capsys: pytest.CaptureFixture[str], total: int, line: str
) -> None:
    progress = Progress("Verify", total)
    for _ in range(3):
        progress.update(1_000_000)
    # As pooch ends: `total` is 0 where the server names no size.
    progress.reset()
    progress.update(total)
    assert capsys.readouterr().err == ""
    progress.close()
    assert re.fullmatch(line, capsys.readouterr().err)


def test_shows_progress_in_place_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    moments = iter([0.0, 0.1, *([1.0] * 9)])
    monkeypatch.setattr(time, "monotonic", lambda: next(moments))
    progress = Progress("Download", 2_000_000)
    progress.update(1_000_000)
    progress.update(4_000_000)
    shown = capsys.readouterr().err
    assert re.fullmatch(r"\rDownload: 2\.0 of 2\.0 MB \(100%\), 2\.0 MB/s *", shown)


def test_knows_the_published_archives() -> None:
    assert SOURCES["nlm"].size_bytes == 353_452_851
    for source in SOURCES.values():
        assert source.url.startswith("https://")
        assert len(source.classes) * source.images_per_class == 27_558
    assert len({source.file_name for source in SOURCES.values()}) == len(SOURCES)


def test_the_verb_data_ends_with_the_way_to_use_the_images(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(SOURCES, "nlm", replace(server.source, url="http://127.0.0.1:1/"))
    monkeypatch.delenv("DATA_SHA256", raising=False)
    monkeypatch.chdir(tmp_path)
    server.answers = [send(pack(roots=("packed_anew",)))]
    assert main(["data", "--url", server.source.url]) == 0
    said = capsys.readouterr().out
    assert said.endswith("Use them: make demo DATA=data/download/cell_images.zip\n")
    assert (tmp_path / "data" / "download" / "cell_images.zip").is_file()


def test_the_verb_data_takes_the_digest_from_the_environment(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATA_SHA256", "0" * 64)
    monkeypatch.setitem(SOURCES, "nlm", server.source)
    server.answers = [send(GOOD)]
    assert main(["data", "--to", str(tmp_path)]) == 1
    assert f"Expected the sha256 {'0' * 64}, as given" in capsys.readouterr().err
