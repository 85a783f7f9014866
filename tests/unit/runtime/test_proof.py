"""A proof holds against its authority alone, and a change of any byte of it is found."""

from __future__ import annotations

import datetime as dt
import json
from functools import cache
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from orbital.v1.receipt_pb2 import Destroyed, Proof, ProofEntry, ProofStatement, Receipt, SignedReceipt
from orbital.v1.task_pb2 import TASK_KIND_UNLINK_KEY

from runtime.errors import Invalid
from runtime.proof import GATEWAY_SIGNER, page, read_file, region_signer, verify, write_file
from runtime.signing import key_id

NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
Key = ec.EllipticCurvePrivateKey


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(
    key: Key, by: Key, issuer: str, *, uri: str = "", ca: str = "", begins: dt.datetime = NOW - DAY
) -> x509.Certificate:
    """A certificate for a signer's name, or of an authority."""
    names = [x509.NameAttribute(x509.NameOID.COMMON_NAME, ca)] if ca else []
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(names))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + 30 * DAY)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=bool(ca), path_length=None), critical=True)
    )
    if ca:
        usage = x509.KeyUsage(*[name in {"sign_certificates", "sign_lists"} for name in USAGES])
        builder = builder.add_extension(usage, critical=True)
    else:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=True
        ).add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    return builder.sign(by, hashes.SHA256())


USAGES = ("sign", "commit", "encipher", "encipher_data", "agree", "sign_certificates", "sign_lists", "only", "only_de")


class Platform:
    """An authority, an issuer beneath it, and two regions and a gateway that sign."""

    def __init__(self) -> None:
        self.root_key, self.issuer_key = new_key(), new_key()
        self.root = certificate(self.root_key, self.root_key, "root", ca="root")
        self.issuer = certificate(self.issuer_key, self.root_key, "root", ca="issuer")
        self.keys = {name: new_key() for name in ("eu10", "us20", "gateway")}
        self.certificates = {
            name: certificate(
                key, self.issuer_key, "issuer", uri=GATEWAY_SIGNER if name == "gateway" else region_signer(name)
            )
            for name, key in self.keys.items()
        }

    @property
    def authority(self) -> bytes:
        return self.root.public_bytes(serialization.Encoding.PEM)

    def sign(self, name: str, message: bytes) -> bytes:
        return self.keys[name].sign(message, ec.ECDSA(hashes.SHA256()))

    def receipt(self, region: str, signer: str = "", **fields: object) -> SignedReceipt:
        receipt = Receipt(
            region=region, tenant="acme", resource="tenants/acme", generation=2, kind=TASK_KIND_UNLINK_KEY,
            task_id="ab" * 16, correlation_id="cd" * 16, decision_id="d1",
            destroyed=[Destroyed(resource="tenants/acme/systems/core", key="L2", place="transit", verified="absent")],
        )  # fmt: skip
        receipt.received_at.FromDatetime(NOW - dt.timedelta(seconds=1))
        receipt.done_at.FromDatetime(NOW)
        receipt.audit.attempt, receipt.audit.records, receipt.audit.sha256 = "a1", 4, b"h" * 32
        receipt.MergeFrom(Receipt(**fields))  # type: ignore[arg-type]
        packed = receipt.SerializeToString(deterministic=True)
        signer = signer or region
        key = key_id(self.keys[signer].public_key())
        return SignedReceipt(receipt=packed, key_id=key, signature=self.sign(signer, packed))

    def proof(self, receipts: list[SignedReceipt], *, missing: str = "", drop: str = "") -> Proof:
        """A proof of these receipts, with every certificate but that of `drop`."""
        statement = ProofStatement(
            correlation_id="cd" * 16, actor="operator", action="kill", detail="acme", key_id=self.key_id("gateway")
        )
        statement.make_time.FromDatetime(NOW + dt.timedelta(minutes=1))
        for signed in receipts:
            receipt = Receipt.FromString(signed.receipt)
            statement.entries.add(
                region=receipt.region, resource="tenants/acme", generation=2, kind=TASK_KIND_UNLINK_KEY,
                task_id="ab" * 16, receipt_sha256=sha256(signed.SerializeToString(deterministic=True)).digest(),
            )  # fmt: skip
        if missing:
            statement.entries.append(ProofEntry(region=missing, resource="tenants/acme", missing="Has not answered."))
        certificates = [one for name, one in self.certificates.items() if name != drop] + [self.issuer]
        packed_certificates = [one.public_bytes(serialization.Encoding.DER) for one in certificates]
        statement.certificates_sha256.extend(sha256(one).digest() for one in packed_certificates)
        packed = statement.SerializeToString(deterministic=True)
        return Proof(
            statement=packed,
            signature=self.sign("gateway", packed),
            receipts=receipts,
            certificates=packed_certificates,
        )

    def key_id(self, name: str) -> bytes:
        return key_id(self.keys[name].public_key())

    def whole(self) -> Proof:
        return self.proof([self.receipt("eu10"), self.receipt("us20")])


