"""What a peer sends, or that it goes away, is no fault of ours: no traceback of it is in a log."""

from __future__ import annotations

import logging

import grpc
import pytest
from aiohttp.http_exceptions import BadHttpMessage, BadStatusLine, LineTooLong

from runtime.logs import _is_own


@pytest.mark.parametrize(
    ("error", "own"),
    [
        (BadHttpMessage("x"), False), (BadStatusLine("x"), False), (LineTooLong(b"x", 1), False),
        (ConnectionResetError(), False), (grpc.aio.InternalError(), False), (BrokenPipeError(), False),
        (ValueError(), True), (OSError(), True),
    ],
    ids=repr,
)  # fmt: skip
def test_only_faults_of_our_own_are_told(error: Exception, own: bool) -> None:
    record = logging.LogRecord("aiohttp.server", logging.ERROR, "x", 1, "x", (), (type(error), error, None))
    assert _is_own(record) is own
    assert _is_own(logging.LogRecord("aiohttp.server", logging.ERROR, "x", 1, "x", (), None))
