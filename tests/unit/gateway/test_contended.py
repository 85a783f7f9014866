"""A change that the store undid for the sake of another is done again, and no other failure is."""

from __future__ import annotations

import asyncio

import pytest

from gateway.flow.contended import ATTEMPTS, whole
from gateway.ports.store import CONTENDED
from runtime.errors import Unavailable


class Changes:
    def __init__(self, failures: int, reason: str) -> None:
        self.left, self.reason, self.made = failures, reason, 0

    @whole
    async def change(self, what: str) -> str:
        self.made += 1
        if self.left:
            self.left -= 1
            raise Unavailable("no", reason=self.reason)
        return what


def test_it_is_done_again_until_it_is_through() -> None:
    changes = Changes(ATTEMPTS - 1, CONTENDED)
    assert asyncio.run(changes.change("x")) == "x"
    assert changes.made == ATTEMPTS


@pytest.mark.parametrize(("failures", "reason", "made"), [(ATTEMPTS, CONTENDED, ATTEMPTS), (1, "STORE_UNAVAILABLE", 1)])
def test_other_failures_and_one_too_many_are_told(failures: int, reason: str, made: int) -> None:
    changes = Changes(failures, reason)
    with pytest.raises(Unavailable):
        asyncio.run(changes.change("x"))
    assert changes.made == made