@cache
def made() -> tuple[Platform, Proof, bytes]:
    platform = Platform()
    proof = platform.whole()
    return platform, proof, write_file(proof)


def check(content: bytes) -> dict[str, object]:
    """What `proof verify` does with a file."""
    return page(verify(read_file(content), made()[0].authority))


def test_a_proof_holds_and_says_who_and_when() -> None:
    said = check(made()[2])
    assert (said["proven"], said["regions"], said["missing"]) == (2, 2, [])
    assert said["proven_at"] == "2026-01-01T12:00:00Z"


def test_a_change_of_any_byte_of_the_file_is_found() -> None:
    content = made()[2]
    for index in range(len(content)):
        changed = content[:index] + bytes([content[index] ^ 1]) + content[index + 1 :]
        with pytest.raises(Invalid):
            check(changed)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_no_edit_of_the_file_passes(draw: st.DataObject) -> None:
    content = made()[2]
    index = draw.draw(st.integers(0, len(content)))
    width = draw.draw(st.integers(0, 40))
    changed = content[:index] + draw.draw(st.binary(max_size=40)) + content[index + width :]
    if changed != content:
        with pytest.raises(Invalid):
            check(changed)


def _parts(proof: Proof) -> list[tuple[str, int]]:
    """Every place of a proof that holds bytes."""
    return (
        [("statement", -1), ("signature", -1)]
        + [(f"receipts.{index}.{name}", -1) for index in range(len(proof.receipts)) for name in SIGNED]
        + [("certificates", index) for index in range(len(proof.certificates))]
    )


SIGNED = ("receipt", "key_id", "signature")


def _changed(proof: Proof, part: str, index: int, at: int) -> Proof | None:
    changed = Proof()
    changed.CopyFrom(proof)
    holder: object = changed
    name = part
    if "." in part:
        _, number, name = part.split(".")
        holder = changed.receipts[int(number)]
    before: bytes = getattr(holder, name)[index] if index >= 0 else getattr(holder, name)
    if at >= len(before):
        return None
    after = before[:at] + bytes([before[at] ^ (1 << at % 8)]) + before[at + 1 :]
    if index >= 0:
        changed.certificates[index] = after
    else:
        setattr(holder, name, after)
    return changed


@pytest.mark.parametrize(("part", "index"), _parts(made()[1]))
def test_a_change_of_any_byte_of_any_part_is_found_though_the_file_is_written_anew(part: str, index: int) -> None:
    platform, proof, _ = made()
    for at in range(100_000):
        changed = _changed(proof, part, index, at)
        if changed is None:
            assert at > 8
            return
        with pytest.raises(Invalid):
            verify(read_file(write_file(changed)), platform.authority)


def test_parts_cannot_be_left_out_swapped_or_doubled() -> None:
    platform, proof, _ = made()
    for name in ("receipts", "certificates"):
        parts = list(getattr(proof, name))
        for other in (parts[1:], parts[::-1], [*parts, parts[0]], []):
            changed = Proof(statement=proof.statement, signature=proof.signature)
            getattr(changed, "certificates" if name == "receipts" else "receipts").extend(
                getattr(proof, "certificates" if name == "receipts" else "receipts")
            )
            getattr(changed, name).extend(other)
            with pytest.raises(Invalid):
                verify(changed, platform.authority)


def test_what_is_missing_is_said() -> None:
    platform = made()[0]
    said = page(verify(platform.proof([platform.receipt("eu10")], missing="us20"), platform.authority))
    assert (said["proven"], said["regions"], said["proven_at"]) == (1, 2, "")
    assert said["missing"] == [{"region": "us20", "why": "Has not answered."}]


