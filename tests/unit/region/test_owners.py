"""The three answers of an L1's owner, each with its own end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from orbital.v1 import task_pb2 as pb
from orbital.v1.receipt_pb2 import Receipt, SignedReceipt

from region.adapters.journal.sqlite import SqliteJournal, open_journal
from region.domain import keys
from region.domain.names import Kind, Name
from region.domain.result import Result
from region.flow.owners import OwnedKey, Owners
from region.flow.signals import Wakeup
from region.handlers.parts import Parts, read_system
from region.ports.l1 import Provider
from tests.unit.region.fakes import Crash, FakeHost, FakeHsm, FakeTransit, crashing, fake_parts
from tests.unit.region.make import Estate, work, work_all
from tests.unit.region.proving import fake_receipts

ESTATE = Estate()
SYSTEM = Name(Kind.SYSTEM, "acme", "core")
ROOT = "root-of-acme"


class Region:
    """A region whose only System is linked by a customer's KMS."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.host, self.journal, self.kms = FakeHost(), journal, FakeHsm()
        self.parts = replace(fake_parts(self.host), providers={"kms": self.kms})

    def owners(self, parts: Parts | None = None) -> Owners:
        parts = parts or self.parts
        return Owners("eu10", self.journal, parts, fake_receipts(self.journal, parts.host), Wakeup(), 1.0)

    async def ask(self, parts: Parts | None = None) -> None:
        owners = self.owners(parts)
        await owners._read()
        await owners.ask_all()

    async def reports(self) -> list[pb.Report]:
        return [pb.Report.FromString(one) for _, one in await self.journal.unsent(0, 0, 100)]

    async def forget(self) -> None:
        await self.journal.accepted(0, 0, 10_000)

    @property
    def transit(self) -> dict[str, list[bytes]]:
        return cast("FakeTransit", self.parts.transit).keys

    async def record(self) -> keys.SystemRecord:
        found, _ = await read_system(self.parts, SYSTEM)
        assert found is not None
        return found


def link(generation: int = 1) -> pb.Task:
    wanted = ESTATE.link(generation, key=ROOT)
    wanted.resource.link.provider = "kms"
    return wanted


@pytest.fixture
async def region(tmp_path: Path) -> AsyncIterator[Region]:
    async with open_journal(tmp_path / "journal.db") as journal:
        region = Region(journal)
        done: list[Result] = await work_all(region.parts, *ESTATE.foundation(), link())
        assert {one.outcome for one in done} == {pb.OUTCOME_DONE}
        await region.ask()
        await region.forget()
        yield region


async def test_the_l2_is_wrapped_by_the_customers_key(region: Region) -> None:
    record = await region.record()
    assert {(blob.provider, blob.l1) for blob in record.blobs} == {("kms", ROOT)}
    assert list(region.kms.keys) == [ROOT]


async def test_a_refusal_revokes_at_once_once_and_with_a_receipt(region: Region) -> None:
    before = dict(region.transit)
    region.kms.refused.add(ROOT)
    for _ in range(3):
        await region.ask()
    assert region.transit == {}
    assert (await region.record()).state is keys.State.UNLINKED
    (report,) = await region.reports()
    assert (report.reason, report.withdrawn, report.key_state) == ("L1_REFUSED", True, pb.KEY_STATE_DESTROYED)
    assert (report.resource, report.generation, report.correlation_id) == ("tenants/acme/links/l", 1, "c1")
    receipt = Receipt.FromString(SignedReceipt.FromString(report.receipt).receipt)
    assert [(one.key, one.place) for one in receipt.destroyed] == [("L2", "transit"), ("L3", "memory")]
    await region.forget()
    region.kms.refused.clear()
    for _ in range(2):
        await region.ask()
    assert region.transit == before
    (report,) = [one for one in await region.reports() if one.reason == ""][:1]
    assert (report.withdrawn, report.key_state) == (False, pb.KEY_STATE_ACTIVE)


async def test_a_second_refusal_has_a_receipt_of_its_own(region: Region) -> None:
    receipts = set()
    for _ in range(2):
        region.kms.refused.add(ROOT)
        region.host.time += 10
        await region.ask()
        receipts |= {one.receipt for one in await region.reports() if one.withdrawn}
        region.kms.refused.clear()
        await region.ask()
    assert len(receipts) == 2


async def test_unreachable_is_served_on_and_says_since_when(region: Region) -> None:
    region.kms.away = True
    owners = region.owners()
    await owners._read()
    for _ in range(3):
        await owners.ask_all()
    assert list(region.transit) == [SYSTEM.transit]
    (report,) = await region.reports()
    assert (report.reason, report.outcome, report.withdrawn) == ("L1_UNREACHABLE", pb.OUTCOME_WAITING, False)
    assert "since 1970-01-12T13:46:" in report.message
    await region.forget()
    region.kms.away = False
    await owners.ask_all()
    (report,) = await region.reports()
    assert (report.reason, report.outcome) == ("", pb.OUTCOME_DONE)


