"""JSON from another party, read without trust: what is missing, or of another kind than expected, reads as nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from runtime.errors import Invalid
from runtime.printable import printable

MOST_TEXT = 1000  # bytes of a text that is kept or shown; the longest of ours is a sentence
MOST_WHOLE = 2**63 - 1  # PostgreSQL, SQLite and a protobuf int64 hold no larger number


@dataclass(frozen=True, slots=True)
class Json:
    """A value; whatever is asked of it, no shape of it raises."""

    value: Any = None

    def at(self, *names: str) -> Json:
        """What stands at the end of this way through objects."""
        value = self.value
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return Json(value)

    def text(self, most: int = MOST_TEXT) -> str:
        """A text, printable and of at most so many bytes."""
        return printable(self.value, most) if isinstance(self.value, str) else ""

    def exact(self) -> str:
        """A text as it was sent, for what is compared or decoded and not shown."""
        return self.value if isinstance(self.value, str) else ""

    def whole(self) -> int:
        """A whole number from 0 on, as a number or in digits; one that is too large counts as the largest."""
        if isinstance(self.value, str) and self.value.isascii() and self.value.isdigit() and len(self.value) < 20:
            return min(int(self.value), MOST_WHOLE)
        if isinstance(self.value, int) and not isinstance(self.value, bool):
            return min(max(self.value, 0), MOST_WHOLE)
        return 0

    def moment(self) -> datetime | None:
        """A time, in UTC."""
        try:
            found = datetime.fromisoformat(self.exact())
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            return None

    def items(self) -> Iterator[Json]:
        """The items of an array."""
        return map(Json, self.value) if isinstance(self.value, list) else iter(())

    @property
    def is_object(self) -> bool:
        """Whether it is an object."""
        return isinstance(self.value, dict)

    @property
    def is_array(self) -> bool:
        """Whether it is an array."""
        return isinstance(self.value, list)


def read_json(raw: bytes) -> Json:
    """The value in these bytes; nothing for none. Raises Invalid on bytes that are no JSON."""
    try:
        return Json(orjson.loads(raw) if raw else None)
    except orjson.JSONDecodeError as error:
        raise Invalid("This is no JSON", reason="MALFORMED") from error
