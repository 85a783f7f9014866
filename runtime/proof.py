"""A proof as a file, and its verification without the system: against an authority's certificate alone.

The file is JSON with one form only: whatever it says in words is made of what was signed, and is compared with it, so
that a byte that differs anywhere is found.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from orbital.v1.receipt_pb2 import LostRegion, Proof, ProofEntry, ProofStatement, Receipt, SignedReceipt
from orbital.v1.task_pb2 import KeyState, TaskKind

from runtime.errors import Invalid
from runtime.signing import key_id
from runtime.wellknown import exact, label

FORMAT = "orbital-proof/1"
GATEWAY_SIGNER = "spiffe://orbital/gateway/proofs"


def region_signer(region: str) -> str:
    """The name in the certificate of the key that signs a region's receipts."""
    return f"spiffe://orbital/region/{region}/receipts"


@dataclass(frozen=True, slots=True)
class Opened:
    """A proof with what is in it; nothing says yet that it is true."""

    proof: Proof
    statement: ProofStatement
    receipts: Sequence[Receipt]


def unverified(message: str) -> Invalid:
    """Something does not hold together."""
    return Invalid(message, reason="UNVERIFIED")


def opened(proof: Proof) -> Opened:
    """The parts of a proof; raises Invalid when they cannot be read."""
    try:
        statement = ProofStatement.FromString(proof.statement)
        return Opened(proof, statement, [Receipt.FromString(one.receipt) for one in proof.receipts])
    except DecodeError as error:
        raise unverified("The proof is damaged: a signed part cannot be read.") from error


