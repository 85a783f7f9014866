"""Copies of a region's stores are restored, each alone and together, at any moment: what went back is always named."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orbital.v1 import dispatch_pb2 as pb

from region.domain.mark import StateMark, StateStore, behind, newest, recovered, went_back
from region.flow.marks import ISOLATED_AFTER, WENT_BACK, StateMarks
from region.ports.marks import MarkReader
from runtime.errors import Unavailable
from tests.unit.region.fakes import FakeHost, FakeStore

EPOCH = st.sampled_from(["a", "b"])
MARKS = st.one_of(st.none(), st.builds(StateMark, st.integers(1, 3), EPOCH, st.integers(0, 4)))


@given(MARKS, MARKS)
def test_of_two_marks_that_differ_one_at_least_is_behind(one: StateMark | None, other: StateMark | None) -> None:
    assert (behind(one, other) or behind(other, one)) == (one != other)


@given(MARKS, MARKS, MARKS)
def test_nothing_went_back_only_where_nobody_knows_more(
    vault: StateMark | None, journal: StateMark | None, known: StateMark | None
) -> None:
    found = went_back(vault, journal, known)
    if not found:
        assert not behind(vault, journal)
        assert not behind(vault, known)
        assert not behind(journal, known)
        assert journal is None or vault in (journal, journal.next()) or vault is None
    assert StateStore.CONTROL_PLANE not in found


@given(st.lists(MARKS, max_size=4))
def test_what_comes_after_a_recovery_is_behind_nothing(marks: list[StateMark | None]) -> None:
    after = recovered("fresh", *marks)
    assert not any(behind(after, mark) for mark in marks)
    assert newest(*marks, after) == after


class Journal:
    """A journal's marks, and what it would forget."""

    def __init__(self) -> None:
        self.own: StateMark | None = None
        self.said: StateMark | None = None
        self.over = 0

    async def mark(self) -> StateMark | None:
        await asyncio.sleep(0)
        return self.own

    async def keep_mark(self, mark: StateMark) -> None:
        self.own = mark

    async def confirmed(self) -> StateMark | None:
        return self.said

    async def keep_confirmed(self, mark: StateMark) -> None:
        self.said = mark

    async def start_over(self) -> None:
        self.over += 1


class Region:
    """One process with its two stores, and what the control plane knows of it."""

    def __init__(self) -> None:
        self.host = FakeHost()
        self.store, self.journal = FakeStore(), Journal()
        self.known: StateMark | None = None
        self.drops = 0
        self.marks = self.started()

    def started(self, others: Mapping[int, MarkReader] | None = None) -> StateMarks:
        return StateMarks(0, self.store, self.journal, self.host.host(), others or {}, self._drop)

    def _drop(self) -> None:
        self.drops += 1

    async def work(self, *, told: bool = True) -> None:
        """A batch of effects, which is reported or not."""
        async with self.marks.advance() as mark:
            if mark is not None:
                self.journal.own = mark
        if told and (said := self.marks.told()):
            self.known = StateMark(said.term, said.epoch, said.sequence)

    async def beat(self, *over: str) -> None:
        self.marks.heard(pb_marks(0, self.known), over)
        await self.marks.step()

    def copy(self) -> tuple[Any, Any]:
        return copy.deepcopy(self.store.records), copy.deepcopy((self.journal.own, self.journal.said))

    def restore(self, kept: tuple[Any, Any], places: set[StateStore]) -> None:
        records, journal = copy.deepcopy(kept)
        if StateStore.OPENBAO in places:
            self.store.records.clear()
            self.store.records.update(records)
        if StateStore.JOURNAL in places:
            self.journal.own, self.journal.said = journal


def pb_marks(process: int, *marks: StateMark | None) -> list[pb.StateMark]:
    return [pb.StateMark(journal=process, **asdict(mark)) for mark in marks if mark]


PLACES = [{StateStore.OPENBAO}, {StateStore.JOURNAL}, {StateStore.OPENBAO, StateStore.JOURNAL}]


