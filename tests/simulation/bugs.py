"""Faults planted on purpose, each of a kind that the invariants must find. They exist in the simulation alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from orbital.v1 import dispatch_pb2
from orbital.v1 import task_pb2 as pb
from orbital.v1.registry_pb2 import DeclareRequest
from orbital.v1.resource_pb2 import LinkState
from orbital.v1.task_pb2 import Outcome

import gateway.adapters.postgres.desired
import gateway.flow.desired
import gateway.flow.plans
import gateway.flow.report
import region.flow.execute
import region.handlers.link_key
import region.handlers.permit
from region.domain import work
from region.flow.receive import Receiver
from region.handlers.parts import Parts
from runtime.errors import Denied, Invalid
from runtime.kinds import LANES
from tests.unit.region.fakes import FakeStore

Patch = pytest.MonkeyPatch


def _fence_off(patch: Patch) -> None:
    """Records are replaced whatever revision they have: nothing fences a late write."""
    written = FakeStore.write

    async def write(store: FakeStore, path: str, fields: Mapping[str, Any], revision: int) -> int:
        del revision
        current = store.records[path][1] if path in store.records else 0
        return await written(store, path, fields, current)

    patch.setattr(FakeStore, "write", write)


def _acknowledge_before_write(patch: Patch) -> None:
    """A delivery is acknowledged before it is in the journal."""

    async def kept(receiver: Any, deliveries: list[dispatch_pb2.Delivery], send: Any) -> None:
        newest = dispatch_pb2.Acknowledge(delivery_id=deliveries[-1].delivery_id)
        await send(dispatch_pb2.SubscribeRequest(acknowledge=newest))
        tasks: list[pb.Task] = []
        for delivery in deliveries:
            try:
                tasks += await receiver._reader.read(delivery.batch)
            except (Invalid, Denied):
                continue
        if tasks:
            await receiver._journal.receive(tasks, receiver._path)

    patch.setattr(Receiver, "_keep", kept)


def _late_link_accepted(patch: Patch) -> None:
    """A Link is carried out however old its generation is, and though its tenant was killed."""
    patch.setattr(work, "fence", lambda generation, held: 1)
    patch.setattr(region.handlers.link_key, "_forbidden", lambda *_: None)


def _receipt_before_verification(patch: Patch) -> None:
    """A revocation is reported before its key is looked for, and a destruction that fails is not noticed."""

    async def destroyed(parts: Parts, system: Any, mine: Any) -> float:
        del system, mine
        return parts.host.now()

    patch.setattr(region.handlers.permit, "_destroyed", destroyed)


def _report_by_timer(patch: Patch) -> None:
    """What a region waits for counts as done after its first report."""
    checked = gateway.flow.report.check_report

    def check(report: pb.Report, where: str) -> None:
        checked(report, where)
        if report.outcome == Outcome.OUTCOME_WAITING:
            report.outcome = Outcome.OUTCOME_DONE
            report.observed_generation = report.generation

    patch.setattr(gateway.flow.report, "check_report", check)


def _superseded_is_stale(patch: Patch) -> None:
    """Revocations are skipped on the word of the journal."""
    patch.setattr(region.flow.execute, "REVOKING", ())
    patch.setattr(
        region.flow.execute, "_fenced", lambda entry: region.flow.execute.result.done(entry.generation, "", 0)
    )


def _lane_shared(patch: Patch) -> None:
    """Revocations of Links go by the lane of ordinary work."""
    lanes = {**LANES, pb.TASK_KIND_UNLINK_KEY: 1}
    patch.setattr(gateway.adapters.postgres.desired, "LANES", lanes)


def _absence_as_delete(patch: Patch) -> None:
    """A Link that a declaration of its tenant does not name is unlinked."""
    worked_out = gateway.flow.plans.declaration

    async def declaration(estate: Any, request: DeclareRequest) -> Any:
        names = {resource.name for resource in request.resources}
        tenants = sorted({name.split("/")[1] for name in names if name.startswith("tenants/")})
        for name, item in (await estate.resources(tenants)).items() if tenants else ():
            if item.resource.HasField("link") and name not in names and not item.resource.retired:
                absent = request.resources.add()
                absent.CopyFrom(item.resource)
                absent.generation = 0
                absent.link.state = LinkState.LINK_STATE_UNLINKED
        return await worked_out(estate, request)

    patch.setattr(gateway.flow.desired, "declaration", declaration)


BUGS: dict[str, Callable[[Patch], None]] = {
    "fence-off": _fence_off,
    "acknowledge-before-write": _acknowledge_before_write,
    "lane-shared": _lane_shared,
    "absence-as-delete": _absence_as_delete,
    "late-link-accepted": _late_link_accepted,
    "receipt-before-verification": _receipt_before_verification,
    "report-by-timer": _report_by_timer,
    "journal-trusted": _superseded_is_stale,
}


@contextmanager
def planted(bug: str) -> Iterator[None]:
    """The bug of this name inside the block; none for the empty name."""
    with Patch.context() as patch:
        if bug:
            BUGS[bug](patch)
        yield
