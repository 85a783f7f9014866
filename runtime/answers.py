"""Reading an HTTP answer: never more of it than a bound, however long the other side goes on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from runtime.errors import Invalid
from runtime.files import read_bytes

if TYPE_CHECKING:
    import aiohttp

MOST_ANSWER = 16 * 1024 * 1024  # of an HTTP answer; the largest of ours, a batch of OpenBao's, has a few MiB
_PIECE = 64 * 1024


async def read_answer(answer: aiohttp.ClientResponse, most: int = MOST_ANSWER) -> bytes:
    """The body of an answer; raises Invalid when it is longer than `most` bytes, of which no more is read."""
    raw = bytearray()
    async for part in answer.content.iter_any():
        raw += part
        if len(raw) > most:
            raise _too_long(most)
    return bytes(raw)


class BoundedSession(requests.Session):
    """A session of `requests`, also for hvac, that believes one authority and reads no more than a bound of an answer.

    Raises Invalid beyond the bound. Nothing in the environment changes where it connects or whom it believes.
    """

    def __init__(self, authority: Path | None, most: int = MOST_ANSWER) -> None:
        super().__init__()
        # REQUESTS_CA_BUNDLE would otherwise override `verify`.
        self.trust_env = False
        if authority:
            # Whoever reads it later has no bound.
            read_bytes(authority)
        self.verify = str(authority) if authority else True
        adapter = _BoundedAdapter(most)
        self.mount("https://", adapter)
        self.mount("http://", adapter)


class _BoundedAdapter(requests.adapters.HTTPAdapter):
    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def send(self, *arguments: Any, **options: Any) -> requests.Response:
        """Send the request and read the answer's body, which the response then holds."""
        answer = super().send(*arguments, **(options | {"stream": True}))
        raw = bytearray()
        for part in answer.iter_content(_PIECE):
            raw += part
            if len(raw) > self._most:
                answer.close()
                raise _too_long(self._most)
        # What `Response.content` returns once it has been read.
        answer._content = bytes(raw)  # noqa: SLF001 - `requests` has no other way to put it there
        return answer


def _too_long(most: int) -> Invalid:
    return Invalid(f"The answer has more than {most} bytes", reason="ANSWER_TOO_LONG")
