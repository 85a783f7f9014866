"""Whatever of a message cannot be stored or shown is refused by the name of its field, in every message there is."""

from __future__ import annotations

import importlib
import pkgutil
from datetime import UTC

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from orbital import v1
from orbital.v1.flag_pb2 import SignalRequest
from orbital.v1.task_pb2 import Report, Reports

from runtime.content import FIRST_SECOND, LAST_SECOND, check_content
from runtime.errors import Invalid
from tests.unit.runtime.poison import poisoned

CONTRACTS = [
    importlib.import_module(f"orbital.v1.{found.name}")
    for found in pkgutil.iter_modules(v1.__path__)
    if found.name.endswith("_pb2")
]
MESSAGES: list[Descriptor] = [
    message for contract in CONTRACTS for message in contract.DESCRIPTOR.message_types_by_name.values()
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.name)
def test_every_bad_value_is_refused_by_the_name_of_its_field(message: Descriptor) -> None:
    for where, made in poisoned(message):
        with pytest.raises(Invalid) as refused:
            check_content(made)
        assert refused.value.field == where
        assert refused.value.message.isprintable()
        assert len(refused.value.message) < 300


def test_the_generator_reaches_what_regions_sign() -> None:
    assert {where for where, _ in poisoned(Reports.DESCRIPTOR)} >= {
        "reports[1].message", "reports[1].observed_generation", "reports[1].key_state", "reports[1].executed_at",
        "reports[1].arrivals[1].time",
    }  # fmt: skip
    assert {where for where, _ in poisoned(SignalRequest.DESCRIPTOR)} >= {
        "flags[1].evidence[1].time", "flags[1].message", "versions (a key)", "period",
    }  # fmt: skip


@given(st.integers(FIRST_SECOND, LAST_SECOND), st.integers(0, 999_999_999))
def test_a_time_that_passes_can_be_converted(seconds: int, nanos: int) -> None:
    report = Report(received_at=Timestamp(seconds=seconds, nanos=nanos))
    check_content(report)
    assert report.received_at.ToDatetime(UTC).year


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp"], include_characters="\n\t"), max_size=50)
)
def test_what_people_write_passes(text: str) -> None:
    check_content(Report(message=text))


def test_a_path_leads_to_the_field() -> None:
    with pytest.raises(Invalid) as refused:
        check_content(Report(message="\0"), "report")
    assert refused.value.field == "report.message"
