import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from orbital.v1.audit_pb2 import SignedAuditHead
from orbital.v1.dispatch_pb2 import (
    Acknowledge,
    Open,
    Rehydrate,
    Reject,
    ReportBatch,
    SubscribeRequest,
    SubscribeResponse,
)
from orbital.v1.resource_pb2 import Resource, TenantSpec, Transport
from orbital.v1.signed_pb2 import Signed
from orbital.v1.task_pb2 import Outcome, Report, Reports, TaskBatch, TaskKind

from gateway.domain.retry import redrive_after
from gateway.domain.task import task_id
from gateway.flow.announce import Announcements
from gateway.flow.contacts import Contacts
from gateway.flow.deliver import Deliver, StreamSettings
from gateway.flow.detect import Detect
from gateway.flow.direct import OpenStreams
from gateway.flow.dispatch import Dispatch
from gateway.flow.holdings import Holdings
from gateway.flow.pack import pack
from gateway.flow.receipts import ReceiptCheck
from gateway.flow.report import ReportFlow
from gateway.flow.revocation import Revocations
from gateway.flow.security import Security, SignedReports
from gateway.flow.send import Sender
from gateway.flow.sources import LaneSources
from gateway.flow.state import States
from gateway.flow.stream_intake import StreamIntake
from gateway.ports.store import Claimed, Drift
from runtime.errors import Denied, Invalid, Unavailable
from runtime.lifecycle import Backoff
from runtime.policy import Refusal
from runtime.signatures import GATEWAY, REPORTS, TASKS
from tests.unit.gateway.fakes import (
    FakeFaults,
    FakeHoldings,
    FakeLanes,
    FakePolicy,
    FakePublisher,
    FakeReports,
    FakeStanding,
    FakeState,
    FakeTasks,
)
from tests.unit.gateway.test_receipts import Certificates
from tests.unit.runtime.keys import Keys

NOW = datetime(2026, 1, 13, tzinfo=UTC)
PRINCIPAL = "spiffe://orbital/region/eu10"


def claimed(number: int, region: str = "eu10", generation: int = 1, current: int = 1) -> Claimed:
    resource = Resource(name=f"tenants/t{number}", tenant=TenantSpec())
    return Claimed(
        uuid.UUID(int=number + 1), number, TaskKind.TASK_KIND_DEFINE_TENANT, 1, region, f"t{number}", generation,
        current, "c", NOW, resource.name, resource.SerializeToString(),
    )  # fmt: skip


def report(number: int, generation: int = 1, outcome: Outcome.ValueType = Outcome.OUTCOME_DONE) -> Report:
    return Report(
        task_id=uuid.UUID(int=number + 1).hex,
        kind=TaskKind.TASK_KIND_DEFINE_TENANT,
        resource=f"tenants/t{number}",
        generation=generation,
        observed_generation=generation,
        outcome=outcome,
    )


class Harness:
    def __init__(self, place: Path) -> None:
        self.keys = Keys.make(place)
        self.tasks, self.policy, self.publisher, self.store = FakeTasks(), FakePolicy(), FakePublisher(), FakeReports()
        sender = Sender(publisher=self.publisher, signer=self.keys.gateway, most=2)
        self.dispatch = Dispatch(lane=1, store=self.tasks, policy=self.policy, sender=sender, claim=10)
        self.faults, self.streams = FakeFaults(), OpenStreams(0.2, time.monotonic)
        self.reports = ReportFlow(self.store, self.tasks, self.policy, ReceiptCheck(Certificates()), "gateway", 100)
        self.security = Security(self.tasks, self.tasks)
        self.intake = SignedReports(self.reports, self.keys.public_keys, self.security)

    def deliver(self, lanes: FakeLanes, seconds: float = 60, lane: int = 1) -> Deliver:
        def backoff() -> Backoff:
            return Backoff(lambda: 0, 0.001, 0.001)

        contacts, states, keys = Contacts(self.tasks), States(FakeState()), self.keys.public_keys
        holdings = Holdings(FakeHoldings(), Certificates(), keys, self.security, lambda: None, str)
        sources = LaneSources(lanes=lanes, store=self.tasks, faults=self.faults, streams=self.streams, backoff=backoff)
        intake = StreamIntake(
            reports=self.intake, security=self.security, states=states, holdings=holdings, backoff=backoff
        )
        announcements = Announcements(
            contacts=contacts, states=states, holdings=holdings, audit_head=SignedAuditHead, clock=lambda: NOW,
            lifetime=seconds,
        )  # fmt: skip
        return Deliver(
            sources=sources,
            intake=intake,
            announcements=announcements,
            contacts=contacts,
            ended=Revocations(FakeStanding()).ended,
            settings=StreamSettings(lanes=frozenset({lane}), beat=60, lifetime=seconds, grace=15),
        )


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    return Harness(tmp_path)