@settings(deadline=None, max_examples=150)
@given(
    before=st.integers(0, 3),
    after=st.integers(0, 3),
    reported=st.booleans(),
    places=st.sampled_from(PLACES),
    restarted=st.booleans(),
)
def test_each_store_that_lost_an_effect_is_named(
    before: int, after: int, places: set[StateStore], *, reported: bool, restarted: bool
) -> None:
    async def scenario() -> None:
        region = Region()
        await region.beat()
        for _ in range(before):
            await region.work()
        kept = region.copy()
        for _ in range(after):
            await region.work(told=reported)
        region.restore(kept, places)
        if restarted:
            region.marks = region.started()
        await region.beat()
        if not after:
            expected: set[StateStore] = set()
        elif len(places) == 2 and not reported:
            # A process that goes on knows by itself; one that starts anew has nobody who could know more.
            expected = set() if restarted else {StateStore.OPENBAO}
        elif places == {StateStore.JOURNAL} and not restarted and not reported:
            # It goes on by what it remembers, and writes that again with the next effect.
            expected = set()
        elif places == {StateStore.JOURNAL} and not restarted:
            expected = set()
        elif places == {StateStore.JOURNAL} and after == 1 and not reported:
            # What a crash between the two writes leaves, too.
            expected = set()
        else:
            expected = places if restarted else places - {StateStore.JOURNAL}
        assert set(region.marks.places) == expected
        assert region.marks.recovering == bool(expected)

    asyncio.run(scenario())


async def test_a_region_that_went_back_serves_nothing_until_it_was_driven_again() -> None:
    region = Region()
    await region.beat()
    await region.work()
    kept = region.copy()
    await region.work()
    region.restore(kept, {StateStore.OPENBAO, StateStore.JOURNAL})
    region.marks = region.started()
    await region.beat()
    with pytest.raises(Unavailable) as refused:
        region.marks.refuse()
    assert refused.value.reason == WENT_BACK
    assert "openbao" in refused.value.message
    assert (region.journal.over, region.drops) == (1, 1)
    recovery = region.marks.recovery
    assert recovery is not None
    assert sorted(recovery.stores) == ["journal", "openbao"]
    # What is done meanwhile moves no mark: a restart finds the same.
    await region.work()
    assert region.journal.own == kept[1][0]
    # Somebody else's recovery is not ours.
    await region.beat("other")
    assert region.marks.recovering
    await region.beat(recovery.id)
    region.marks.refuse()
    await region.marks.prove()
    assert region.journal.own is not None
    assert not behind(region.journal.own, region.known)
    assert region.marks.seen()[0] == ["journal", "openbao"]
    await region.work()
    region.marks = region.started()
    await region.beat()
    assert not region.marks.recovering
    # The same copy once more is older still.
    region.restore(kept, {StateStore.OPENBAO, StateStore.JOURNAL})
    region.marks = region.started()
    await region.beat()
    assert region.marks.recovering


async def test_an_openbao_that_goes_back_under_a_process_serves_no_load_after_it() -> None:
    region = Region()
    await region.beat()
    kept = region.copy()
    await region.work()
    await region.marks.prove()
    region.restore(kept, {StateStore.OPENBAO})
    with pytest.raises(Unavailable, match="went back"):
        await region.marks.prove()


async def test_who_serves_goes_by_the_marks_of_the_other_process_too() -> None:
    region = Region()
    other = Journal()
    region.marks = region.started({1: other})
    await region.beat()
    other.own = StateMark(1, "x", 5)
    region.store.records["marks/1"] = ({"term": 1, "epoch": "x", "sequence": 5}, 1)
    await region.marks.prove()
    region.store.records["marks/1"] = ({"term": 1, "epoch": "x", "sequence": 4}, 1)
    with pytest.raises(Unavailable, match="went back"):
        await region.marks.prove()
    # The other process recovers by itself.
    assert region.marks.recovery is None
    region.store.records["marks/1"] = ({"term": 2, "epoch": "y", "sequence": 6}, 2)
    await region.marks.prove()


async def test_the_control_plane_knew_more_before() -> None:
    region = Region()
    await region.beat()
    await region.work()
    await region.beat()
    before = region.known
    await region.work()
    await region.beat()
    region.known = before
    await region.beat()
    assert region.marks.seen()[0] == ["control_plane"]
    assert not region.marks.recovering
    region.marks.refuse()


async def test_a_region_that_starts_alone_serves_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("region.flow.marks.PATIENCE", 0.01)
    region = Region()
    with pytest.raises(Unavailable) as refused:
        await region.marks.prove()
    assert refused.value.reason == "STATE_UNPROVEN"
    region.marks._began -= ISOLATED_AFTER
    await region.marks.prove()
