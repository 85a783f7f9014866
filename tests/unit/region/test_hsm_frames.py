"""Frames come out as they went in."""

from __future__ import annotations

import io
from typing import Any

from region.adapters.hsm import frames, worker
from region.adapters.hsm.frames import Action, Answer, Outcome, Request


class Token:
    def wrap(self, label: str, material: bytearray) -> bytes:
        return label.encode() + bytes(material)

    def unwrap(self, label: str, blob: bytes) -> bytearray:
        raise worker.TokenError(Outcome.BLOB_REFUSED, f"not by {label}")


def test_the_worker_answers_each_request_in_turn_until_its_input_ends() -> None:
    token: Any = Token()
    asked = [Request(7, Action.WRAP, "l1-ä", bytearray(b"m")), Request(8, Action.UNWRAP, "x", bytearray(b"blob"))]
    target = io.BytesIO()
    worker.serve(token, io.BytesIO(b"".join(bytes(each.packed()) for each in asked) + b"\0\0"), target)
    said, found = target.getvalue(), []
    while said:
        (size,) = frames.LENGTH.unpack_from(said)
        found.append(frames.answer(bytearray(said[4 : 4 + size])))
        said = said[4 + size :]
    assert found == [
        Answer(7, Outcome.DONE, bytearray("l1-äm".encode())),
        Answer(8, Outcome.BLOB_REFUSED, bytearray(b"not by x")),
    ]


def test_a_frame_that_is_too_long_ends_the_worker() -> None:
    token: Any = Token()
    target = io.BytesIO()
    worker.serve(token, io.BytesIO(frames.LENGTH.pack(frames.MOST_BYTES + 1) + b"x" * 100), target)
    assert target.getvalue() == b""
