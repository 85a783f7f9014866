"""The audit trail's chain: how records are linked, and how an altered, removed or reordered one is found and named.

Each hash covers the hash before it. Signed heads, copies of which the regions hold, fix how far the chain went and what
it was; without them whoever can write the database could make a new chain, or cut its end off.
"""

from __future__ import annotations

import hashlib
import json
import struct
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from google.protobuf.message import DecodeError
from orbital.v1.audit_pb2 import AuditHead, AuditRecord, ListAuditResponse, SignedAuditHead

from runtime import wellknown
from runtime.errors import Invalid
from runtime.proof import GATEWAY_SIGNER, Signers, unverified
from runtime.wellknown import exact, utc

FORMAT = "orbital-audit/1"
WENT_BACK = "went_back"
# What stands before the first record.
BEGINNING = bytes(32)
# A head is signed every few seconds: what is younger than the newest one by more than so much nobody vouches for.
UNSIGNED_SECONDS = 60


def link(previous: bytes, sequence: int, micros: int, kind: str, body: str) -> bytes:
    """The hash of a record: SHA-256 of `previous`, sequence, time and lengths (big-endian), kind and body (UTF-8)."""
    packed_kind, packed_body = kind.encode(), body.encode()
    numbers = struct.pack(">QqII", sequence, micros, len(packed_kind), len(packed_body))
    return hashlib.sha256(previous + numbers + packed_kind + packed_body).digest()


@dataclass(frozen=True, slots=True)
class Held:
    """A signed head, and who holds it: the trail itself, or a region."""

    signed: SignedAuditHead
    holder: str = ""

    @property
    def head(self) -> AuditHead:
        """What was signed; raises Invalid when it cannot be read."""
        try:
            return AuditHead.FromString(self.signed.head)
        except DecodeError as error:
            raise unverified(f"A head{self.where} cannot be read.") from error

    @property
    def where(self) -> str:
        """` (held by region eu10)`, or nothing."""
        return f" (held by region {self.holder})" if self.holder else ""


class Trail:
    """Follows the chain record by record; every method raises Invalid with what does not hold, and where."""

    def __init__(self, authority: bytes) -> None:
        try:
            self._roots = x509.load_pem_x509_certificates(authority)
        except ValueError as error:
            raise Invalid("The authority's file holds no certificate (PEM).", field="ca") from error
        self._signers: dict[tuple[bytes, ...], Signers] = {}
        self._heads: dict[int, list[tuple[Held, AuditHead]]] = {}
        self.sequence = 0
        self.heads = 0
        # Regions that hold some of these.
        self.holders: set[str] = set()
        # The newest head whose record was reached: what comes after it nobody has vouched for yet.
        self.signed: AuditHead | None = None
        self._hash = BEGINNING
        self._recorded = 0
        # Heads of other records than those that stand in their places.
        self._others: list[tuple[Held, AuditHead]] = []
        # What the gateway itself recorded of a restored database: the record, and where the trail ended then.
        self._went_back: list[tuple[AuditRecord, int]] = []

    def take(self, item: AuditRecord | Held) -> None:
        """Take the next record, or a head, which comes before the record that it is of."""
        if isinstance(item, Held):
            self._expect(item)
        else:
            self._follow(item)

    def _expect(self, held: Held) -> None:
        head, signed = held.head, held.signed
        packed = tuple(signed.certificates)
        if packed not in self._signers:
            self._signers[packed] = Signers(self._roots, packed, utc(head.sign_time))
        self._signers[packed].check(GATEWAY_SIGNER, signed.key_id, signed.signature, signed.head, head.sign_time)
        if head.sequence <= self.sequence:
            raise unverified(f"The head of #{head.sequence}{held.where} comes after its record.")
        self._heads.setdefault(head.sequence, []).append((held, head))
        self.heads += 1
        if held.holder:
            self.holders.add(held.holder)

    def _follow(self, record: AuditRecord) -> None:
        good = f"; the chain is good to #{self.sequence}"
        wanted = self.sequence + 1
        if record.sequence > wanted:
            last = record.sequence - 1
            gone = f"#{wanted}" if last == wanted else f"#{wanted} to #{last}"
            raise unverified(f"Record {gone} removed: #{record.sequence} follows #{self.sequence}{good}.")
        if record.sequence < wanted:
            raise unverified(f"Record #{record.sequence} stands where #{wanted} belongs: reordered{good}.")
        if link(self._hash, wanted, wellknown.micros(record.record_time), record.kind, record.body) != record.hash:
            raise unverified(f"Record #{wanted} altered (hash mismatch){good}.")
        self.sequence, self._hash, self._recorded = wanted, record.hash, record.record_time.seconds
        if record.kind == WENT_BACK:
            self._went_back.append((record, _trail_end(record)))
        for held, head in self._heads.pop(wanted, ()):
            if head.hash != self._hash:
                self._others.append((held, head))
            else:
                self.signed = head

    def end(self) -> None:
        """There are no more records: no head may speak of later ones, and there is one at least, signed."""
        lost = [*self._others, *(each for heads in self._heads.values() for each in heads)]
        self._check_restored(lost)
        if self._others:
            held, head = self._others[0]
            raise unverified(
                f"The head of #{head.sequence}{held.where} signed at {_told(head)} is another: history up to "
                f"#{head.sequence} was altered, and its chain made anew."
            )
        if self._heads:
            last = max(self._heads)
            held, head = self._heads[last][0]
            raise unverified(
                f"Records #{self.sequence + 1} to #{last} cut off: the head of #{last}{held.where} was signed at"
                f" {_told(head)}."
            )
        if not self.sequence:
            raise unverified("There is no record, so nothing was verified.")
        if self.signed is None:
            raise unverified(
                f"No signed head among #1 to #{self.sequence}: anybody could have made them. Each minute has one."
            )
        if self._recorded - self.signed.sign_time.seconds > UNSIGNED_SECONDS:
            raise unverified(
                f"Records #{self.signed.sequence + 1} to #{self.sequence} have no signed head: the newest one, of"
                f" #{self.signed.sequence}, was signed at {_told(self.signed)}. Anybody could have made them."
            )

    def _check_restored(self, lost: Sequence[tuple[Held, AuditHead]]) -> None:
        """Raise Invalid with what a restored database has lost, if heads are of records of before the restoration."""
        if not lost or not self._went_back:
            return
        found, ended = self._went_back[-1]
        if any(utc(head.sign_time) > utc(found.record_time) for _, head in lost):
            return
        end = min(ended, *(head.sequence - 1 for _, head in lost))
        last = max((head for _, head in lost), key=lambda head: head.sequence)
        holders = ", ".join(sorted({held.holder for held, _ in lost} - {""})) or "the trail"
        raise unverified(
            f"The database was restored from a backup, which #{found.sequence} records: the trail was cut back to "
            f"#{end} or before, and {len(lost)} signed heads held by {holders} are of records that are lost, up to "
            f"#{last.sequence}, signed at {_told(last)}. What is there is chained to #{self.sequence}."
        )


