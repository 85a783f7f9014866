"""The way to the regions: one region's fault is its own, and lane 0 needs no broker."""

import asyncio
import itertools
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from orbital.v1.dispatch_pb2 import Acknowledge, Refusal, Reject, ReportBatch, SubscribeRequest, SubscribeResponse
from orbital.v1.flag_pb2 import HEALTH_STATUS_DEGRADED, HEALTH_STATUS_OUT_OF_SYNC

from gateway.flow import stream
from gateway.flow.broker import BrokerWatch, LaneWatch
from gateway.flow.direct import DirectPath, DirectPublisher, OpenStreams
from gateway.flow.dispatch import Dispatch
from gateway.flow.flags import AllFlags
from gateway.flow.pack import MOST_BYTES, pack
from gateway.flow.send import Sender
from gateway.ports.lanes import QUEUE_GONE, BrokerFault, LaneMessage
from gateway.ports.store import Claimed
from runtime.errors import Denied, Unavailable
from tests.unit.gateway.fakes import AWAY, FakeFaults, FakeLanes, FakePublisher
from tests.unit.gateway.test_flow import PRINCIPAL, Harness, Region, claimed, harness, opening, reported

__all__ = ["harness"]

WRONG = BrokerFault("QUEUE_MISCONFIGURED", "orbital.lane.1.eu10 has other arguments", delivered=True)
STOPPED = BrokerFault("QUEUE_REFUSED", "the broker refuses orbital.lane.1.eu10")


@pytest.mark.parametrize("fault", [WRONG, STOPPED])
async def test_one_regions_queue_stops_no_other(harness: Harness, fault: BrokerFault) -> None:
    harness.tasks.pending = [claimed(number, region) for number, region in enumerate(["eu10", "us20", "ap30"])]
    harness.publisher.broker_faults = {"eu10": fault}
    assert not await harness.dispatch.step()
    assert harness.tasks.faults == {"eu10": fault}
    published = {claimed(1).identity, claimed(2).identity} | ({claimed(0).identity} if fault.delivered else set())
    assert set(harness.tasks.marks["published"]) == published
    assert [task.identity for task in harness.tasks.pending] == ([] if fault.delivered else [claimed(0).identity])
    harness.publisher.broker_faults = {}
    harness.tasks.pending = [claimed(0)]
    await harness.dispatch.step()
    assert harness.tasks.faults == {}


async def test_an_absent_broker_is_no_lanes_fault(harness: Harness) -> None:
    harness.tasks.pending, harness.publisher.away = [claimed(0), claimed(1, "us20")], True
    with pytest.raises(Unavailable):
        await harness.dispatch.step()
    assert harness.tasks.faults == {}


def broken(number: int, body: bytes) -> Claimed:
    return replace(claimed(number), body=body)


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", bytes(3), b"\x0a\x01\xff", bytes(MOST_BYTES)])
async def test_a_task_that_cannot_be_packed_stays_behind_alone(harness: Harness, body: bytes) -> None:
    harness.tasks.pending = [claimed(0), broken(1, body), claimed(2, "us20")]
    await harness.dispatch.step()
    assert set(harness.tasks.marks["published"]) == {claimed(0).identity, claimed(2).identity}
    assert harness.tasks.marks["held"] == [claimed(1).identity]


async def test_messages_are_bounded_by_bytes(harness: Harness) -> None:
    large = claimed(0).body + b"\xfa\x7f" + b"\x80\x80\x40" + bytes(2**20)
    tasks = [replace(claimed(number), identity=uuid.UUID(int=number + 1), body=large) for number in range(5)]
    load = pack(tasks, 128, harness.keys.gateway)
    assert [task for packed in load.messages for task in packed.tasks] == tasks
    assert all(len(packed.lane_message.body) <= MOST_BYTES + 4096 for packed in load.messages)
    assert load.broken == []


def immediate(harness: Harness, streams: OpenStreams) -> Dispatch:
    async def call() -> None:
        """There is no other process."""

    return Dispatch(
        lane=0,
        store=harness.tasks,
        policy=harness.policy,
        sender=Sender(publisher=DirectPublisher(harness.publisher, streams), signer=harness.keys.gateway, most=2),
        claim=10,
        direct=DirectPath(streams.regions, call),
    )


async def take(_: bytes) -> bool:
    return True


async def never(_: bytes) -> bool:
    await asyncio.Event().wait()
    raise AssertionError


async def test_lane_zero_goes_by_the_open_stream_where_the_broker_does_not_take_it(harness: Harness) -> None:
    harness.tasks.pending = [replace(claimed(number, region), lane=0) for number, region in enumerate(["eu10", "us20"])]
    harness.publisher.away = True
    with harness.streams.offered("eu10", take):
        assert not await immediate(harness, harness.streams).step()
    assert harness.tasks.marks["published"] == [claimed(0).identity]
    assert harness.tasks.marks["stuck"] == [claimed(1).identity]
    # What has no stream here is tried again by itself, here and by whoever has one.
    assert harness.tasks.faults == {"us20": AWAY}


