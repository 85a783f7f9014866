"""The heads that a region keeps are told page by page: each once, the newest first, and none left out."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from orbital.v1.audit_pb2 import SignedAuditHead
from orbital.v1.verify_pb2 import ListAuditHeadsRequest

from region.adapters.journal.sqlite import open_journal
from region.adapters.rpc.verify import VerifyRpc
from runtime.page import MOST_BYTES

Kept = dict[int, set[bytes]]


async def listed(journal: Any, size: int) -> list[list[SignedAuditHead]]:
    pages: list[list[SignedAuditHead]] = []
    request = ListAuditHeadsRequest(page_size=size)
    rpc, context = VerifyRpc(SimpleNamespace(), journal), SimpleNamespace()  # type: ignore[arg-type]
    while True:
        answer = await rpc.ListAuditHeads(request, context)  # type: ignore[arg-type]
        pages.append(list(answer.heads))
        if not answer.next_page_token:
            return pages
        request.page_token = answer.next_page_token


@given(
    st.dictionaries(st.integers(0, 2**63 - 1), st.sets(st.binary(min_size=1, max_size=3), min_size=1, max_size=4)),
    st.integers(1, 5),
)
async def test_every_head_is_on_one_page(kept: Kept, size: int) -> None:
    with TemporaryDirectory() as place:
        async with open_journal(Path(place) / "journal.db") as journal:
            for sequence, heads in kept.items():
                for head in heads:
                    await journal.keep_audit_head(sequence, SignedAuditHead(head=head).SerializeToString())
            pages = await listed(journal, size)
    assert all(len(page) <= size for page in pages)
    newest_first = [one for sequence in sorted(kept, reverse=True) for one in sorted(kept[sequence], reverse=True)]
    told = [one.head for page in pages for one in page]
    assert sorted(told) == sorted(newest_first)


async def test_a_page_is_bounded_in_bytes(tmp_path: Path) -> None:
    async with open_journal(tmp_path / "journal.db") as journal:
        for sequence in range(5):
            signed = SignedAuditHead(head=b"x" * (MOST_BYTES // 2), signature=bytes([sequence]))
            await journal.keep_audit_head(sequence, signed.SerializeToString())
        pages = await listed(journal, 0)
    assert [one.signature[0] for page in pages for one in page] == [4, 3, 2, 1, 0]
    assert len(pages) > 2


async def test_a_row_that_became_unreadable_is_told_and_stops_nothing(tmp_path: Path) -> None:
    async with open_journal(tmp_path / "journal.db") as journal:
        await journal.keep_audit_head(1, SignedAuditHead(head=b"a").SerializeToString())
        await journal.keep_audit_head(2, b"\xff" * 9)
        assert [one.head for page in await listed(journal, 0) for one in page] == [b"\xff" * 9, b"a"]