class TrailPages:
    """The pages of ListAudit, in turn: as long as there is `more`, the next one to ask for begins after `after`."""

    def __init__(self) -> None:
        self.after = 0
        self.more = True
        # Where the trail is said to end, if the last page had no record up to there.
        self._end = 0
        self._newest = b""

    def take(self, page: ListAuditResponse) -> list[AuditRecord | Held]:
        """Heads before the records that they are of, the newest head first of all."""
        items: list[AuditRecord | Held] = []
        if not self.after and page.HasField("newest"):
            self._newest = page.newest.head
            items.append(Held(page.newest))
        items += [Held(head) for head in page.heads if head.head != self._newest]
        if page.records:
            self.after, self._end = page.records[-1].sequence, 0
        elif page.end > self.after and not self._end:
            # What was sealed while the page was read comes with the next one.
            self._end = page.end
        else:
            self.more = False
        return [*items, *page.records]

    def check_complete(self) -> None:
        """Raise Invalid where the pages stop though the trail is said to go on."""
        if self.after < self._end:
            raise unverified(f"The pages of the trail stop at #{self.after}, though it goes to #{self._end}.")


def _trail_end(record: AuditRecord) -> int:
    try:
        return int(json.loads(record.body)["trail_end"])
    except (ValueError, KeyError, TypeError):
        return record.sequence - 1


def _told(head: AuditHead) -> str:
    return utc(head.sign_time).isoformat(timespec="seconds")


def micros(at: datetime) -> int:
    """Microseconds since the epoch."""
    return round(at.timestamp() * 1_000_000)


def write_line(item: AuditRecord | Held) -> bytes:
    """A line of an export."""
    if isinstance(item, AuditRecord):
        fields: dict[str, Any] = {
            "sequence": item.sequence,
            "time": exact(item.record_time),
            "kind": item.kind,
            "body": item.body,
            "hash": item.hash.hex(),
        }
    else:
        fields = {
            "holder": item.holder,
            "head": _text(item.signed.head),
            "key_id": _text(item.signed.key_id),
            "signature": _text(item.signed.signature),
            "certificates": [_text(one) for one in item.signed.certificates],
        }
    return json.dumps(fields, ensure_ascii=True).encode() + b"\n"


def read_lines(lines: Iterable[bytes]) -> Iterator[AuditRecord | Held]:
    """What the lines of an export hold; raises Invalid naming the line that cannot be read."""
    for number, line in enumerate(lines, 1):
        try:
            yield _read(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise unverified(f"Line {number} of the export cannot be read.") from error


def _read(fields: dict[str, Any]) -> AuditRecord | Held:
    if "head" in fields:
        parts = {name: b64decode(fields[name], validate=True) for name in ("head", "key_id", "signature")}
        certificates = [b64decode(one, validate=True) for one in fields["certificates"]]
        return Held(SignedAuditHead(**parts, certificates=certificates), fields["holder"])
    record = AuditRecord(
        sequence=fields["sequence"], kind=fields["kind"], body=fields["body"], hash=bytes.fromhex(fields["hash"])
    )
    record.record_time.FromJsonString(fields["time"])
    return record


def _text(content: bytes) -> str:
    return b64encode(content).decode()