async def test_drift_becomes_tasks_that_are_driven_again_later_each_time(harness: Harness) -> None:
    made = []
    harness.tasks.drifts = [Drift(1, "tenants/t", "t", "eu10", 2, 1, 3, "c", attempt, 0, 0) for attempt in (0, 1)]
    assert not await Detect(harness.tasks, 1, 10, lambda: made.append(1)).step()
    assert [identity for identity, _, _ in harness.tasks.driven] == [task_id("tenants/t", "eu10", 3)] * 2
    first, second = (seconds for _, _, seconds in harness.tasks.driven)
    assert (first, second) == (redrive_after(1, 0), redrive_after(1, 1))
    assert second > first
    assert made


async def test_dispatch_publishes_what_policy_allows_in_messages_of_one_region(harness: Harness) -> None:
    harness.tasks.pending = [claimed(number, region) for number, region in enumerate(["eu10", "us20"] * 2 + ["eu10"])]
    harness.policy.refuse = {claimed(1).identity.hex}
    assert not await harness.dispatch.step()
    batches = [
        TaskBatch.FromString(Signed.FromString(lane_message.body).content)
        for lane_message in harness.publisher.lane_messages
    ]
    assert [(batch.region, len(batch.tasks)) for batch in batches] == [("eu10", 2), ("eu10", 1), ("us20", 1)]
    assert all(task.region == batch.region for batch in batches for task in batch.tasks)
    assert harness.tasks.marks["denied"] == [claimed(1).identity]
    assert len(harness.policy.asked) == 1


async def test_what_policy_holds_is_no_denial(harness: Harness) -> None:
    harness.tasks.pending = [claimed(1)]
    harness.policy.refuse, harness.policy.refusal = {claimed(1).identity.hex}, Refusal("FROZEN", "Later")
    await harness.dispatch.step()
    assert (harness.tasks.marks["held"], harness.tasks.marks["denied"]) == ([claimed(1).identity], [])
    assert harness.publisher.lane_messages == []


async def test_dispatch_skips_what_a_newer_generation_overtook(harness: Harness) -> None:
    harness.tasks.pending = [claimed(1, generation=1, current=2), claimed(2)]
    await harness.dispatch.step()
    assert harness.tasks.marks["superseded"] == [claimed(1).identity]
    assert harness.tasks.marks["published"] == [claimed(2).identity]


@pytest.mark.parametrize("part", ["policy", "publisher"])
async def test_nothing_is_published_while_a_part_is_away(harness: Harness, part: str) -> None:
    harness.tasks.pending = [claimed(1)]
    getattr(harness, part).away = True
    with pytest.raises(Unavailable):
        await harness.dispatch.step()
    assert harness.publisher.lane_messages == []
    marked = [claimed(1).identity] if part == "publisher" else []
    assert harness.tasks.marks == {"published": [], "superseded": [], "held": [], "denied": [], "stuck": marked}
    getattr(harness, part).away = False
    await harness.dispatch.step()
    assert harness.tasks.marks["published"] == [claimed(1).identity]


async def test_a_packed_task_carries_the_whole_desired_state_and_a_signature(harness: Harness) -> None:
    (packed,) = pack([claimed(1, generation=4, current=4)], 10, harness.keys.gateway).messages
    lane_message = packed.lane_message
    content = await harness.keys.public_keys.verify(Signed.FromString(lane_message.body), TASKS, GATEWAY)
    (task,) = TaskBatch.FromString(content).tasks
    assert (task.resource.name, task.resource.generation, task.correlation_id) == ("tenants/t1", 4, "c")


async def test_reports_of_many_callers_are_stored_together(harness: Harness) -> None:
    submitted = [
        asyncio.create_task(harness.reports.submit(PRINCIPAL, "eu10", [report(number)])) for number in range(5)
    ]
    await asyncio.sleep(0)
    runner = asyncio.create_task(harness.reports.run())
    await asyncio.gather(*submitted)
    runner.cancel()
    assert [len(tasks) for tasks, _ in harness.store.observed] == [5]


async def test_a_refused_report_is_kept_as_a_denial_and_told(harness: Harness) -> None:
    harness.policy.refuse = {report(1).task_id}
    (refused,) = (await harness.reports.submit(PRINCIPAL, "eu10", [report(1)])).refused
    assert (refused.reason, refused.message) == ("NOT_HERE", "Not here")
    assert harness.store.observed == []
    assert [denial.principal for denial in harness.tasks.denials] == [PRINCIPAL]