async def test_a_region_that_does_not_acknowledge_keeps_nobody_waiting_twice(harness: Harness) -> None:
    lane_messages = [LaneMessage("eu10", 0, b"x"), LaneMessage("us20", 0, b"x")]
    harness.publisher.away = True
    publisher = DirectPublisher(harness.publisher, harness.streams)
    with harness.streams.offered("eu10", never), harness.streams.offered("us20", take):
        began = time.monotonic()
        for _ in range(5):
            fates = await publisher.publish(lane_messages)
            assert [fate is not None and fate.delivered for fate in fates] == [False, True]
        assert time.monotonic() - began < 1.0
        assert harness.streams.regions() == ["us20"]
    with harness.streams.offered("eu10", take):
        assert harness.streams.regions() == ["eu10"]


async def test_other_lanes_go_by_the_broker_alone(harness: Harness) -> None:
    harness.publisher.away = True
    with harness.streams.offered("eu10", take):
        (fate,) = await DirectPublisher(harness.publisher, harness.streams).publish([LaneMessage("eu10", 1, b"x")])
    assert fate == AWAY


class Lanes(FakeLanes):
    """Lane 0 at the broker, which is lost as often as it is told to be."""

    def __init__(self, *messages: bytes, losses: list[str]) -> None:
        super().__init__(*messages)
        self.losses = losses

    async def messages(self):  # type: ignore[no-untyped-def]
        async for message in self._some():
            yield message

    async def _some(self):  # type: ignore[no-untyped-def]
        if self.losses:
            raise Unavailable("lost", reason=self.losses.pop(0))
        async for message in super().messages():
            yield message


async def serve(harness: Harness, lanes: FakeLanes, region: Region) -> "asyncio.Task[None]":
    served = harness.deliver(lanes).serve(PRINCIPAL, "eu10", region.requests(), region.send)
    return asyncio.create_task(served)


@pytest.mark.parametrize("reasons", [["BROKER_UNAVAILABLE"], [QUEUE_GONE], [QUEUE_GONE, "BROKER_UNAVAILABLE"]])
async def test_a_stream_outlives_the_reader_of_its_queue(harness: Harness, reasons: list[str]) -> None:
    lanes = Lanes(b"one", losses=list(reasons))
    region = Region(opening())
    serving = await serve(harness, lanes, region)
    assert (await region.heard("delivery")).delivery.batch == b"one"
    assert lanes.opened == len(reasons) + 1
    assert lanes.restored == [("eu10", 1)] * reasons.count(QUEUE_GONE)
    region.up.put_nowait(SubscribeRequest(acknowledge=Acknowledge(delivery_id=1)))
    region.up.put_nowait(None)
    await serving
    assert lanes.acknowledged == [1]


async def test_a_queue_with_other_arguments_is_flagged_by_its_reader(harness: Harness) -> None:
    lanes = FakeLanes(b"one")
    lanes.fault = WRONG
    region = Region(opening())
    serving = await serve(harness, lanes, region)
    await region.heard("delivery")
    assert harness.faults.kept == {("eu10", 1): WRONG}
    serving.cancel()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_deliveries_of_both_ways_are_acknowledged_each_to_its_own(
    harness: Harness, order: tuple[int, ...]
) -> None:
    """An acknowledgement covers what was sent before, and nothing that was sent after it."""
    lanes = FakeLanes(b"broker 1", b"broker 2")
    region = Region(opening(lane=0))
    deliver = harness.deliver(lanes, lane=0)
    serving = asyncio.create_task(deliver.serve(PRINCIPAL, "eu10", region.requests(), region.send))
    heard = [(await region.heard("delivery")).delivery for _ in range(2)]
    direct = asyncio.create_task(harness.streams.send(LaneMessage("eu10", 0, b"direct")))
    heard.append((await region.heard("delivery")).delivery)
    assert [each.delivery_id for each in heard] == [1, 2, 3]
    for index in order:
        region.up.put_nowait(SubscribeRequest(acknowledge=Acknowledge(delivery_id=heard[index].delivery_id)))
    assert await direct
    region.up.put_nowait(None)
    await serving
    assert lanes.acknowledged[-1] == 2
    assert lanes.acknowledged == sorted(lanes.acknowledged)


async def test_what_went_without_the_broker_is_not_delivered_when_the_stream_ends(harness: Harness) -> None:
    region = Region(opening(lane=0))
    deliver = harness.deliver(FakeLanes(), lane=0)
    serving = asyncio.create_task(deliver.serve(PRINCIPAL, "eu10", region.requests(), region.send))
    await region.heard("opened")
    direct = asyncio.create_task(harness.streams.send(LaneMessage("eu10", 0, b"direct")))
    await region.heard("delivery")
    region.up.put_nowait(None)
    await serving
    assert not await direct
    assert harness.streams.regions() == []