async def test_what_was_unlinked_meanwhile_does_not_come_back(region: Region) -> None:
    region.kms.refused.add(ROOT)
    await region.ask()
    assert (await work(region.parts, ESTATE.unlink(2, key=ROOT))).outcome == pb.OUTCOME_DONE
    region.kms.refused.clear()
    await region.ask()
    assert region.transit == {}


async def test_what_was_killed_meanwhile_does_not_come_back(region: Region) -> None:
    region.kms.refused.add(ROOT)
    await region.ask()
    assert (await work(region.parts, ESTATE.kill(2))).outcome == pb.OUTCOME_DONE
    region.kms.refused.clear()
    await region.ask()
    assert region.transit == {}


async def test_a_link_that_the_owner_refuses_fails_and_leaves_nothing(region: Region) -> None:
    assert (await work(region.parts, ESTATE.unlink(2, key=ROOT))).outcome == pb.OUTCOME_DONE
    region.kms.refused.add(ROOT)
    assert (await work(region.parts, link(3))).reason == "L1_REFUSED"
    await region.ask()
    assert region.transit == {}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(24))
async def test_a_crash_anywhere_is_finished_by_the_next_round(region: Region, step: int, after: bool) -> None:
    region.kms.refused.add(ROOT)
    dying, _ = crashing(region.parts, step, after=after)
    with suppress(Crash, BaseExceptionGroup):
        await region.ask(replace(dying, providers=region.parts.providers))
    await region.ask()
    assert region.transit == {}
    assert len({one.receipt for one in await region.reports() if one.withdrawn}) == 1
    region.kms.refused.clear()
    dying, _ = crashing(region.parts, step, after=after)
    with suppress(Crash, BaseExceptionGroup):
        await region.ask(replace(dying, providers=region.parts.providers))
    region.host.time += 10
    await region.ask()
    assert list(region.transit) == [SYSTEM.transit]
    assert (await region.record()).state is keys.State.ACTIVE


async def test_a_provider_that_the_region_does_not_have_is_waited_for(region: Region) -> None:
    wanted = link(2)
    wanted.resource.link.provider = "elsewhere"
    assert (await work(region.parts, wanted)).reason == "L1_PROVIDER_UNKNOWN"
    assert list(region.transit) == [SYSTEM.transit]


async def test_a_rotation_of_l1_moves_to_another_provider_without_an_interruption(region: Region) -> None:
    before = dict(region.transit)
    assert (await work(region.parts, ESTATE.link(2, key="in-the-hsm"))).outcome == pb.OUTCOME_DONE
    assert region.transit == before
    region.kms.refused.add(ROOT)
    await region.ask()
    assert region.transit == before


async def test_a_question_whose_answer_changes_nothing_reads_no_record(region: Region) -> None:
    owners = region.owners()
    await owners._read()
    await owners.ask_all()
    await region.forget()
    dying, _ = crashing(region.parts, 0, after=False)
    owners._parts = replace(dying, providers=region.parts.providers)
    await owners.ask_all()
    assert await region.reports() == []


class Asked:
    """An L1 provider that keeps when it was asked, and takes its time."""

    def __init__(self, host: FakeHost, seconds: float = 0.0) -> None:
        self.host, self.seconds, self.asked = host, seconds, list[float]()
        self.then: Callable[[], None] = lambda: None

    async def ask(self, _key: str) -> None:
        self.asked.append(self.host.time)
        self.then()
        if self.seconds:
            await self.host.sleep(self.seconds)


def asking(region: Region, provider: Asked, count: int) -> Owners:
    owners = region.owners(replace(region.parts, providers={"kms": cast("Provider", provider)}))
    owners._roots = {keys.L1("kms", f"root-{number}"): OwnedKey(0.0) for number in range(count)}
    return owners


async def test_questions_are_spread_over_the_round(region: Region) -> None:
    provider, begun = Asked(region.host), region.host.time
    await asking(region, provider, 4).ask_all(2.0)
    assert [at - begun for at in provider.asked] == [0.0, 0.5, 1.0, 1.5]
    assert region.host.time == begun + 2.0


async def test_a_round_that_takes_too_long_is_followed_by_a_pause(region: Region) -> None:
    provider, begun = Asked(region.host, seconds=1.0), region.host.time
    await asking(region, provider, 3).ask_all(1.0)
    assert len(provider.asked) == 3
    assert region.host.time >= max(provider.asked) + 1.0 + 1.0
    assert region.host.time > begun + 2.0


async def test_what_is_no_longer_in_use_is_not_asked_later_in_the_round(region: Region) -> None:
    provider = Asked(region.host)
    owners = asking(region, provider, 2)
    provider.then = owners._roots.clear
    await owners.ask_all(2.0)
    assert len(provider.asked) == 1


async def test_a_clock_that_is_set_back_holds_up_no_question(region: Region) -> None:
    provider = Asked(region.host)

    def set_back() -> None:
        region.host.time -= 3600.0
        provider.then = lambda: None

    provider.then = set_back
    begun = region.host.time
    await asking(region, provider, 4).ask_all(2.0)
    assert len(provider.asked) == 4
    assert region.host.time <= begun - 3600.0 + 4.0
