"""Whose fault an error is: of what was delivered, or of the machine, the disk or the network."""

from __future__ import annotations

import errno
import zlib

import pytest

from image_classification.datasets.fault import describe_error, escape_text, is_passing


def make_azure_error(status: int) -> Exception:
    facts = {"__module__": "azure.core.exceptions", "status_code": status}
    return type("HttpResponseError", (Exception,), facts)("what Azure says")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EIO, "Input/output error"),
        OSError(errno.ESTALE, "Stale file handle"),
        OSError(errno.EMFILE, "Too many open files"),
        TimeoutError("no answer"),
        ConnectionResetError(),
        MemoryError(),
        type("EndpointConnectionError", (Exception,), {"__module__": "botocore.exceptions"})(),
        make_azure_error(503),
        make_azure_error(409),
    ],
)
def test_another_try_may_mend_what_lies_in_the_machine_or_the_network(error: Exception) -> None:
    assert is_passing(error)


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied"),
        PermissionError("an object store says so"),
        FileNotFoundError("gone"),
        OSError(errno.ENAMETOOLONG, "File name too long"),
        OSError("Invalid data stream"),
        ValueError("a number"),
        zlib.error("Error -3"),
        EOFError(),
        UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "invalid"),
        make_azure_error(403),
        make_azure_error(404),
    ],
)
def test_another_try_does_not_mend_what_lies_in_the_delivery(error: Exception) -> None:
    assert not is_passing(error)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\n  two.\n"), "one two"),
        (EOFError(), "EOFError"),
        (ValueError("caf\udce9 \x1b[31m"), r"caf\udce9 \x1b[31m"),
    ],
)
def test_an_error_is_told_in_one_line_that_any_screen_can_show(error: Exception, line: str) -> None:
    assert describe_error(error) == line


def test_usual_text_stays_as_it_is() -> None:
    assert escape_text("Zürich 日本 a.png") == "Zürich 日本 a.png"
