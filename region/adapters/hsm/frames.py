"""What adapter and worker say to one another: frames of a length and as many bytes. Both ends are this version."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

LENGTH = struct.Struct(">I")
_REQUEST = struct.Struct(">IBH")
_ANSWER = struct.Struct(">IB")
# No HSM needs a longer one, and a frame always holds it.
MOST_LABEL = 1024
# Wrapped and plain keys are some tens of bytes; whoever says more than this is broken.
MOST_BYTES = 64 * 1024


class Action(IntEnum):
    """What the token is asked to do."""

    WRAP = 1
    UNWRAP = 2
    TRY = 3
    ASK = 4


class Outcome(IntEnum):
    """What came of it: done, or why not. Three of them come of a trial alone."""

    DONE = 0
    AWAY = 1
    KEY_MISSING = 2
    BLOB_REFUSED = 3
    TOKEN_MISSING = 4
    LOGIN_REFUSED = 5
    TRIAL_FAILED = 6
    OWNER_REFUSED = 7
    KEY_UNFIT = 8
    KEY_AMBIGUOUS = 9


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """One call, recognised by its number; `payload` is material to wrap or a blob to unwrap."""

    number: int
    action: Action
    label: str
    payload: bytearray

    def packed(self) -> bytearray:
        """The frame; the sender overwrites it."""
        label = self.label.encode()
        frame = bytearray(_REQUEST.pack(self.number, self.action, len(label)))
        frame += label
        frame += self.payload
        return bytearray(LENGTH.pack(len(frame))) + frame


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What came of the request of that number; `payload` is a blob, material or a sentence."""

    number: int
    outcome: Outcome
    payload: bytearray

    def packed(self) -> bytearray:
        """The frame; the sender overwrites it."""
        return bytearray(LENGTH.pack(_ANSWER.size + len(self.payload)) + _ANSWER.pack(self.number, self.outcome)) + (
            self.payload
        )


def request(frame: bytearray) -> Request:
    """The request in a frame without its length."""
    number, action, size = _REQUEST.unpack_from(frame)
    start = _REQUEST.size
    return Request(number, Action(action), frame[start : start + size].decode(), frame[start + size :])


def answer(frame: bytearray) -> Answer:
    """The answer in a frame without its length."""
    number, outcome = _ANSWER.unpack_from(frame)
    return Answer(number, Outcome(outcome), frame[_ANSWER.size :])
