"""A page of the trail is bounded in bytes, whatever it holds; the pages together leave nothing out."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from orbital.v1.audit_pb2 import AuditHead, AuditRecord, SignedAuditHead

from gateway.flow.audit import Audit
from runtime.page import MOST_BYTES
from runtime.trail import Held, TrailPages

KIB = 1024


class Store:
    """A trail of `count` records with a body of that size, with `signers` heads of that size each."""

    def __init__(self, count: int, body: int, signers: int, head: int) -> None:
        self.records = [AuditRecord(sequence=number, body="x" * body) for number in range(1, count + 1)]
        self.kept = [
            (one.sequence, SignedAuditHead(head=packed, key_id=bytes([signer]), certificates=[b"c" * head]))
            for one in self.records
            for packed in [AuditHead(sequence=one.sequence).SerializeToString()]
            for signer in range(signers)
        ]

    async def page(self, after: int, most: int) -> list[AuditRecord]:
        return self.records[after : after + most]

    async def heads(self, after: int, last: int) -> list[SignedAuditHead]:
        return [head for sequence, head in self.kept if after < sequence <= last]

    async def newest_head(self) -> SignedAuditHead | None:
        return self.kept[-1][1] if self.kept else None

    async def end(self) -> Any:
        return SimpleNamespace(sequence=len(self.records))


@pytest.mark.parametrize(
    ("count", "body", "signers", "head"),
    [
        (2500, 10, 0, 0),
        (2500, 10, 1, 3 * KIB),
        (300, 100 * KIB, 1, 3 * KIB),
        (40, MOST_BYTES // 2, 2, 300 * KIB),
        (30, 10, 3, 400 * KIB),
        (0, 0, 0, 0),
    ],
)
async def test_the_pages_are_bounded_and_whole(count: int, body: int, signers: int, head: int) -> None:
    store: Any = Store(count, body, signers, head)
    signer: Any = None
    audit = Audit(store, signer, lambda: datetime.now(UTC), 1.0)
    pages, told = TrailPages(), list[Any]()
    while pages.more:
        page = await audit.list(pages.after, 2000)
        newest = page.newest.ByteSize()
        assert page.ByteSize() - newest < MOST_BYTES + body + 64 * KIB
        told += pages.take(page)
    pages.check_complete()
    records = [one for one in told if not isinstance(one, Held)]
    assert records == store.records
    heads = {(one.signed.head, one.signed.key_id) for one in told if isinstance(one, Held)}
    # The walk leaves out what has the content of the newest one, which comes first.
    last = store.kept[-1][1].head if store.kept else b""
    assert {one for one in heads if one[0] != last} == {
        (one.head, one.key_id) for _, one in store.kept if one.head != last
    }