async def test_a_store_that_is_away_makes_the_caller_try_again(harness: Harness) -> None:
    harness.store.away = True
    runner = asyncio.create_task(harness.reports.run())
    with pytest.raises(Unavailable):
        await harness.reports.submit(PRINCIPAL, "eu10", [report(1)])
    runner.cancel()


async def test_the_newest_task_speaks_for_a_placement(harness: Harness) -> None:
    runner = asyncio.create_task(harness.reports.run())
    old, new = report(1, generation=1, outcome=Outcome.OUTCOME_STALE), report(1, generation=2)
    new.task_id = uuid.UUID(int=99).hex
    await harness.reports.submit(PRINCIPAL, "eu10", [new, old])
    runner.cancel()
    ((tasks, placements),) = harness.store.observed
    assert len(tasks) == 2
    assert [item.report.generation for item in placements] == [2]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda item: setattr(item, "task_id", "x"), "report.task_id"),
        (lambda item: setattr(item, "outcome", 0), "report.outcome"),
        (lambda item: setattr(item, "kind", 0), "report.kind"),
        (lambda item: setattr(item, "message", "x" * 2001), "report.message"),
    ],
)
async def test_a_malformed_report_fails_alone_and_names_its_field(harness: Harness, change: object, field: str) -> None:
    broken = report(1)
    change(broken)  # type: ignore[operator]
    runner = asyncio.create_task(harness.reports.run())
    answer = await harness.reports.submit(PRINCIPAL, "eu10", [broken, report(2)])
    runner.cancel()
    ((told, error),) = answer.unfit
    assert (told, error.field) == (broken, field)
    # Its neighbour is stored.
    assert [item.report.resource for tasks, _ in harness.store.observed for item in tasks] == ["tenants/t2"]


def opening(
    region: str = "eu10", lane: int = 1, credit: int = 4, transport: Transport.ValueType = Transport.TRANSPORT_STREAM
) -> SubscribeRequest:
    return SubscribeRequest(open=Open(region=region, lane=lane, credit=credit, transport=transport))


def reported(harness: Harness, region: str = "eu10") -> Signed:
    return harness.keys.region.sign(REPORTS, Reports(region=region, reports=[report(1)]).SerializeToString())


async def test_reports_that_their_region_did_not_sign_are_kept_apart_and_told(harness: Harness) -> None:
    good = reported(harness)
    altered = Signed(key_id=good.key_id, signature=good.signature, content=good.content + b"\x12\x00")
    others = harness.keys.other.sign(REPORTS, good.content)
    tasks = harness.keys.region.sign(TASKS, good.content)
    for signed, reason in (
        (Signed(content=good.content), "UNSIGNED"),
        (altered, "FORGED"),
        (tasks, "FORGED"),
        (others, "WRONG_SIGNER"),
        (reported(harness, "us20"), "WRONG_REGION"),
    ):
        with pytest.raises(Denied) as refused:
            await harness.intake.submit(PRINCIPAL, "eu10", signed, 1)
        assert refused.value.reason == reason
        assert harness.tasks.events[-1].reason == reason
        assert harness.tasks.dead[-1][2].startswith(f"{reason}: ")
    assert harness.store.observed == []


async def test_a_report_that_the_store_cannot_keep_fails_alone_and_is_told(harness: Harness) -> None:
    harness.store.poison = {report(3).task_id}
    runner = asyncio.create_task(harness.reports.run())
    packed = Reports(region="eu10", reports=[report(number) for number in range(9)]).SerializeToString()
    (refused,) = await harness.intake.submit(PRINCIPAL, "eu10", harness.keys.region.sign(REPORTS, packed), 1)
    runner.cancel()
    assert (refused.task_id, refused.reason) == (report(3).task_id, "CANNOT_BE_STORED")
    stored = {item.report.task_id for tasks, _ in harness.store.observed for item in tasks}
    assert stored == {report(number).task_id for number in range(9) if number != 3}
    assert [(event.subject, event.reason) for event in harness.tasks.events] == [("reports", "CANNOT_BE_STORED")]


