"""A record of the audit trail that is altered, removed, reordered or cut off is found, and named."""

from __future__ import annotations

import datetime as dt
from functools import cache

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from orbital.v1.audit_pb2 import AuditHead, AuditRecord, SignedAuditHead

from runtime.errors import Invalid
from runtime.signing import key_id
from runtime.trail import BEGINNING, Held, Trail, link, read_lines, write_line
from tests.unit.runtime.test_proof import NOW, Platform, new_key

RECORDS = 12
Item = AuditRecord | Held


@cache
def platform() -> Platform:
    return Platform()


def chained(bodies: list[str]) -> list[AuditRecord]:
    """Records of these bodies, as a gateway seals them."""
    records, previous = [], BEGINNING
    for sequence, body in enumerate(bodies, 1):
        record = AuditRecord(sequence=sequence, kind="action", body=body)
        record.record_time.FromDatetime(NOW + dt.timedelta(seconds=sequence))
        previous = link(previous, sequence, record.record_time.ToMicroseconds(), record.kind, record.body)
        record.hash = previous
        records.append(record)
    return records


@cache
def signed(sequence: int, digest: bytes, signer: str = "gateway") -> SignedAuditHead:
    made = platform()
    head = AuditHead(sequence=sequence, hash=digest)
    head.sign_time.FromDatetime(NOW)
    packed = head.SerializeToString(deterministic=True)
    key = made.keys.get(signer) or new_key()
    certificates = [made.certificates[signer], made.issuer] if signer in made.certificates else []
    return SignedAuditHead(
        head=packed,
        key_id=key_id(key.public_key()),
        signature=key.sign(packed, ec.ECDSA(hashes.SHA256())),
        certificates=[one.public_bytes(serialization.Encoding.DER) for one in certificates],
    )


def trail(bodies: list[str] | None = None) -> list[Item]:
    """A trail as an export has it: a region's copy of a head, the trail's own heads, the records."""
    records = chained(bodies or [f'{{"n": {n}}}' for n in range(RECORDS)])
    heads = [Held(signed(one.sequence, one.hash)) for one in records[3::4]]
    return [Held(heads[-1].signed, "eu10"), *heads, *records]


def verdict(items: list[Item]) -> str:
    """What does not hold; empty when all of it does."""
    try:
        followed = Trail(platform().authority)
        for item in items:
            followed.take(item)
        followed.end()
    except Invalid as error:
        return error.message
    return ""


def of(items: list[Item], sequence: int) -> int:
    return next(index for index, one in enumerate(items) if isinstance(one, AuditRecord) and one.sequence == sequence)


def test_a_whole_trail_holds_also_from_an_export() -> None:
    assert verdict(trail()) == ""
    lines = [write_line(item) for item in trail()]
    assert list(read_lines(lines)) == trail()


@pytest.mark.parametrize("sequence", range(1, RECORDS + 1))
@pytest.mark.parametrize("field", ["body", "kind", "time", "hash"])
def test_an_altered_record_is_named(sequence: int, field: str) -> None:
    items = trail()
    record = items[of(items, sequence)]
    assert isinstance(record, AuditRecord)
    if field == "time":
        record.record_time.nanos += 1000
    elif field == "hash":
        record.hash = bytes(32)
    else:
        setattr(record, field, "{}")
    assert verdict(items).startswith(f"Record #{sequence} altered")
    assert verdict(items).endswith(f"good to #{sequence - 1}.")


@pytest.mark.parametrize("sequence", range(1, RECORDS))
def test_a_removed_record_is_named(sequence: int) -> None:
    items = trail()
    del items[of(items, sequence)]
    assert verdict(items).startswith(f"Record #{sequence} removed")


@pytest.mark.parametrize("sequence", range(1, RECORDS))
def test_reordered_records_are_named(sequence: int) -> None:
    items = trail()
    here = of(items, sequence)
    items[here], items[here + 1] = items[here + 1], items[here]
    assert f"#{sequence}" in verdict(items)
    # The same, with the numbers put right again.
    one, other = items[here], items[here + 1]
    assert isinstance(one, AuditRecord)
    assert isinstance(other, AuditRecord)
    one.sequence, other.sequence = other.sequence, one.sequence
    assert verdict(items).startswith(f"Record #{sequence} altered")


