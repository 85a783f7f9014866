"""A clock that is set, or was wrong, makes nothing wait for hours and keeps no key in memory for longer."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from region.adapters.journal.sqlite import open_journal
from region.domain.keys import LONGEST_CHANGE, State, SystemRecord
from region.domain.names import Kind, Name
from region.domain.retry import MOST
from region.flow.keyring import Keyring, ServiceKeys
from region.handlers.permit import WINDOW
from tests.unit.region.fakes import FakeHost
from tests.unit.region.make import Estate

NOW = 1_800_000_000.0
HOURS = (-48.0, -2.0, 2.0, 48.0)
SERVICE = Name(Kind.SERVICE, "acme", "core", "pay")
SECONDS = 5.0


def plan(journal: Path, at: float) -> None:
    """Every task is to be tried again then."""
    with closing(sqlite3.connect(journal)) as other:
        other.execute("UPDATE tasks SET due_at = ?", (at,))
        other.commit()


@pytest.mark.parametrize("lane", [0, 1, 2])
@pytest.mark.parametrize("hours", HOURS)
async def test_a_try_that_a_wrong_clock_planned_is_due_now(tmp_path: Path, lane: int, hours: float) -> None:
    async with open_journal(tmp_path / "journal.db") as journal:
        await journal.receive(lane, [Estate().kill(2)], NOW + hours * 3600)
        plan(tmp_path / "journal.db", NOW + hours * 3600 + MOST)
        assert len(await journal.due(lane, NOW, 10)) == 1
        # What is planned by the clock as it is waits for its time.
        plan(tmp_path / "journal.db", NOW + MOST)
        assert await journal.due(lane, NOW, 10) == []
        assert len(await journal.due(lane, NOW + MOST, 10)) == 1


@pytest.mark.parametrize("hours", HOURS)
async def test_a_key_stays_in_memory_for_no_longer_than_it_may(hours: float) -> None:
    host, steady, loads = FakeHost(NOW), [0.0], 0
    keyring = Keyring(replace(host.host(), monotonic=lambda: steady[0]), SECONDS, 2)

    async def load() -> ServiceKeys:
        nonlocal loads
        loads += 1
        return ServiceKeys({1: bytearray(32)}, 60.0)

    await keyring.get(SERVICE, load)
    host.time += hours * 3600
    steady[0] += SECONDS - 0.1
    await keyring.get(SERVICE, load)
    assert loads == 1
    steady[0] += 0.2
    await keyring.get(SERVICE, load)
    assert loads == 2


@pytest.mark.parametrize("hours", HOURS)
def test_a_change_that_a_wrong_clock_noted_is_no_change_under_way(hours: float) -> None:
    assert LONGEST_CHANGE > WINDOW
    noted = SystemRecord(1, State.LINKING, (), importing_until=NOW + hours * 3600 + WINDOW)
    assert not noted.busy(NOW)
    assert replace(noted, importing_until=NOW + WINDOW).busy(NOW)