class Region:
    """The other end of a lane stream."""

    def __init__(self, *requests: SubscribeRequest) -> None:
        self.up: asyncio.Queue[SubscribeRequest | None] = asyncio.Queue()
        self.down: asyncio.Queue[SubscribeResponse] = asyncio.Queue()
        for request in requests:
            self.up.put_nowait(request)

    async def requests(self) -> AsyncIterator[SubscribeRequest]:
        while (request := await self.up.get()) is not None:
            yield request

    async def send(self, response: SubscribeResponse) -> None:
        self.down.put_nowait(response)

    async def heard(self, what: str) -> SubscribeResponse:
        async with asyncio.timeout(2):
            while (response := await self.down.get()).WhichOneof("message") != what:
                pass
        return response


async def test_a_message_leaves_the_broker_only_when_it_was_acknowledged(harness: Harness) -> None:
    lanes = FakeLanes(b"one", b"two", b"three")
    region = Region(opening())
    serving = asyncio.create_task(harness.deliver(lanes).serve(PRINCIPAL, "eu10", region.requests(), region.send))
    bodies = [(await region.heard("delivery")).delivery.batch for _ in range(3)]
    assert bodies == [b"one", b"two", b"three"]
    assert lanes.acknowledged == []
    region.up.put_nowait(SubscribeRequest(reject=Reject(delivery_id=1, reason="FORGED: altered")))
    region.up.put_nowait(SubscribeRequest(acknowledge=Acknowledge(delivery_id=3)))
    region.up.put_nowait(None)
    await serving
    assert (lanes.rejected, lanes.acknowledged) == ([1], [3])
    assert harness.tasks.dead == [("eu10", 1, "FORGED: altered", b"one")]
    assert [(event.subject, event.reason) for event in harness.tasks.events] == [("tasks", "FORGED")]
    assert harness.tasks.grace == [("eu10", 1)]
    assert harness.tasks.contacts == []


async def test_a_lost_session_is_driven_again_and_one_in_use_is_left_alone(harness: Harness) -> None:
    lanes = FakeLanes()
    region = Region(opening(transport=Transport.TRANSPORT_MQTT), SubscribeRequest(rehydrate=Rehydrate()))
    region.up.put_nowait(None)
    await harness.deliver(lanes).serve(PRINCIPAL, "eu10", region.requests(), region.send)
    assert harness.tasks.rehydrated == [("eu10", 1)]
    assert lanes.withdrawn == []


@pytest.mark.parametrize(("unread", "rehydrated"), [(0, []), (3, [("eu10", 1)])])
async def test_a_session_that_is_not_read_any_more_is_given_up(
    harness: Harness, unread: int, rehydrated: list[tuple[str, int]]
) -> None:
    lanes = FakeLanes()
    # At first the region reads what is in it.
    lanes.sessions = [None, unread]
    region = Region(opening(transport=Transport.TRANSPORT_STREAM))
    serving = asyncio.create_task(harness.deliver(lanes).serve(PRINCIPAL, "eu10", region.requests(), region.send))
    async with asyncio.timeout(5):
        while len(lanes.withdrawn) < 2 or harness.tasks.rehydrated != rehydrated:  # noqa: ASYNC110 - fakes do not tell
            await asyncio.sleep(0)
    region.up.put_nowait(None)
    await serving
    assert lanes.withdrawn == [("eu10", 1)] * 2


async def test_reports_on_the_stream_wait_for_a_store_that_is_away(harness: Harness) -> None:
    runner = asyncio.create_task(harness.reports.run())
    harness.store.away = True
    region = Region(opening(), SubscribeRequest(reports=ReportBatch(batch_id=7, signed=reported(harness))))
    serving = asyncio.create_task(harness.deliver(FakeLanes()).serve(PRINCIPAL, "eu10", region.requests(), region.send))
    await region.heard("opened")
    await asyncio.sleep(0.01)
    harness.store.away = False
    assert (await region.heard("accepted")).accepted.batch_id == 7
    serving.cancel()
    runner.cancel()


async def test_a_stream_ends_when_it_is_too_old(harness: Harness) -> None:
    region = Region(opening())
    async with asyncio.timeout(2):
        await harness.deliver(FakeLanes(), seconds=0.01).serve(PRINCIPAL, "eu10", region.requests(), region.send)


@pytest.mark.parametrize(
    ("first", "error"),
    [
        (opening(region="us20"), Denied),
        (opening(lane=0), Invalid),
        (opening(credit=0), Invalid),
        (SubscribeRequest(acknowledge=Acknowledge(delivery_id=1)), Invalid),
    ],
)
async def test_a_stream_opens_only_for_its_own_region_and_lane(
    harness: Harness, first: SubscribeRequest, error: type[Exception]
) -> None:
    region = Region(first)
    with pytest.raises(error):
        await harness.deliver(FakeLanes()).serve(PRINCIPAL, "eu10", region.requests(), region.send)
    assert region.down.empty()
