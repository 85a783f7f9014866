"""A receipt for every effect that destroys, one a task, and none for the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from orbital.v1 import task_pb2 as pb
from orbital.v1.receipt_pb2 import Receipt, SignedReceipt

from region.adapters.journal.sqlite import open_journal
from region.adapters.openbao.audit import AuditFile
from region.ports.host import real_host
from runtime.errors import Unavailable
from runtime.signing import key_id
from tests.unit.region.fakes import fake_parts
from tests.unit.region.make import Estate
from tests.unit.region.test_execute import Bench, Policy

ESTATE = Estate()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        journal = await stack.enter_async_context(open_journal(tmp_path / "journal.db"))
        bench = Bench(journal, replace(fake_parts(), host=real_host()), Policy())
        running = [asyncio.ensure_future(executor.run()) for executor in bench.executors]
        yield bench
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def proved(bench: Bench, task: pb.Task) -> Receipt:
    """The receipt of a task once it is done, checked against the region's key."""
    found = await bench.reported(
        lambda reports: [one for one in reports if one.task_id == task.id and one.outcome == pb.OUTCOME_DONE]
    )
    report = next(one for one in reversed(found) if one.task_id == task.id)
    signed = SignedReceipt.FromString(report.receipt)
    public = bench.signer.key.public_key()
    assert signed.key_id == key_id(public)
    public.verify(signed.signature, signed.receipt, ec.ECDSA(hashes.SHA256()))
    return Receipt.FromString(signed.receipt)


def lines(receipt: Receipt) -> list[tuple[str, str, str, int]]:
    return [(one.key, one.resource.rpartition("/")[2], one.place, one.below_version) for one in receipt.destroyed]


async def linked(bench: Bench) -> None:
    tasks = [*ESTATE.foundation(), ESTATE.link()]
    await bench.receive(*tasks)
    async with asyncio.timeout(20):
        while set(await bench.outcomes(*tasks)) != {"DONE"}:  # noqa: ASYNC110  (the journal tells nobody)
            await asyncio.sleep(0.01)


async def test_a_revocation_is_proved_and_a_definition_is_not(bench: Bench) -> None:
    await linked(bench)
    assert not any(report.receipt for report in await bench.reports())
    await bench.receive(ESTATE.unlink(2))
    receipt = await proved(bench, ESTATE.unlink(2))
    assert lines(receipt) == [("L2", "core", "transit", 0), ("L3", "core", "memory", 0)]
    assert (receipt.region, receipt.tenant, receipt.resource) == ("eu10", "acme", "tenants/acme/links/l")
    assert (receipt.generation, receipt.correlation_id, receipt.decision_id) == (2, "c1", "d1")
    assert receipt.received_at.ToNanoseconds() <= receipt.done_at.ToNanoseconds()
    assert receipt.audit.records == 3
    assert len(receipt.audit.attempt) == 24


@pytest.mark.parametrize(
    ("task", "gone"),
    [
        (ESTATE.kill(2), [("L2", "core", "transit", 0), ("L3", "core", "memory", 0)]),
        (ESTATE.emergency(2, 2), [("L2", "core", "transit", 2), ("L3", "core", "memory", 0)]),
        (ESTATE.emergency(2, 2, "pay"), [("L3", "pay", "records", 2), ("L3", "pay", "memory", 2)]),
    ],
)
async def test_what_was_destroyed_is_named(bench: Bench, task: pb.Task, gone: list[tuple[str, str, str, int]]) -> None:
    await linked(bench)
    await bench.receive(task)
    assert lines(await proved(bench, task)) == gone


async def test_purges_are_proved(bench: Bench) -> None:
    await linked(bench)
    await bench.receive(ESTATE.unlink(2))
    await proved(bench, ESTATE.unlink(2))
    for task, gone in (
        (ESTATE.purge(2, "pay"), [("L3", "pay", "records", 0), ("L3", "pay", "memory", 0)]),
        (ESTATE.purge(2), [("L2", "core", "transit", 0), ("L2", "core", "records", 0)]),
    ):
        await bench.receive(task)
        assert lines(await proved(bench, task)) == gone


async def test_a_region_that_held_nothing_says_so(bench: Bench) -> None:
    await bench.receive(ESTATE.unlink(2))
    assert lines(await proved(bench, ESTATE.unlink(2))) == []


async def test_a_rotation_that_took_over_an_emergency_is_proved_too(bench: Bench) -> None:
    await linked(bench)
    both = ESTATE.system(3, 3)
    both.resource.system.key_compromised_below = 2
    await bench.receive(both)
    assert lines(await proved(bench, both)) == [("L2", "core", "transit", 2), ("L3", "core", "memory", 0)]


async def test_a_redelivery_brings_the_same_receipt(bench: Bench) -> None:
    await linked(bench)
    await bench.receive(ESTATE.unlink(2))
    await proved(bench, ESTATE.unlink(2))
    for _ in range(3):
        await bench.receive(ESTATE.unlink(2))
    # Even a journal that forgot the task keeps its receipt.
    await bench.journal.prune(real_host().now() + 1)
    await bench.receive(ESTATE.unlink(2))
    found = await bench.reported(lambda all_: len([one for one in all_ if one.task_id == ESTATE.unlink(2).id]) > 4)
    receipts = {one.receipt for one in found if one.task_id == ESTATE.unlink(2).id}
    assert len(receipts) == 1
    assert bench.signer.signed == 1


async def test_what_cannot_be_signed_is_not_reported_done(bench: Bench) -> None:
    await linked(bench)
    bench.signer.away = True
    await bench.receive(ESTATE.unlink(2))
    assert await bench.outcomes(ESTATE.unlink(2)) == ["WAITING"]
    bench.signer.away = False
    await proved(bench, ESTATE.unlink(2))


async def test_the_records_of_an_attempt_are_those_that_name_it(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text('{"before":{"x-orbital-attempt":["a1"]}}\n')
    audit = AuditFile(path)
    mark = await audit.mark()
    assert mark is not None
    with path.open("a") as log:
        log.write('{"headers":{"x-orbital-attempt":["a1"]}}\n{"headers":{"x-orbital-attempt":["a2"]}}\n')
    found = await audit.records(mark, "a1")
    assert found.records == 1
    assert found != await audit.records(mark, "a2")
    path.write_text("")
    with pytest.raises(Unavailable) as rotated:
        await audit.records(mark, "a1")
    assert rotated.value.reason == "AUDIT_ROTATED"
    path.unlink()
    with pytest.raises(Unavailable):
        await audit.mark()
    assert await AuditFile(None).mark() is None
