"""Pages of a listing: bounded in number and in bytes, so that whatever may be declared can be listed."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TypeVar

from google.protobuf.message import Message

from runtime.errors import Invalid

# A client of gRPC takes 4 MiB unless it says otherwise.
MOST_BYTES = 3 * 1024 * 1024
LONGEST_TOKEN = 2_048  # characters of a page token, which is ours
LARGEST = 2**63 - 1  # PostgreSQL's bigint
Item = TypeVar("Item", bound=Message)
Key = tuple[str | int, ...]


def page_size(wanted: int, most: int) -> int:
    """The page size to use for the wanted one, where 0 means the most."""
    if not 0 <= wanted <= most:
        raise Invalid(f"page_size is {wanted}; expected 1 to {most}, or 0 for the most", field="page_size")
    return wanted or most


def fitting(items: Iterable[Item], most: int = MOST_BYTES) -> list[Item]:
    """The first items that have room in that many bytes; one is always taken."""
    found: list[Item] = []
    size = 0
    for item in items:
        size += item.ByteSize()
        if found and size > most:
            break
        found.append(item)
    return found


def split(items: Sequence[Item]) -> Iterator[list[Item]]:
    """All of the items, in pieces that have room in a message each; without any, one piece that is empty."""
    begin = 0
    while begin < len(items) or not begin:
        piece = fitting(items[begin:])
        yield piece
        begin += max(1, len(piece))


def page_after(
    items: Sequence[Item], key: Callable[[Item], Key], kinds: Sequence[type], token: str, size: int
) -> tuple[list[Item], str]:
    """The page of `items` that begins after `token`, and the token of the next one.

    They are in order of `key`, whose parts are of these kinds. Raises Invalid on a token that is not ours.
    """
    begin = read_token(token, kinds) if token else ()
    left = [item for item in items if not begin or key(item) > begin]
    found = fitting(islice(left, size))
    return found, write_token(*key(found[-1])) if len(found) < len(left) else ""


def write_token(*parts: str | int) -> str:
    """A page token that says where the next page begins."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def read_token(token: str, kinds: Sequence[type]) -> Key:
    """What a page token says, of one part a kind; raises Invalid on one that we did not write."""
    if len(token) > LONGEST_TOKEN:
        raise _foreign()
    try:
        read = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _foreign() from error
    if not isinstance(read, list) or [type(part) for part in read] != list(kinds):
        raise _foreign()
    for part in read:
        if abs(part) > LARGEST if isinstance(part, int) else not _text(part):
            raise _foreign()
    return tuple(read)


def page_before(items: Sequence[Item], key: Callable[[int], Key], size: int) -> tuple[list[Item], str]:
    """What a page has room for of items that were read newest first, one more than `size`, and the next token.

    `key` says what the token tells of the item at an index.
    """
    found = fitting(items[:size])
    return found, write_token(*key(len(found) - 1)) if found and len(found) < len(items) else ""


def before_id(token: str) -> int:
    """The ID before which a page begins that is newest first; raises Invalid on a token that is not ours."""
    return int(read_token(token, (int,))[0]) if token else LARGEST


def before_moment(token: str) -> tuple[datetime | None, str]:
    """The time and the key before which a page begins that is newest first; None for the first page."""
    if not token:
        return None, ""
    moment, key = read_token(token, (str, str))
    return read_moment(str(moment)), str(key)


def read_moment(text: str) -> datetime:
    """A time in a page token; raises Invalid on one that we did not write."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise _foreign()
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _foreign() from error


def _text(part: str) -> bool:
    """Whether the store can be asked for it: no NUL, no half of a character."""
    return "\0" not in part and not any("\ud800" <= sign <= "\udfff" for sign in part)


def _foreign() -> Invalid:
    return Invalid("page_token is not one of ours", field="page_token")