@pytest.mark.parametrize("left", range(RECORDS))
def test_a_tail_that_was_cut_is_named_by_the_heads_and_by_a_region_alone(left: int) -> None:
    records = [one for one in trail() if isinstance(one, AuditRecord)]
    own = [one for one in trail() if isinstance(one, Held)]
    message = f"Records #{left + 1} to #{RECORDS} cut off"
    assert verdict([*own, *records[:left]]).startswith(message)
    assert "held by region eu10" in verdict([own[0], *records[:left]])
    assert verdict([own[0], *records[:left]]).startswith(message)


@given(st.integers(1, RECORDS), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_chain_that_was_made_anew_is_found_by_the_next_head(sequence: int, heads_too: bool) -> None:
    bodies = [f'{{"n": {n}}}' for n in range(RECORDS)]
    copy = [one for one in trail() if isinstance(one, Held)]
    bodies[sequence - 1] = '{"n": "forged"}'
    forged = chained(bodies)
    if heads_too:
        # Even the gateway's own key does not help: a region holds what was there before.
        copy = [copy[0], *(Held(signed(one.sequence, one.hash)) for one in forged[3::4])]
    said = verdict([*copy, *forged])
    assert "is another: history up to #" in said
    assert not heads_too or "held by region eu10" in said


def test_a_head_of_somebody_else_does_not_count() -> None:
    last = chained(["{}"])[0]
    for signer in ("eu10", "stranger"):
        assert verdict([Held(signed(1, last.hash, signer)), last]) != ""


@given(st.integers(0), st.integers(1, 255))
@settings(max_examples=200, deadline=None)
def test_any_byte_of_an_export_matters(place: int, change: int) -> None:
    content = bytearray(b"".join(write_line(item) for item in trail(["{}", '{"n": 1}', "{}", "{}"])))
    content[place % len(content)] ^= change
    try:
        items = list(read_lines(bytes(content).split(b"\n")[:-1]))
    except Invalid:
        return
    # Another way to write the same, or a region's name: it only says where to look for the copy.
    assert signed_parts(items) == signed_parts(trail(["{}", '{"n": 1}', "{}", "{}"])) or verdict(items) != ""


def signed_parts(items: list[Item]) -> list[AuditRecord | SignedAuditHead]:
    return [one.signed if isinstance(one, Held) else one for one in items]


def restored(after: int, beyond: int) -> list[Item]:
    """A trail that was cut back after `after` records and went on, with heads of the lost ones that a region holds."""
    before = chained([f'{{"n": {number}}}' for number in range(beyond)])
    kept, previous = before[:after], before[after - 1].hash
    body = f'{{"trail_end": {after}}}'
    again = AuditRecord(sequence=after + 1, kind="went_back", body=body)
    again.record_time.FromDatetime(NOW + dt.timedelta(days=1))
    again.hash = link(previous, after + 1, again.record_time.ToMicroseconds(), again.kind, again.body)
    heads = [Held(signed(one.sequence, one.hash), "eu10") for one in before[after - 1 :]]
    return [*heads, *kept, again]


@pytest.mark.parametrize(("after", "beyond"), [(3, 4), (3, 9), (1, 2), (5, 6)])
def test_a_trail_that_a_backup_cut_back_is_told_as_that(after: int, beyond: int) -> None:
    said = verdict(restored(after, beyond))
    assert said.startswith(f"The database was restored from a backup, which #{after + 1} records")
    assert f"cut back to #{after} or before" in said
    assert f"{beyond - after} signed heads held by eu10" in said
    assert f"up to #{beyond}" in said


def test_a_record_of_a_restoration_excuses_nothing_that_came_later() -> None:
    items = restored(3, 9)
    items[-1].record_time.FromDatetime(NOW - dt.timedelta(days=1))  # type: ignore[union-attr]
    record = items[-1]
    assert isinstance(record, AuditRecord)
    record.hash = link(items[-2].hash, 4, record.record_time.ToMicroseconds(), record.kind, record.body)  # type: ignore[union-attr]
    assert "made anew" in verdict(items)