async def test_a_revocation_ends_a_stream_as_such_on_every_python(harness: Harness) -> None:
    deliver = harness.deliver(FakeLanes())

    async def ended(region: str) -> None:
        raise Denied(f"{region} is revoked", reason="REGION_REVOKED")

    deliver.ended = ended
    region = Region(opening())
    with pytest.raises(Denied) as raised:
        await deliver.serve(PRINCIPAL, "eu10", region.requests(), region.send)
    assert raised.value.reason == "REGION_REVOKED"


async def test_a_region_that_reads_nothing_loses_its_stream(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "WRITE_SECONDS", 0.05)

    async def stuck(_: SubscribeResponse) -> None:
        await asyncio.Event().wait()

    with pytest.raises(Unavailable) as raised:
        async with asyncio.timeout(2):
            await harness.deliver(FakeLanes()).serve(PRINCIPAL, "eu10", Region(opening()).requests(), stuck)
    assert raised.value.reason == "STREAM_STUCK"


async def test_reports_without_end_are_stored_a_few_at_once(harness: Harness) -> None:
    signed = reported(harness)
    batches = [SubscribeRequest(reports=ReportBatch(batch_id=number, signed=signed)) for number in range(500)]
    region = Region(opening(), *batches)
    harness.store.away = True
    runner = asyncio.create_task(harness.reports.run())
    serving = await serve(harness, FakeLanes(), region)
    await region.heard("opened")
    await asyncio.sleep(0.1)
    assert len(asyncio.all_tasks()) < 40
    assert region.up.qsize() >= 500 - stream.MOST_REPORTS - 1
    harness.store.away = False
    for _ in range(500):
        await region.heard("accepted")
    serving.cancel()
    runner.cancel()


@pytest.mark.parametrize("what", ["refusal", "reject"])
async def test_refusals_without_end_are_kept_at_a_pace(harness: Harness, what: str) -> None:
    count = stream.REFUSALS_AT_ONCE + 200
    reason = "FORGED: " + "x" * 100_000
    lanes = FakeLanes(*([b"body"] * count))
    region = Region(opening())
    serving = await serve(harness, lanes, region)
    for number in range(count):
        if what == "reject":
            await region.heard("delivery")
            region.up.put_nowait(SubscribeRequest(reject=Reject(delivery_id=number + 1, reason=reason)))
        else:
            region.up.put_nowait(SubscribeRequest(refusal=Refusal(reason=reason, body=b"body")))
    await asyncio.sleep(0.3)
    assert stream.REFUSALS_AT_ONCE <= len(harness.tasks.dead) <= stream.REFUSALS_AT_ONCE + 30
    assert all(len(reason) <= 1000 for _, _, reason, _ in harness.tasks.dead)
    serving.cancel()


async def test_flags_name_the_queue_and_the_broker() -> None:
    faults = FakeFaults()
    flags = AllFlags(NoFlags(), faults)  # type: ignore[arg-type]
    assert await flags.flags("") == {"eu10": []}
    faults.kept = {("eu10", 1): STOPPED, ("eu10", 2): WRONG, ("gone", 1): WRONG}
    (flag,) = (await flags.flags(""))["eu10"]
    assert (flag.component, flag.reason, flag.status) == ("broker", STOPPED.reason, HEALTH_STATUS_OUT_OF_SYNC)
    assert STOPPED.message in flag.message
    assert [each.name for each in flag.evidence] == ["lane 1", "lane 2"]
    faults.kept = {("eu10", 2): WRONG}
    assert (await flags.flags("eu10"))["eu10"][0].status == HEALTH_STATUS_DEGRADED
    faults.said = [AWAY]
    assert [(each.component, each.reason) for each in (await flags.flags(""))[""]] == [("broker", AWAY.reason)]


class NoFlags:
    async def flags(self, region: str) -> dict[str, list[object]]:
        return {"eu10": []}


async def test_the_broker_is_flagged_while_it_takes_nothing_and_no_longer() -> None:
    faults, answers = FakeFaults(), [None, AWAY, AWAY, None, None]

    class Probe:
        async def probe(self) -> BrokerFault | None:
            if not answers:
                raise asyncio.CancelledError
            return answers.pop(0)

    watch = BrokerWatch(Probe(), faults)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.flow.broker.PROBE_SECONDS", 0.0)
        with pytest.raises(asyncio.CancelledError):
            await watch.run()
    assert faults.said == [None, AWAY, AWAY, None]


async def test_a_lane_whose_fault_is_gone_is_cleared_without_a_task() -> None:
    faults, publisher, woken = FakeFaults(), FakePublisher(), []
    faults.kept = {("eu10", 1): STOPPED, ("us20", 1): STOPPED, ("us20", 2): WRONG}
    publisher.broker_faults = {"us20": WRONG}
    watch = LaneWatch(publisher, faults, 1, lambda: woken.append(1))
    await watch.step()
    assert faults.kept == {("us20", 1): WRONG, ("us20", 2): WRONG}
    assert woken
    faults.due = None
    assert await watch.step() > 1


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(stream, "REHYDRATE_SECONDS", 0.01)