def read_file(content: bytes) -> Proof:
    """The proof in a file; raises Invalid unless the file is, byte for byte, the one form of that proof."""
    try:
        fields = json.loads(content)
        receipts = [
            SignedReceipt(**{name: b64decode(one[name]) for name in ("receipt", "key_id", "signature")})
            for one in fields["receipts"]
        ]
        proof = Proof(
            statement=b64decode(fields["statement"]),
            signature=b64decode(fields["signature"]),
            receipts=receipts,
            certificates=[b64decode(one) for one in fields["certificates"]],
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise unverified("The file is no proof, or it is damaged.") from error
    if write_file(proof) != content:
        raise unverified("The file was changed: it is not what its signed parts say.")
    return proof


def write_file(proof: Proof) -> bytes:
    """The file of a proof: for people first, then what was signed."""
    fields = {
        "format": FORMAT,
        "page": page(opened(proof)),
        "statement": b64encode(proof.statement).decode(),
        "signature": b64encode(proof.signature).decode(),
        "receipts": [
            {name: b64encode(getattr(one, name)).decode() for name in ("receipt", "key_id", "signature")}
            for one in proof.receipts
        ],
        "certificates": [b64encode(one).decode() for one in proof.certificates],
    }
    return json.dumps(fields, indent=1, ensure_ascii=True).encode() + b"\n"


def page(proof: Opened) -> dict[str, Any]:
    """What a proof says, as plain values: regions proven, since when, what is missing, and each receipt."""
    statement = proof.statement
    regions = sorted({entry.region for entry in statement.entries})
    missing = {entry.region: entry for entry in reversed(statement.entries) if not entry.receipt_sha256}
    # A damaged proof may name more or fewer receipts than it has; that is found when it is verified.
    named = [entry for entry in statement.entries if entry.receipt_sha256]
    named += [ProofEntry()] * (len(proof.receipts) - len(named))
    last = max((receipt.done_at for receipt in proof.receipts), key=lambda one: (one.seconds, one.nanos), default=None)
    return {
        "correlation_id": statement.correlation_id,
        "actor": statement.actor,
        "action": statement.action,
        "detail": statement.detail,
        "made_at": _moment(statement.make_time),
        "regions": len(regions),
        "proven": len(regions) - len(missing),
        "proven_at": _moment(last) if last and not missing else "",
        "missing": [_missing(missing[region]) for region in sorted(missing)],
        "receipts": [_told(entry, receipt) for entry, receipt in zip(named, proof.receipts, strict=False)],
        # Left out where there is none, so that a file of before stays what it is.
        **({"lost": [_lost(one) for one in statement.lost]} if statement.lost else {}),
    }


def _lost(region: LostRegion) -> dict[str, Any]:
    return {
        "region": region.region,
        "reason": region.reason,
        "asked_by": region.asked_by,
        "approved_by": region.approved_by,
        "decommissioned_at": _moment(region.decommission_time),
        "last_contact_at": _moment(region.last_contact_at),
        "serve_until": _moment(region.serve_until),
        "resources": [
            {
                "resource": one.resource,
                "observed_generation": one.observed_generation,
                "desired_generation": one.desired_generation,
                "key_state": label(KeyState, one.key_state, "KEY_STATE_"),
            }
            for one in region.resources
        ],
    }


def _missing(entry: ProofEntry) -> dict[str, Any]:
    """Times are there only where the statement has them: the form of older files stays as it is."""
    times = {"since": entry.missing_since, "stops_by": entry.stops_by}
    told = {name: _moment(stamp) for name, stamp in times.items() if stamp.seconds}
    return {"region": entry.region, "why": entry.missing, **told}


def _told(entry: ProofEntry, receipt: Receipt) -> dict[str, Any]:
    # Of a later change, where that did what this one had to.
    later = {"of_change": receipt.correlation_id, "for_generation": entry.generation} if entry.receipt_task_id else {}
    return later | {
        "region": receipt.region,
        "resource": receipt.resource,
        "generation": receipt.generation,
        "kind": _word(receipt.kind),
        "received_at": _moment(receipt.received_at),
        "done_at": _moment(receipt.done_at),
        "decision_id": receipt.decision_id,
        "destroyed": [
            {
                "key": one.key,
                "resource": one.resource,
                "place": one.place,
                "versions": f"below {one.below_version}" if one.below_version else "all",
                "verified": one.verified,
            }
            for one in receipt.destroyed
        ],
        "audit_records": receipt.audit.records,
        "audit_sha256": receipt.audit.sha256.hex(),
        "audit_attempt": receipt.audit.attempt,
    }


def _word(kind: int) -> str:
    return label(TaskKind, kind, "TASK_KIND_")


def _moment(stamp: Timestamp) -> str:
    return exact(stamp) if stamp.seconds else ""


def verify(proof: Proof, authority: bytes) -> Opened:
    """The proof, once everything in it holds against the authority; raises Invalid with what does not.

    `authority` is PEM: one certificate, or several after a rotation, any of which a signature may lead to.
    """
    try:
        roots = x509.load_pem_x509_certificates(authority)
    except ValueError as error:
        raise Invalid("The authority's file holds no certificate (PEM).", field="ca") from error
    found = opened(proof)
    statement = found.statement
    if [_digest(one) for one in proof.certificates] != list(statement.certificates_sha256):
        raise unverified("The certificates are not those of the statement.")
    signers = Signers(roots, proof.certificates, _time(statement.make_time))
    signers.check(GATEWAY_SIGNER, statement.key_id, proof.signature, proof.statement, statement.make_time)
    if not statement.entries:
        raise unverified("The statement names no region: it proves nothing.")
    wanted = [entry for entry in statement.entries if entry.receipt_sha256]
    if len(wanted) != len(proof.receipts):
        raise unverified(f"The statement names {len(wanted)} receipts; there are {len(proof.receipts)}.")
    for entry, signed, receipt in zip(wanted, proof.receipts, found.receipts, strict=True):
        if entry.receipt_sha256 != _digest(signed.SerializeToString(deterministic=True)):
            raise unverified(f"The receipt of {entry.region} for {entry.resource} is not the one of the statement.")
        signers.check(region_signer(entry.region), signed.key_id, signed.signature, signed.receipt, receipt.done_at)
        _same(statement, entry, receipt)
        _verified(entry, receipt)
    return found


def _verified(entry: ProofEntry, receipt: Receipt) -> None:
    """Every line of a receipt says how the region made sure; one that does not is no proof."""
    unsure = next((one for one in receipt.destroyed if not one.verified), None)
    if unsure is not None:
        raise unverified(f"The receipt of {entry.region} does not say how {unsure.resource} was verified as gone.")


def _same(statement: ProofStatement, entry: ProofEntry, receipt: Receipt) -> None:
    if entry.receipt_task_id:
        _later(entry, receipt)
        return
    said = (receipt.region, receipt.resource, receipt.generation, receipt.task_id, receipt.kind)
    if said != (entry.region, entry.resource, entry.generation, entry.task_id, entry.kind):
        raise unverified(f"The receipt of {entry.region} is about something else than the statement says.")
    if receipt.correlation_id != statement.correlation_id:
        raise unverified(f"The receipt of {entry.region} belongs to another change.")


def _later(entry: ProofEntry, receipt: Receipt) -> None:
    """A later task of the same resource in the same region may do what an earlier one had to, and no other."""
    said = (receipt.region, receipt.resource, receipt.task_id)
    if said != (entry.region, entry.resource, entry.receipt_task_id) or receipt.generation < entry.generation:
        raise unverified(f"The receipt of {entry.region} is about something else than the statement says.")


class Signers:
    """The certificates of a proof, each led back to the authority."""

    def __init__(self, roots: Sequence[x509.Certificate], packed: Sequence[bytes], at: datetime) -> None:
        try:
            self._certificates = [x509.load_der_x509_certificate(one) for one in packed]
            self._keys = [one.public_key() for one in self._certificates]
        except (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm) as error:
            raise unverified("A certificate cannot be read.") from error
        self._store = Store(list(roots))
        self._at = at

    def check(self, name: str, key: bytes, signature: bytes, message: bytes, stamp: Timestamp) -> None:
        """Raise Invalid unless `name` signed the message, by a certified key that was not out of date then."""
        public = self._of(name, key, _time(stamp))
        try:
            public.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise unverified(f"The signature of {name} does not fit what it signed.") from error

    def _of(self, name: str, key: bytes, at: datetime) -> ec.EllipticCurvePublicKey:
        """The certified key of that ID; a region that was cut off may have been certified after it signed."""
        for certificate, public in zip(self._certificates, self._keys, strict=True):
            if not isinstance(public, ec.EllipticCurvePublicKey) or key_id(public) != key:
                continue
            if not certificate.not_valid_before_utc <= self._at or at > certificate.not_valid_after_utc:
                continue
            self._lead_back(certificate, name, max(at, certificate.not_valid_before_utc))
            return public
        raise unverified(f"No certificate of {name} goes with its key.")

    def _lead_back(self, certificate: x509.Certificate, name: str, at: datetime) -> None:
        others = [one for one in self._certificates if one is not certificate]
        builder = PolicyBuilder().store(self._store).time(at.replace(tzinfo=None))
        try:
            verified = builder.build_client_verifier().verify(certificate, others)
        except VerificationError as error:
            raise unverified(f"The certificate of {name} does not lead to the authority.") from error
        names = [one.value for one in verified.subjects or () if isinstance(one, x509.UniformResourceIdentifier)]
        if names != [name]:
            raise unverified(f"A certificate of {', '.join(names) or 'nobody'} is used for {name}.")


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _time(stamp: Timestamp) -> datetime:
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise unverified("A time of the proof cannot be read.") from error
