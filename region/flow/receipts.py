"""Receipts: what a task destroyed, in the region's own words and by its own signature, once a task."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from orbital.v1 import receipt_pb2
from orbital.v1 import resource_pb2 as rpb
from orbital.v1 import task_pb2 as pb

from region.domain import intent
from region.domain.result import Result
from region.domain.work import Entry
from region.flow.outcome import Decided, stamp
from region.ports.host import Host
from region.ports.journal import Journal
from region.ports.receipts import Audit, LogPosition, Signer
from runtime.kinds import REVOKING
from runtime.logs import get_logger
from runtime.openbao import audited
from runtime.signing import key_id

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a handler: how OpenBao's records of it are recognised, and where they begin."""

    name: str
    mark: LogPosition | None


class Receipts:
    """Makes the receipts of one process."""

    def __init__(self, region: str, journal: Journal, signer: Signer, audit: Audit, host: Host) -> None:
        self._region = region
        self._journal = journal
        self._signer = signer
        self._audit = audit
        self._host = host

    @asynccontextmanager
    async def attempt(self, task: pb.Task) -> AsyncIterator[Attempt]:
        """What is asked of OpenBao inside is written down there as this attempt's."""
        attempt = Attempt("", None)
        if may_destroy(task):
            attempt = Attempt(self._host.entropy(12).hex(), await self._audit.mark())
        with audited(task.correlation_id, attempt.name):
            yield attempt

    async def issue(self, entry: Entry, outcome: Result, decided: Decided, attempt: Attempt) -> bytes:
        """The serialized SignedReceipt of a task that is done: the one there is, or the first.

        Raises Unavailable when it cannot be signed now; then the task is not done either.
        """
        known = await self._journal.receipt(entry.task.id)
        if known:
            return known
        # When it was so, not when it is said: a process may stand still in between, and a newer Link come first.
        gone_at = max((one.at for one in outcome.destroyed or ()), default=0.0) or self._host.now()
        receipt = _receipt(self._region, entry, outcome, decided, gone_at)
        if attempt.mark is not None:
            found = await self._audit.records(attempt.mark, attempt.name)
            receipt.audit.attempt = attempt.name
            receipt.audit.records = found.records
            receipt.audit.sha256 = found.sha256
        packed = receipt.SerializeToString(deterministic=True)
        with audited(entry.task.correlation_id):
            public, signature = await self._signer.public_key(), await self._signer.sign(packed)
        signed = receipt_pb2.SignedReceipt(receipt=packed, key_id=key_id(public), signature=signature)
        return signed.SerializeToString(deterministic=True)


def may_destroy(task: pb.Task) -> bool:
    """Whether the task may end in a receipt; judged by what it wants, because its kind says only why it was made."""
    resource = task.resource
    killed = resource.tenant.state == rpb.TENANT_STATE_KILLED
    unlinked = resource.link.state == rpb.LINK_STATE_UNLINKED
    return task.kind in REVOKING or killed or unlinked or intent.compromised_below(resource) > 1


def _receipt(region: str, entry: Entry, outcome: Result, decided: Decided, now: float) -> receipt_pb2.Receipt:
    task = entry.task
    return receipt_pb2.Receipt(
        region=region,
        tenant=task.tenant,
        resource=entry.resource,
        generation=entry.generation,
        kind=task.kind,
        task_id=task.id,
        correlation_id=task.correlation_id,
        decision_id=decided.decision_id,
        destroyed=[
            receipt_pb2.Destroyed(
                resource=one.resource,
                key=one.key,
                place=one.place,
                below_version=one.below_version,
                verified=one.verified,
            )
            for one in outcome.destroyed or ()
        ],
        received_at=stamp(entry.received_at),
        done_at=stamp(now),
    )
