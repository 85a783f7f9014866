"""A head of the audit trail of any content is kept by a real journal: an auditor will want to see it."""

from __future__ import annotations

from pathlib import Path

import pytest
from orbital.v1.audit_pb2 import AuditHead, SignedAuditHead
from orbital.v1.dispatch_pb2 import Beat

from region.adapters.journal.sqlite import open_journal
from region.flow.lease import Heartbeats
from tests.unit.region.fakes import FakeHost

HEADS = [AuditHead(sequence=number).SerializeToString() for number in (0, 1, 2**63 - 1, 2**63, 2**64 - 1)]


@pytest.mark.parametrize("head", [*HEADS, b"", b"\xff" * 40, b"x" * 70_000], ids=lambda head: head[:12].hex() or "none")
async def test_a_head_of_any_content_is_kept(tmp_path: Path, head: bytes) -> None:
    async with open_journal(tmp_path / "journal.db") as journal:
        signed = SignedAuditHead(head=head, key_id=b"k", signature=b"s")
        await Heartbeats(journal, FakeHost().host(), 60.0).beat(Beat(audit_head=signed))
        assert [one for _, one in await journal.audit_heads(10)] == [signed.SerializeToString(deterministic=True)]
