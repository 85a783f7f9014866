"""Every List* method of the contract is paged, or bounded by what it is about; made from the descriptors."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from orbital.v1 import verify_pb2

from gateway.adapters.postgres.approval import PostgresApprovals
from gateway.adapters.postgres.engines import PostgresEngines
from gateway.adapters.postgres.flags import PostgresFlags
from gateway.adapters.postgres.parked import PostgresParked
from gateway.adapters.postgres.see import PostgresReads
from gateway.adapters.rpc.approval import ApprovalRpc
from gateway.adapters.rpc.audit import AuditRpc
from gateway.adapters.rpc.caller import REGION
from gateway.adapters.rpc.checker import CheckerRpc
from gateway.adapters.rpc.parked import TaskRpc
from gateway.adapters.rpc.policy import PolicyRpc
from gateway.adapters.rpc.registry import RegistryRpc
from gateway.flow.approval import ApprovalFlow
from gateway.flow.parked import ParkedTasks
from region.adapters.rpc.verify import VerifyRpc
from runtime.errors import Invalid
from tests.unit.gateway.test_requests import METHODS

# What bounds those that have no pages.
BOUNDED = {
    "ListAudit": "`after` is the sequence of the last record, and `page_size` bounds it",
}
OF_REGIONS = verify_pb2.DESCRIPTOR.services_by_name["VerifyService"].methods
# What is streamed has no pages: each message of it is one item.
LISTS = [each for each in (*METHODS, *OF_REGIONS) if each.name.startswith("List") and not each.server_streaming]
PAGED = [method for method in LISTS if method.name not in BOUNDED]
CONTEXT = SimpleNamespace(invocation_metadata=lambda: (("x-orbital-principal", f"{REGION}eu10"),))
FILLED = {"region": "eu10", "tenant": "acme", "kind": 2}


class EmptyDatabase:
    """Has no row of anything."""

    async def fetch(self, query: str, *arguments: Any) -> Sequence[Any]:
        return []


class Nothing:
    """Whatever is asked, there is nothing of it."""

    async def regions(self) -> Any:
        return SimpleNamespace(regions=[])

    async def flags(self, region: str) -> dict[str, list[Any]]:
        return {}

    async def holds(self) -> dict[str, list[Any]]:
        return {}

    async def edges(self, region: str) -> list[Any]:
        return []

    async def uses(self, tenant: str, system: str) -> list[Any]:
        return []

    async def list(self, after: int, size: int) -> None:
        raise AssertionError("The size was to be refused")

    async def queues(self, region: str) -> list[Any]:
        return []

    async def audit_heads(self, limit: int, up_to: int, skipped: int) -> list[Any]:
        return []

    version = ""


def service(method: MethodDescriptor) -> Any:
    """The gateway's own service of this method, over a store that is empty."""
    database: Any = EmptyDatabase()
    nothing: Any = Nothing()
    nothing.changes = PostgresFlags(database).changes
    registry = RegistryRpc.__new__(RegistryRpc)
    registry._reads = PostgresReads(database)
    registry._fleet, registry._flags, registry._edges = nothing, nothing, nothing
    services: dict[str, Any] = {
        "ApprovalService": ApprovalRpc(ApprovalFlow(PostgresApprovals(database), {}, nothing, str, 1.0)),
        "AuditService": AuditRpc(nothing),
        "CheckerService": CheckerRpc(nothing, nothing, nothing),
        "PolicyService": PolicyRpc(PostgresEngines(database, 1.0), str),
        "RegistryService": registry,
        "TaskService": TaskRpc(ParkedTasks(PostgresParked(database, "gateway"), str)),
        "VerifyService": VerifyRpc(nothing, nothing),
    }
    return services[method.containing_service.name]


def request(method: MethodDescriptor, **fields: Any) -> Any:
    made = GetMessageClass(method.input_type)()
    for name, value in FILLED.items():
        field = method.input_type.fields_by_name.get(name)
        if field is not None and (field.type != FieldDescriptor.TYPE_STRING) == isinstance(value, int):
            setattr(made, name, value)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def packed(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def test_whatever_is_listed_is_paged_or_bounded() -> None:
    known = {"ListApprovals", "ListDenials", "ListEngines", "ListUses", "ListQueues", "ListAuditHeads"}
    assert known <= {method.name for method in LISTS}
    assert set(BOUNDED) <= {method.name for method in LISTS}
    for method in PAGED:
        asked, told = method.input_type.fields_by_name, method.output_type.fields_by_name
        assert {"page_size", "page_token"} <= set(asked), method.full_name
        assert "next_page_token" in told, method.full_name


@pytest.mark.parametrize("method", PAGED, ids=lambda method: method.name)
async def test_an_empty_store_has_one_page(method: MethodDescriptor) -> None:
    answer = await getattr(service(method), method.name)(request(method), CONTEXT)
    assert answer.next_page_token == ""


BROKEN = {
    "not ours": "x",
    "no JSON": base64.urlsafe_b64encode(b"{").decode(),
    "NUL": "\0",
    "NUL inside": packed(["a\0", "b\0", "c\0", "d\0"]),
    "no list": packed({"a": 1}),
    "no parts": packed([]),
    "another kind": packed([None]),
    "true": packed([True]),
    "too many parts": packed(["a"] * 9),
    "a number that is too large": packed([2**80]),
    "half a character": packed(["\ud800", "\ud800"]),
    "no time": packed(["yesterday", 1]),
    "long": "A" * 100_000,
    "not ASCII": "é",
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("method", PAGED, ids=lambda method: method.name)
async def test_a_token_that_is_not_ours_is_refused_and_named(method: MethodDescriptor, broken: str) -> None:
    with pytest.raises(Invalid) as refused:
        await getattr(service(method), method.name)(request(method, page_token=BROKEN[broken]), CONTEXT)
    assert refused.value.field == "page_token"


@pytest.mark.parametrize("method", LISTS, ids=lambda method: method.name)
async def test_a_size_beyond_the_bounds_is_refused_and_named(method: MethodDescriptor) -> None:
    signed = method.input_type.fields_by_name["page_size"].type == FieldDescriptor.TYPE_INT32
    for size in (-1, -(2**31), 2**31 - 1) if signed else (5_001, 2**32 - 1):
        with pytest.raises(Invalid) as refused:
            await getattr(service(method), method.name)(request(method, page_size=size), CONTEXT)
        assert refused.value.field == "page_size"
