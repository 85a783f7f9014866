"""Receipts are checked where they arrive: by the signature, the certificate, the region and the task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from orbital.v1.receipt_pb2 import SignedReceipt
from orbital.v1.task_pb2 import Report

from gateway.domain.proof import Certified, done_at, fitting
from gateway.ports.proof import ProofStore
from runtime.errors import Invalid
from runtime.proof import region_signer

# Regions have one key each; a few more are known while one changes.
MOST_KEYS = 20_000


class ReceiptCheck:
    """Knows the certificates of those who sign receipts."""

    def __init__(self, store: ProofStore) -> None:
        self._store = store
        self._known: dict[bytes, Sequence[Certified]] = {}

    async def check(self, region: str, reports: Iterable[Report]) -> Mapping[str, Invalid | None]:
        """By task ID, of the reports with a receipt: why it is refused, or None for one whose signature was verified.

        A receipt is in neither while its key is not certified: a region that was cut off signs before that.
        """
        signed = {report.task_id: SignedReceipt.FromString(report.receipt) for report in reports if report.receipt}
        await self._learn({each.key_id for each in signed.values()} - self._known.keys())
        found: dict[str, Invalid | None] = {}
        for task, each in signed.items():
            certified = fitting(self._known.get(each.key_id, ()), done_at(each))
            if certified is not None:
                found[task] = refusal(region, each, certified)
            else:
                # There may be a newer one next time.
                self._known.pop(each.key_id, None)
        return found

    async def _learn(self, keys: set[bytes]) -> None:
        if not keys:
            return
        if len(self._known) + len(keys) > MOST_KEYS:
            self._known.clear()
        self._known.update(await self._store.certificates(sorted(keys)))


def refusal(region: str, signed: SignedReceipt, certified: Certified) -> Invalid | None:
    """Why this receipt of the region is refused; None when the certified key signed it."""
    if certified.name != region_signer(region):
        return Invalid("The receipt is signed by a key of somebody else", reason="WRONG_SIGNER", field="report.receipt")
    if not signed_by(certified, certified.name, signed.signature, signed.receipt):
        return Invalid("The signature of the receipt does not fit it", reason="FORGED", field="report.receipt")
    return None


def signed_by(certified: Certified, name: str, signature: bytes, content: bytes) -> bool:
    """Whether the certified key has this name, and signed the content."""
    public = x509.load_der_x509_certificate(certified.certificate).public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    try:
        public.verify(signature, content, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return certified.name == name
