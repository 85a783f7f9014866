"""Proofs: which regions have to prove a change, which have, and by whose certificates that is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from google.protobuf.message import DecodeError
from orbital.v1.receipt_pb2 import ProofEntry, Receipt, SignedReceipt
from orbital.v1.registry_pb2 import TaskState
from orbital.v1.task_pb2 import Report

from runtime.content import check_content
from runtime.errors import Invalid
from runtime.wellknown import utc

# A key is called by the SHA-256 of its public half.
KEY_ID_BYTES = 32
UNCERTIFIED = "Its receipt is here; the key that signed it is not certified yet."
WHY = {
    TaskState.TASK_STATE_PENDING: "Not sent yet.",
    TaskState.TASK_STATE_PUBLISHED: "Sent; the region has not answered.",
    TaskState.TASK_STATE_DENIED: "Refused by policy.",
    TaskState.TASK_STATE_FAILED: "The region cannot do it.",
    TaskState.TASK_STATE_SUPERSEDED: "A newer generation took its place.",
    TaskState.TASK_STATE_PARKED: "It kept failing in the region, which leaves it alone for a while.",
    TaskState.TASK_STATE_CANCELLED: "It was cancelled.",
}


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate (DER) with the chain that leads to the authority, which is left out."""

    key_id: bytes
    name: str
    certificate: bytes
    chain: Sequence[bytes]
    begins_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Share:
    """One region's part in a change, with its receipt if there is one; `why` says what is known when there is none."""

    task_id: str
    region: str
    resource: str
    generation: int
    kind: int
    state: int
    why: str
    receipt: bytes
    # Where the receipt is of a later task, that one.
    receipt_task_id: str = ""
    since: datetime | None = None
    # When the region stops serving by itself, if it stays cut off.
    stops_by: datetime | None = None

    @property
    def signed(self) -> SignedReceipt:
        """The receipt as the region signed it."""
        return SignedReceipt.FromString(self.receipt)


def check_receipt(region: str, report: Report, where: str) -> None:
    """Raise Invalid when a report's receipt speaks of something else than the report."""
    if not report.receipt:
        return
    try:
        signed = SignedReceipt.FromString(report.receipt)
        receipt = Receipt.FromString(signed.receipt)
    except DecodeError as error:
        raise Invalid(f"{where}.receipt cannot be read", field=f"{where}.receipt") from error
    check_content(receipt, f"{where}.receipt")
    if len(signed.key_id) != KEY_ID_BYTES or not signed.signature:
        raise Invalid(f"{where}.receipt is not signed", reason="UNSIGNED", field=f"{where}.receipt")
    said = (receipt.region, receipt.task_id, receipt.resource, receipt.generation, receipt.correlation_id)
    if said != (region, report.task_id, report.resource, report.generation, report.correlation_id):
        raise Invalid(f"{where}.receipt is of another task, or of another region", field=f"{where}.receipt")


@dataclass(slots=True)
class Collected:
    """The parts of a proof: the receipts are those of the entries that name one, in their order."""

    entries: list[ProofEntry]
    receipts: list[SignedReceipt]
    certificates: list[bytes]


def collect(shares: Iterable[Share], known: Mapping[bytes, Sequence[Certified]], own: Certified) -> Collected:
    """What proves a change: an entry for each share, the receipts that are certified, and the certificates."""
    found = Collected([], [], [])
    _add(found.certificates, own)
    for share in sorted(shares, key=lambda one: (one.region, one.resource, one.generation)):
        entry = ProofEntry(
            region=share.region,
            resource=share.resource,
            generation=share.generation,
            kind=share.kind,  # type: ignore[arg-type]
            task_id=share.task_id,
        )
        found.entries.append(entry)
        if not share.receipt:
            entry.missing = share.why or WHY.get(share.state, "Nothing is known of it.")  # type: ignore[call-overload]
            _date(entry, share)
            continue
        signed = share.signed
        certified = fitting(known.get(signed.key_id, ()), done_at(signed))
        if certified is None:
            entry.missing = UNCERTIFIED
            _date(entry, share)
            continue
        entry.receipt_task_id = share.receipt_task_id
        entry.receipt_sha256 = sha256(signed.SerializeToString(deterministic=True)).digest()
        found.receipts.append(signed)
        _add(found.certificates, certified)
    return found


def _date(entry: ProofEntry, share: Share) -> None:
    """Since when the receipt is missing, and until when the region may serve."""
    if share.since is not None:
        entry.missing_since.FromDatetime(share.since)
    if share.stops_by is not None:
        entry.stops_by.FromDatetime(share.stops_by)


def fitting(certificates: Sequence[Certified], at: datetime) -> Certified | None:
    """The first certificate that had not ended by then; a key may be certified after it signed."""
    return next((one for one in certificates if one.ends_at >= at), None)


def done_at(signed: SignedReceipt) -> datetime:
    """When the region was done with what a receipt is about."""
    return utc(Receipt.FromString(signed.receipt).done_at)


def _add(certificates: list[bytes], certified: Certified) -> None:
    for one in (certified.certificate, *certified.chain):
        if one not in certificates:
            certificates.append(one)
