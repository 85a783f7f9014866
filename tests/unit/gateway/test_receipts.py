"""A receipt counts by its signature, its certificate, its region and its task; nobody spoils another's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from orbital.v1.receipt_pb2 import Receipt, SignedReceipt
from orbital.v1.task_pb2 import Outcome, Report, TaskKind

from gateway.domain.proof import Certified, check_receipt
from gateway.domain.report import RegionReport, last_by_task
from gateway.flow.receipts import ReceiptCheck
from runtime.errors import Invalid
from runtime.proof import region_signer
from runtime.signing import key_id
from tests.unit.runtime.poison import poisoned

NOW = datetime.now(UTC)
KEY, OTHER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())


def certified(key: ec.EllipticCurvePrivateKey, region: str, ends_at: datetime = NOW + timedelta(hours=1)) -> Certified:
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, NOW - timedelta(days=9), ends_at)
    packed = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    return Certified(key_id(key.public_key()), region_signer(region), packed, [], NOW, ends_at)


class Certificates:
    """The part of a `ProofStore` that is asked."""

    def __init__(self, *known: Certified) -> None:
        self.known = known
        self.asked = 0

    async def certificates(self, keys: Sequence[bytes]) -> Mapping[bytes, Sequence[Certified]]:
        self.asked += 1
        return {key: [one for one in self.known if one.key_id == key] for key in keys}

    async def shares(self, correlation_id: str) -> Sequence[object]:
        raise NotImplementedError

    async def keep_certificate(self, certified: Certified) -> None:
        raise NotImplementedError


def report(key: ec.EllipticCurvePrivateKey = KEY, region: str = "eu10", forge: bytes = b"") -> Report:
    made = Report(
        task_id="1" * 32, kind=TaskKind.TASK_KIND_UNLINK_KEY, resource="tenants/acme", generation=2,
        outcome=Outcome.OUTCOME_DONE, correlation_id="c" * 32,
    )  # fmt: skip
    receipt = Receipt(
        region=region, resource=made.resource, generation=2, task_id=made.task_id, correlation_id=made.correlation_id
    )
    receipt.done_at.FromDatetime(NOW)
    packed = receipt.SerializeToString()
    signature = key.sign(packed + forge, ec.ECDSA(hashes.SHA256()))
    signed = SignedReceipt(receipt=packed, key_id=key_id(key.public_key()), signature=signature)
    made.receipt = signed.SerializeToString()
    return made


async def test_one_that_its_region_signed_is_verified_and_the_certificate_is_asked_for_once() -> None:
    store = Certificates(certified(KEY, "eu10"))
    check = ReceiptCheck(store)
    for _ in range(3):
        assert await check.check("eu10", [report(), Report(task_id="2" * 32)]) == {"1" * 32: None}
    assert store.asked == 1


@pytest.mark.parametrize(
    ("made", "known", "reason"),
    [
        (report(forge=b"x"), [certified(KEY, "eu10")], "FORGED"),
        (report(OTHER), [certified(OTHER, "us20")], "WRONG_SIGNER"),
    ],
)
async def test_one_of_somebody_else_or_altered_is_refused(made: Report, known: list[Certified], reason: str) -> None:
    (refused,) = (await ReceiptCheck(Certificates(*known)).check("eu10", [made])).values()
    assert refused is not None
    assert refused.reason == reason


async def test_one_whose_key_is_not_certified_yet_waits_for_that() -> None:
    store = Certificates()
    check = ReceiptCheck(store)
    assert await check.check("eu10", [report()]) == {}
    store.known = (certified(KEY, "eu10", NOW - timedelta(days=1)),)
    assert await check.check("eu10", [report()]) == {}
    store.known = (*store.known, certified(KEY, "eu10"))
    assert await check.check("eu10", [report()]) == {"1" * 32: None}


CHANGES: list[Callable[[SignedReceipt], None]] = [
    lambda signed: signed.ClearField("key_id"),
    lambda signed: signed.ClearField("signature"),
    lambda signed: setattr(signed, "key_id", b"k"),
    lambda signed: setattr(signed, "receipt", b"\xff"),
    lambda signed: setattr(signed, "receipt", report(region="us20").receipt),
]


@pytest.mark.parametrize("change", CHANGES)
def test_one_that_is_unsigned_or_of_another_is_no_receipt(change: Callable[[SignedReceipt], None]) -> None:
    made = report()
    signed = SignedReceipt.FromString(made.receipt)
    change(signed)
    made.receipt = signed.SerializeToString()
    with pytest.raises(Invalid):
        check_receipt("eu10", made, "report")


def test_nothing_in_a_receipt_can_spoil_a_proof() -> None:
    for where, poison in poisoned(Receipt.DESCRIPTOR):
        made = report()
        signed = SignedReceipt.FromString(made.receipt)
        signed.receipt += poison.SerializeToString()
        made.receipt = signed.SerializeToString()
        with pytest.raises(Invalid) as refused:
            check_receipt("eu10", made, "report")
        assert refused.value.field.startswith("report.receipt"), where


def test_what_two_regions_say_under_one_task_id_is_two_reports() -> None:
    assert len(last_by_task([RegionReport("eu10", report()), RegionReport("us20", report())])) == 2
