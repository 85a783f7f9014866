"""What a peer sends, or that it goes away, is no fault of ours: no traceback of it is in a log."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

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


WARNS = """
import logging
from runtime.logs import setup_logs
setup_logs("gateway")
try:
    raise ConnectionResetError("the server closed it")
except OSError as error:
    for shown in (True, error):
        for level in (logging.WARNING, logging.ERROR):
            logging.getLogger("asyncpg.pool").log(level, "trying again", exc_info=shown)
"""


def test_what_a_library_tries_again_is_told_by_its_cause_and_without_a_traceback() -> None:
    # In a process of its own, because logs are set up once.
    ended = subprocess.run([sys.executable, "-c", WARNS], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    warned = [line for line in lines if line["level"] == "warning"]
    assert [line["error"] for line in warned] == ["ConnectionResetError: the server closed it"] * 2
    assert not any("exception" in line for line in warned)
    assert all("Traceback" in line["exception"] for line in lines if line["level"] == "error")