def test_nobody_else_can_make_one() -> None:
    platform, stranger = made()[0], Platform()
    with pytest.raises(Invalid, match="does not lead to the authority"):
        verify(stranger.whole(), platform.authority)
    with pytest.raises(Invalid, match="no certificate"):
        verify(platform.whole(), b"not a certificate")


@pytest.mark.parametrize(
    "receipt",
    [
        {"region": "eu10", "signer": "us20"},
        {"region": "eu10", "signer": "gateway"},
        {"region": "eu10", "generation": 3},
        {"region": "eu10", "correlation_id": "ef" * 16},
        {"region": "eu10", "resource": "tenants/other"},
        {"region": "eu10", "task_id": "ef" * 16},
    ],
)
def test_a_receipt_speaks_for_its_region_and_change_alone(receipt: dict[str, object]) -> None:
    platform = made()[0]
    with pytest.raises(Invalid):
        verify(platform.proof([platform.receipt(**receipt)]), platform.authority)  # type: ignore[arg-type]


def test_a_key_may_be_certified_after_it_signed_but_not_long_before() -> None:
    platform = Platform()
    late = certificate(
        platform.keys["eu10"], platform.issuer_key, "issuer", uri=region_signer("eu10"),
        begins=NOW + dt.timedelta(seconds=20),
    )  # fmt: skip
    platform.certificates["eu10"] = late
    verify(platform.whole(), platform.authority)
    over = certificate(
        platform.keys["eu10"], platform.issuer_key, "issuer", uri=region_signer("eu10"), begins=NOW - 31 * DAY
    )
    platform.certificates["eu10"] = over
    with pytest.raises(Invalid, match="No certificate"):
        verify(platform.whole(), platform.authority)
    with pytest.raises(Invalid, match="No certificate"):
        verify(platform.proof([platform.receipt("us20")], drop="us20"), platform.authority)


def test_a_file_of_another_form_is_no_proof() -> None:
    fields = json.loads(made()[2])
    for content in (b"", b"{}", b"[]", b"null", json.dumps(fields).encode(), made()[2] + b"\n"):
        with pytest.raises(Invalid):
            read_file(content)


def later(platform: Platform, **fields: object) -> Proof:
    """A proof in which a later task did what the one of the statement had to."""
    changed = {"generation": 3, "task_id": "ef" * 16, "correlation_id": "12" * 16, **fields}
    receipt = platform.receipt(str(changed.pop("region", "eu10")), **changed)
    proof = platform.proof([receipt])
    statement = ProofStatement.FromString(proof.statement)
    statement.entries[0].region, statement.entries[0].receipt_task_id = "eu10", "ef" * 16
    proof.statement = statement.SerializeToString(deterministic=True)
    proof.signature = platform.sign("gateway", proof.statement)
    return proof


def test_the_receipt_of_a_later_task_of_the_resource_counts() -> None:
    platform = Platform()
    proof = later(platform)
    told = page(verify(read_file(write_file(proof)), platform.authority))
    assert (told["proven"], told["regions"], told["missing"]) == (1, 1, [])
    assert (told["receipts"][0]["of_change"], told["receipts"][0]["for_generation"]) == ("12" * 16, 2)


@pytest.mark.parametrize(
    "fields", [{"generation": 1}, {"task_id": "00" * 16}, {"resource": "tenants/other"}, {"region": "us20"}], ids=str
)
def test_no_other_receipt_counts(fields: dict[str, object]) -> None:
    platform = Platform()
    with pytest.raises(Invalid):
        verify(later(platform, **fields), platform.authority)


def test_a_statement_that_names_no_region_proves_nothing() -> None:
    platform = Platform()
    with pytest.raises(Invalid, match="names no region"):
        verify(platform.proof([]), platform.authority)


def test_what_is_missing_says_since_when_and_until_when_it_serves() -> None:
    platform = Platform()
    proof = platform.proof([platform.receipt("eu10")], missing="us20")
    statement = ProofStatement.FromString(proof.statement)
    statement.entries[1].missing_since.FromDatetime(NOW)
    statement.entries[1].stops_by.FromDatetime(NOW + DAY)
    proof.statement = statement.SerializeToString(deterministic=True)
    proof.signature = platform.sign("gateway", proof.statement)
    (missing,) = page(verify(read_file(write_file(proof)), platform.authority))["missing"]
    assert (missing["since"], missing["stops_by"]) == ("2026-01-01T12:00:00Z", "2026-01-02T12:00:00Z")
