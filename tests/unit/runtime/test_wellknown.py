"""Times, durations and enumerations that others sent are read, whatever they are."""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import example, given
from hypothesis import strategies as st
from orbital.v1.flag_pb2 import HealthStatus

from runtime.wellknown import exact, label, micros, rfc3339, seconds, utc

ROOT = Path(__file__).resolve().parents[3]
INT64 = st.integers(-(2**63), 2**63 - 1)
INT32 = st.integers(-(2**31), 2**31 - 1)
SANE = st.builds(Timestamp, seconds=st.integers(-62135596800, 253402300799), nanos=st.integers(0, 999_999_999))
# What raises on a value that another party chose.
PARTIAL = {
    "ToDatetime", "ToJsonString", "ToMicroseconds", "ToMilliseconds", "ToNanoseconds", "ToSeconds", "ToTimedelta",
}  # fmt: skip


@given(INT64, INT32)
@example(0, 2_000_000_000)
@example(2**60, 0)
@example(253402300800, -1)
@example(-(2**63), -(2**31))
def test_every_time_has_words(whole: int, nanos: int) -> None:
    stamp, span = Timestamp(seconds=whole, nanos=nanos), Duration(seconds=whole, nanos=nanos)
    assert datetime.fromisoformat(rfc3339(stamp)).tzinfo is UTC
    assert utc(stamp).tzinfo is UTC
    assert exact(stamp).endswith("Z")
    assert isinstance(seconds(span), float)
    assert micros(stamp) == whole * 1_000_000 + nanos // 1_000


@given(SANE)
def test_a_sane_time_is_told_as_it_is(stamp: Timestamp) -> None:
    assert utc(stamp) == stamp.ToDatetime(UTC)
    assert exact(stamp) == stamp.ToJsonString()
    assert micros(stamp) == stamp.ToMicroseconds()
    assert rfc3339(stamp)[:19] == stamp.ToJsonString()[:19]


@given(INT32)
def test_every_number_has_a_word(number: int) -> None:
    known = {value.number for value in HealthStatus.DESCRIPTOR.values}
    expected = HealthStatus.Name(number) if number in known else str(number)
    assert label(HealthStatus, number) == expected


@pytest.mark.parametrize("package", ["gateway", "region", "checker", "console", "runtime", "stack", "bench"])
def test_nothing_reads_them_by_a_way_that_can_fail(package: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.func.attr}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in PARTIAL
    ]
    # A proof whose times cannot be read is no proof.
    assert [each for each in found if not each.startswith("runtime/proof.py")] == []
