"""A region that is silent: why, as far as the control plane can know, and what brings it back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orbital.v1 import flag_pb2 as pb

from gateway.adapters.rpc.caller import CERTIFICATE_END, certificate_end
from gateway.domain.health import CheckerContact, silent_flag
from runtime.content import LAST_SECOND

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
SECONDS = st.integers(-(10**7), 10**7)


@given(st.none() | SECONDS)
def test_a_certificate_that_expired_meanwhile_is_the_reason(left: int | None) -> None:
    end = None if left is None else NOW + timedelta(seconds=left)
    heard = CheckerContact(NOW - timedelta(hours=2), 2.0, end)
    before = [pb.Flag(component="hsm", reason="HSM_UNREACHABLE", status=pb.HEALTH_STATUS_DEGRADED)]
    flag = silent_flag("eu10", heard, before, NOW)
    expired = left is not None and left <= 0
    assert flag.reason == ("CERTIFICATE_EXPIRED" if expired else "CHECKER_SILENT")
    assert ("Run: orbital region enrol eu10" in flag.message) == expired
    assert "silent for 7200 s; it was hsm HSM_UNREACHABLE." in flag.message
    assert [item.name for item in flag.evidence] == ["last_heard", *(["certificate_end"] if expired else [])]
    if expired:
        assert flag.evidence[1].time.ToDatetime(UTC) == end
    assert list(flag.consequences) == ["hsm: was HSM_UNREACHABLE"]


def test_who_was_never_heard_shows_no_certificate() -> None:
    assert silent_flag("eu10", None, (), NOW).reason == "CHECKER_NEVER_HEARD"


def context(*pairs: tuple[str, str | bytes]) -> Any:
    return SimpleNamespace(invocation_metadata=lambda: pairs)


@pytest.mark.parametrize(
    ("said", "end"),
    [
        ("1796000000", 1_796_000_000.0),
        ("99999999999", 99_999_999_999.0),
        *((text, None) for text in ("-", "", "x", "-5", "1.5", "\u0663", "9" * 12, "9" * 400, "1e9", " 5")),
    ],
)
def test_when_a_certificate_ends_is_what_the_sidecar_says(said: str, end: float | None) -> None:
    assert certificate_end(context((CERTIFICATE_END, said))) == end
    assert end is None or end <= LAST_SECOND


def test_without_a_certificate_none_ends() -> None:
    assert certificate_end(context()) is None
    assert certificate_end(context((CERTIFICATE_END, b"17"))) is None
