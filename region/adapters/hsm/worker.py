"""The process that alone holds the PKCS#11 library: requests on its standard input, answers on its standard output.

Started by region.adapters.hsm.process. It ends with its input.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import BinaryIO

from region.adapters.hsm.frames import LENGTH, MOST_BYTES, Action, Answer, Outcome, Request, request
from region.adapters.hsm.token import FAILURES, Token, TokenError

PR_SET_PDEATHSIG = 1


def serve(token: Token, source: BinaryIO, target: BinaryIO) -> None:
    """Answer each request in turn until the source ends."""
    while (frame := _read(source)) is not None:
        answered = _answer(token, request(frame)).packed()
        target.write(answered)
        target.flush()
        _wipe(frame)
        _wipe(answered)


def _read(source: BinaryIO) -> bytearray | None:
    head = source.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (size,) = LENGTH.unpack(head)
    if size > MOST_BYTES:
        return None
    frame = bytearray(size)
    view, filled = memoryview(frame), 0
    while filled < size:
        got = source.readinto(view[filled:])  # type: ignore[attr-defined]
        if not got:
            return None
        filled += got
    return frame


def _answer(token: Token, asked: Request) -> Answer:
    try:
        if asked.action is Action.TRY:
            return Answer(asked.number, Outcome.DONE, bytearray(json.dumps(token.try_out(asked.label)).encode()))
        if asked.action is Action.WRAP:
            return Answer(asked.number, Outcome.DONE, bytearray(token.wrap(asked.label, asked.payload)))
        if asked.action is Action.ASK:
            token.ask(asked.label)
            return Answer(asked.number, Outcome.DONE, bytearray())
        return Answer(asked.number, Outcome.DONE, token.unwrap(asked.label, bytes(asked.payload)))
    except TokenError as error:
        return Answer(asked.number, error.outcome, bytearray(error.message.encode()))
    except FAILURES as error:
        # One key that breaks the library's binding must not end the process, and with it everybody's calls.
        message = f"The call by the key {asked.label!r} broke: {type(error).__name__}"
        return Answer(asked.number, Outcome.KEY_UNFIT, bytearray(message.encode(errors="replace")))
    finally:
        _wipe(asked.payload)


def _wipe(material: bytearray) -> None:
    material[:] = bytes(len(material))


def main() -> None:
    """`python -m region.adapters.hsm.worker LIBRARY TOKEN PIN_FILE (generate|find)`."""
    library, label, pin_file, missing = sys.argv[1:]
    if sys.platform == "linux":
        # A library that hangs would not notice that its region is gone.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # A terminal's Ctrl-C is for the region, which ends this one when it no longer needs it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    target = os.fdopen(os.dup(1), "wb")
    # What a library prints must not come between two answers.
    os.dup2(2, 1)
    token = Token(Path(library), label, Path(pin_file), generate_missing=missing == "generate")
    serve(token, os.fdopen(0, "rb", buffering=0), target)


if __name__ == "__main__":
    main()
