"""Reading a file that others name or write: never more of it than a bound, whatever it turns out to be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

from runtime.errors import Invalid

MOST_FILE = 64 * 1024 * 1024  # of a file read as a whole; the largest of ours, a bundle or an export, has some MiB
_PIECE = 64 * 1024


def read_bytes(path: Path, most: int = MOST_FILE) -> bytes:
    """The bytes of a file; raises Invalid when there are more than `most`, of which no more is read, and OSError."""
    with path.open("rb") as file:
        return read_stream(file, str(path), most)


def read_text(path: Path, most: int = MOST_FILE) -> str:
    """A file's text in UTF-8; raises as `read_bytes` does, and UnicodeDecodeError."""
    return read_bytes(path, most).decode()


def read_stream(stream: IO[bytes], name: str, most: int = MOST_FILE) -> bytes:
    """The rest of a stream; raises Invalid, by its name, when there is more than `most`."""
    content = bytearray()
    while piece := stream.read(_PIECE):
        content += piece
        if len(content) > most:
            raise Invalid(f"{name} has more than {most} bytes", reason="FILE_TOO_LONG", field=name)
    return bytes(content)


def bounded_lines(stream: IO[bytes], name: str, most: int = MOST_FILE) -> Iterator[bytes]:
    """The lines of a stream one after the other; raises Invalid, by its name, at one of more than `most` bytes."""
    while line := stream.readline(most + 1):
        if len(line) > most:
            raise Invalid(f"{name} has a line of more than {most} bytes", reason="FILE_TOO_LONG", field=name)
        yield line
