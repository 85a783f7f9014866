"""Whatever the control plane signs: a task that cannot be kept is refused alone, and the lane goes on.

The members are made from the descriptors: each field of a task and of every kind of resource in it, at its extremes.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from orbital.v1 import dispatch_pb2
from orbital.v1 import resource_pb2 as rpb
from orbital.v1 import task_pb2 as pb

from region.adapters.journal.sqlite import ASIDE_KEPT, SqliteJournal, open_journal
from region.adapters.sqlite import translated
from region.flow.lane_journal import LaneJournal
from region.flow.receive import BatchReader, Receiver
from region.flow.report import MOST_BYTES, Linger, Reporter, report_apart, sendable
from region.flow.signals import LaneWakeups
from region.ports.host import real_host
from runtime.content import check_storable
from runtime.errors import Invalid, OrbitalError, Unavailable
from runtime.signatures import TASKS
from tests.unit.region.fakes import FakeHost, fake_parts
from tests.unit.region.make import Estate
from tests.unit.region.test_execute import Bench, Policy
from tests.unit.runtime.keys import Keys

LANE = 1
DEEPEST = 5
UNSIGNED = {FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_FIXED64}
TIMES = {"google.protobuf.Timestamp", "google.protobuf.Duration"}
TIMES_WRONG = (("seconds", 2**62), ("seconds", -(2**62)), ("nanos", 2_000_000_000), ("nanos", -(2**31)))
TEXTS = ("\0", "a\0b", "\x1b[2J", "\x7f", "x" * 70_000)
Change = Callable[[Message], None]


def in_it(path: tuple[str, ...], put: Callable[[Any, str], None]) -> Change:
    """Reach the field by its path, through the first item of whatever is repeated, and put something there."""

    def change(message: Any) -> None:
        for name in path[:-1]:
            field = message.DESCRIPTOR.fields_by_name[name]
            if not field.is_repeated:
                message = getattr(message, name)
                message.SetInParent()
            elif field.message_type.GetOptions().map_entry:
                message = getattr(message, name)["k"]
            else:
                message = getattr(message, name).add()
        put(message, path[-1])

    return change


def setting(value: object) -> Callable[[Any, str], None]:
    def put(message: Any, name: str) -> None:
        field = message.DESCRIPTOR.fields_by_name[name]
        if field.is_repeated:
            getattr(message, name).append(value)
        else:
            setattr(message, name, value)

    return put


def at_key(key: str, value: str) -> Callable[[Any, str], None]:
    def put(message: Any, name: str) -> None:
        getattr(message, name)[key] = value

    return put


def members(kind: Descriptor, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Change]]:
    """Everything out of range that a message of this type may have in it."""
    if len(path) > DEEPEST:
        return
    for field in kind.fields:
        here = (*path, field.name)
        inner = field.message_type
        if inner is None:
            for value in wrong(field):
                yield f"{'.'.join(here)}={str(value)[:20]!r}", in_it(here, setting(value))
        elif inner.GetOptions().map_entry:
            yield from in_a_map(inner, here)
        elif inner.full_name in TIMES:
            for part, value in TIMES_WRONG:
                yield f"{'.'.join(here)}.{part}={value}", in_it((*here, part), setting(value))
        else:
            yield from members(inner, here)


def wrong(field: FieldDescriptor) -> tuple[object, ...]:
    if field.type in UNSIGNED:
        return (2**63, 2**64 - 1)
    if field.type == FieldDescriptor.TYPE_UINT32:
        return (2**31, 2**32 - 1)
    return TEXTS if field.type == FieldDescriptor.TYPE_STRING else ()


def in_a_map(entry: Descriptor, here: tuple[str, ...]) -> Iterator[tuple[str, Change]]:
    value = entry.fields_by_name["value"]
    if value.message_type is None and value.type == FieldDescriptor.TYPE_STRING:
        yield f"{'.'.join(here)}[key]", in_it(here, at_key("a\0b", "v"))
        yield f"{'.'.join(here)}[value]", in_it(here, at_key("k", "a\0b"))


# Signed with the task and checked before it: another value there is another lane's or region's message.
OURS = {"region", "lane"}
MEMBERS = {word: change for word, change in members(pb.Task.DESCRIPTOR) if word.partition("=")[0] not in OURS}


@pytest.fixture
async def journal(tmp_path: Path) -> Any:
    async with open_journal(tmp_path / "journal.db") as opened:
        yield opened


class Lane:
    def __init__(self, journal: SqliteJournal, keys: Keys) -> None:
        self._keys = keys
        self.said: list[dispatch_pb2.SubscribeRequest] = []
        lane = LaneJournal(lane=LANE, journal=journal, signals={LANE: LaneWakeups()}, host=real_host())
        reader = BatchReader(region="eu10", lane=LANE, keys=keys.public_keys)
        self.receiver = Receiver(reader=reader, journal=lane, merge=64)

    async def take(self, *batches: list[pb.Task]) -> None:
        """Deliver these messages at once, and return when the last of them is answered."""
        for number, tasks in enumerate(batches, 1):
            content = pb.TaskBatch(region="eu10", lane=LANE, tasks=tasks).SerializeToString()
            signed = self._keys.gateway.sign(TASKS, content).SerializeToString()
            self.receiver.take(dispatch_pb2.Delivery(delivery_id=number, batch=signed))
        answered = asyncio.Event()

        async def send(request: dispatch_pb2.SubscribeRequest) -> None:
            self.said.append(request)
            if {request.acknowledge.delivery_id, request.reject.delivery_id} & {len(batches)}:
                answered.set()

        running = asyncio.ensure_future(self.receiver.run(send))
        async with asyncio.timeout(20):
            await asyncio.wait([running, asyncio.ensure_future(answered.wait())], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        running.cancel()


def hostile(word: str) -> pb.Task:
    task = Estate("bad").define_tenant()
    if word.startswith("resource."):
        part = word.split(".")[1]
        if part in {field.name for field in rpb.Resource.DESCRIPTOR.oneofs_by_name["spec"].fields}:
            task.resource.ClearField("tenant")
    MEMBERS[word](task)
    return task


def test_there_are_members_of_every_kind() -> None:
    assert len(MEMBERS) > 100
    assert {"sequence='9223372036854775808'", "resource.generation='18446744073709551615'"} <= set(MEMBERS)


async def test_each_is_refused_alone_and_its_neighbours_are_kept(journal: SqliteJournal, tmp_path: Path) -> None:
    keys = Keys.make(tmp_path)
    for number, word in enumerate(sorted(MEMBERS)):
        lane = Lane(journal, keys)
        before, after = Estate(f"b{number}").define_tenant(), Estate(f"a{number}").define_tenant()
        await lane.take([before, hostile(word), after])
        kept = {entry.task.id for entry in await journal.due(LANE, 1e12, 10_000)}
        assert {before.id, after.id} <= kept, word
        (refused,) = [each.refusal for each in lane.said if each.WhichOneof("message") == "refusal"]
        assert refused.reason.startswith("INVALID_TASK: task."), word
        assert [each.acknowledge.delivery_id for each in lane.said if each.HasField("acknowledge")] == [1]


async def test_a_message_of_nothing_else_is_a_dead_letter(journal: SqliteJournal, tmp_path: Path) -> None:
    lane = Lane(journal, Keys.make(tmp_path))
    good = Estate("good").define_tenant()
    await lane.take([hostile("sequence='9223372036854775808'")], [good])
    said = [each.WhichOneof("message") for each in lane.said]
    assert said == ["reject", "acknowledge"]
    assert [entry.task.id for entry in await journal.due(LANE, 1e12, 10)] == [good.id]


async def test_what_the_check_would_miss_is_found_by_the_journal(
    journal: SqliteJournal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("region.flow.receive.check_storable", lambda *_: None)
    lane = Lane(journal, Keys.make(tmp_path))
    good = [Estate(f"g{number}").define_tenant() for number in range(9)]
    await lane.take([*good[:4], hostile("sequence='9223372036854775808'"), *good[4:]])
    assert {entry.task.id for entry in await journal.due(LANE, 1e12, 100)} == {each.id for each in good}


@pytest.mark.parametrize(
    "name", [*sorted(name for name in dir(sqlite3) if name.endswith("Error") and name != "Error"), "OverflowError"]
)
def test_every_error_of_the_database_is_one_of_ours(name: str) -> None:
    kind = getattr(sqlite3, name, OverflowError)
    with pytest.raises(OrbitalError) as raised, translated():
        raise kind("x")
    assert isinstance(raised.value, Invalid | Unavailable)


def extremes(kind: Descriptor, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Change]]:
    """What is within range and senseless: numbers, enumerations and names that no kind of task has."""
    if len(path) > DEEPEST:
        return
    for field in kind.fields:
        here, word = (*path, field.name), ".".join((*path, field.name))
        if field.message_type is not None:
            if not field.message_type.GetOptions().map_entry and field.message_type.full_name not in TIMES:
                yield from extremes(field.message_type, here)
        elif field.type in (FieldDescriptor.TYPE_ENUM, FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_UINT32):
            yield f"{word}=max", in_it(here, setting(2**31 - 1))
        elif field.type in UNSIGNED or field.type == FieldDescriptor.TYPE_INT64:
            yield f"{word}=max", in_it(here, setting(2**63 - 1))
        elif field.type == FieldDescriptor.TYPE_STRING:
            yield f"{word}=odd", in_it(here, setting("tenants/../😀"))


async def test_what_is_senseless_fails_alone_and_the_lane_goes_on(journal: SqliteJournal) -> None:
    bench = Bench(journal, fake_parts(FakeHost()), Policy())
    running = [asyncio.ensure_future(executor.run()) for executor in bench.executors]
    try:
        for word, change in extremes(pb.Task.DESCRIPTOR):
            if word.partition("=")[0] in {"region", "lane", "id"}:
                continue
            task = Estate("odd").define_tenant()
            if word.startswith("resource.") and word.split(".")[1] in SPECS:
                task.resource.ClearField("tenant")
            change(task)
            check_storable(task)
            await bench.receive(task)
        good = Estate("good").define_tenant()
        await bench.receive(good)
        assert (await bench.outcomes(good)) == ["DONE"]
        assert not any(each.done() for each in running)
    finally:
        for each in running:
            each.cancel()


SPECS = {field.name for field in rpb.Resource.DESCRIPTOR.oneofs_by_name["spec"].fields}


async def test_a_row_that_cannot_be_read_stops_nothing_behind_it(journal: SqliteJournal) -> None:
    tasks = [Estate(f"t{number}").define_tenant() for number in range(3)]
    await journal.receive(LANE, tasks, 1.0)
    await journal._database.call(
        lambda: journal._database.sql.execute("UPDATE tasks SET body = x'ff' WHERE id = ?", (tasks[1].id,))
    )
    assert [entry.task.id for entry in await journal.due(LANE, 2.0, 10)] == [tasks[0].id, tasks[2].id]
    assert (await journal.counts(LANE)).pending == 2
    assert await aside(journal) == [("task", b"\xff", "UNREADABLE")]


async def aside(journal: SqliteJournal) -> list[tuple[str, bytes, str]]:
    query = "SELECT kind, body, reason FROM aside ORDER BY id"
    return await journal._database.call(lambda: journal._database.sql.execute(query).fetchall())


def said(number: int) -> bytes:
    return pb.Report(task_id=f"{number:032x}", outcome=pb.OUTCOME_DONE).SerializeToString()


@pytest.mark.parametrize("bad", [b"\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xfe"])
async def test_a_report_that_cannot_be_read_is_set_aside(journal: SqliteJournal, tmp_path: Path, bad: bytes) -> None:
    await journal.tell(LANE, [said(1), bad, said(2)])
    sent: list[str] = []

    async def send(request: dispatch_pb2.SubscribeRequest) -> None:
        found = pb.Reports.FromString(request.reports.signed.content).reports
        sent.extend(each.task_id for each in found)

    reporter = Reporter("eu10", LANE, journal, Keys.make(tmp_path).region, LaneWakeups(), Linger(0.0, 0.0))
    running = asyncio.ensure_future(reporter.run(send))
    async with asyncio.timeout(5):
        while len(sent) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert not running.done()
    running.cancel()
    assert await aside(journal) == [("report", bad, "UNREADABLE")]


class Gateway:
    """Takes no report of these tasks, and says which field is wrong."""

    def __init__(self, *refused: str) -> None:
        self.refused = set(refused)
        self.taken: list[str] = []

    async def report(self, lane: int, signed: Any) -> list[Any]:
        reports = pb.Reports.FromString(signed.content).reports
        for index, each in enumerate(reports):
            if each.task_id in self.refused:
                raise Invalid("wrong", field=f"reports[{index}].observed_generation")
        self.taken.extend(each.task_id for each in reports)
        return []


@pytest.mark.parametrize("poisoned", [[0], [3], [0, 8], list(range(9))])
async def test_a_report_that_the_gateway_cannot_take_is_set_aside(
    journal: SqliteJournal, tmp_path: Path, poisoned: list[int]
) -> None:
    await journal.tell(LANE, [said(number) for number in range(9)])
    gateway = Gateway(*(f"{number:032x}" for number in poisoned))
    await report_apart("eu10", LANE, journal, Keys.make(tmp_path).region, gateway)  # type: ignore[arg-type]
    assert gateway.taken == [f"{number:032x}" for number in range(9) if number not in poisoned]
    assert await journal.unsent(LANE, 0, 100) == []
    assert [reason for _, _, reason in await aside(journal)] == ["INVALID: wrong"] * len(poisoned)


async def test_a_call_that_is_refused_as_a_whole_sets_nothing_aside(journal: SqliteJournal, tmp_path: Path) -> None:
    await journal.tell(LANE, [said(1)])

    class Refusing(Gateway):
        async def report(self, lane: int, signed: Any) -> list[Any]:
            raise Invalid("region is empty", field="region")

    with pytest.raises(Invalid):
        await report_apart("eu10", LANE, journal, Keys.make(tmp_path).region, Refusing())  # type: ignore[arg-type]
    assert len(await journal.unsent(LANE, 0, 100)) == 1


async def test_reports_are_batched_by_bytes_and_what_is_set_aside_is_bounded(journal: SqliteJournal) -> None:
    large = pb.Report(task_id="a", receipt=bytes(MOST_BYTES // 3)).SerializeToString()
    taken = await sendable(LANE, journal, [(number, large) for number in range(10)])
    assert 1 <= len(taken) < 4
    for start in range(0, ASIDE_KEPT + 200, 100):
        await journal.tell(LANE, [b"\xff"] * 100)
        await journal.set_aside([number for number, _ in await journal.unsent(LANE, 0, 200)], f"r{start}", 1.0)
    assert len(await aside(journal)) == ASIDE_KEPT
