"""Text for a person's terminal: whatever others declared, it is shown, and it steers nothing."""

from __future__ import annotations

import os
import re
import sys
from typing import IO, Any, Self

# Control characters, marks that change the direction of text, invisible tags, and halves of surrogate pairs.
_HARMFUL = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
)
_IN_TEXT = re.compile(f"[{_HARMFUL}]")
_IN_LINE = re.compile(f"[\t\n{_HARMFUL}]")


class ReaderGone(Exception):
    """Whoever read this output has gone, `orbital get tasks | head` for instance."""


class Unwritable(Exception):
    """The output cannot be written, on a full disk for instance; the message says why."""


def harmless(text: str) -> str:
    """`text` with its lines, and with every character that would steer a terminal written as an escape."""
    return text if text.isprintable() else _IN_TEXT.sub(_escape, text)


def one_line(text: str) -> str:
    """`text` as it stands in one line of output: tabs and ends of lines are escapes too."""
    return _IN_LINE.sub(_escape, text)


def json_safe(text: str) -> str:
    """JSON text in which those characters are JSON's own escapes, so that it still means the same."""
    return _IN_TEXT.sub(lambda found: _json_escape(found[0]), text)


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    if number < 0x100:
        return {"\t": "\\t", "\n": "\\n", "\r": "\\r"}.get(found[0], f"\\x{number:02x}")
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{int.from_bytes(units[at : at + 2]):04x}" for at in range(0, len(units), 2))


class Output:
    """A stream of text that cannot fail by what is written, and tells a reader that has gone from every other error.

    `trusted` is the same stream for what this program composed for a terminal, colours for instance.
    """

    def __init__(self, stream: IO[str], *, escape: bool = True) -> None:
        self._stream = stream
        self._escape = escape

    @property
    def trusted(self) -> IO[str]:
        """The stream without the escapes."""
        trusted: Any = Output(self._stream, escape=False)
        return trusted  # type: ignore[no-any-return]  # it is a stream by what it answers to

    def write(self, text: str) -> int:
        """Write `text`; raises ReaderGone or Unwritable."""
        shown = harmless(text) if self._escape else text
        try:
            encoding = getattr(self._stream, "encoding", None) or "utf-8"
            return self._stream.write(shown.encode(encoding, "backslashreplace").decode(encoding))
        except OSError as error:
            raise _told(error) from error

    def flush(self) -> None:
        """Write what is held back; raises ReaderGone or Unwritable."""
        try:
            self._stream.flush()
        except OSError as error:
            raise _told(error) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _told(error: OSError) -> Exception:
    if isinstance(error, BrokenPipeError):
        return ReaderGone()
    return Unwritable(f"The output cannot be written: {error.strerror or error}")


def trusted(stream: IO[str]) -> IO[str]:
    """The stream for what this program composed for a terminal."""
    return stream.trusted if isinstance(stream, Output) else stream


class Guarded:
    """Inside the block, standard output and standard error are an Output each."""

    def __enter__(self) -> Self:
        self._before = sys.stdout, sys.stderr
        guarded: Any = [Output(stream or open(os.devnull, "w", encoding="utf-8")) for stream in self._before]  # noqa: SIM115, PTH123 - it stands for a stream that was closed
        sys.stdout, sys.stderr = guarded
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout, sys.stderr = self._before


def give_up_output() -> None:
    """Send what is still held back for standard output and standard error nowhere: Python flushes both at its end."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is None:
            continue
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
