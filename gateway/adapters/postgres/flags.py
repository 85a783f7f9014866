"""Flags and the checkers that raise them, in PostgreSQL."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from orbital.v1.flag_pb2 import Flag, FlagChange, FlagChangeKind

from gateway.adapters.postgres.database import Database
from gateway.domain.health import GRACE_SECONDS, MISSED, CheckerContact, ListeningTime, severity, silent_flag
from gateway.ports.flags import Hold, Signal
from runtime.errors import OrbitalError
from runtime.page import before_id, page_before


class PostgresFlags:
    """Implements `FlagStore`."""

    def __init__(self, database: Database, steady: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._steady = steady
        self._listening = ListeningTime(steady())

    async def store(self, signals: Sequence[Signal]) -> None:
        """See the port."""
        began = self._steady()
        try:
            await self._store(signals)
        except OrbitalError:
            self._listening.failed()
            raise
        self._listening.stored(began, self._steady())

    async def _store(self, signals: Sequence[Signal]) -> None:
        signals = sorted(signals, key=lambda each: each.region)
        async with self._database.transaction("store signals") as session:
            taken = await session.fetch(
                "store_signals",
                [each.region for each in signals],
                [each.sent_at for each in signals],
                [json.dumps(dict(each.versions), sort_keys=True) for each in signals],
                [each.period for each in signals],
                [each.certificate_end for each in signals],
            )
            regions = sorted(row["region"] for row in taken)
            flags = [(each.region, flag) for each in signals if each.region in regions for flag in each.flags]
            places = [region for region, _flag in flags], [flag.component for _region, flag in flags]
            await session.execute("clear_flags", regions, *places)
            if flags:
                await session.execute(
                    "raise_flags",
                    *places,
                    [flag.status for _region, flag in flags],
                    [flag.reason for _region, flag in flags],
                    [flag.SerializeToString(deterministic=True) for _region, flag in flags],
                )

    async def flags(self, region: str) -> dict[str, list[Flag]]:
        """See the port."""
        listened = self._listening.seconds(self._steady())
        rows = await self._database.fetch("flags", region, listened, MISSED, GRACE_SECONDS)
        found: dict[str, list[Flag]] = {row["region"]: [] for row in rows}
        for row in rows:
            if row["component"] is not None:
                flag = Flag.FromString(row["body"])
                flag.region = row["region"]
                found[row["region"]].append(flag)
        for row in rows:
            if row["silent"] and not _is_silent(found[row["region"]]):
                before = found[row["region"]]
                last = (
                    CheckerContact(row["heard_at"], row["period"] or 0.0, row["certificate_ends_at"])
                    if row["heard_at"]
                    else None
                )
                found[row["region"]] = [silent_flag(row["region"], last, before, row["asked_at"])]
        return {name: sorted(flags, key=severity) for name, flags in found.items()}

    async def changes(self, region: str, since: datetime | None, size: int, token: str) -> tuple[list[FlagChange], str]:
        """See the port."""
        rows = await self._database.fetch("flag_changes", region, since, size + 1, before_id(token))
        found = []
        for row in rows:
            kind = FlagChangeKind.Value(f"FLAG_CHANGE_KIND_{row['change'].upper()}")
            change = FlagChange(region=region, component=row["component"], kind=kind, reason=row["reason"])
            change.status = row["status"]
            change.change_time.FromDatetime(row["recorded_at"])
            found.append(change)
        return page_before(found, lambda index: (rows[index]["id"],), size)

    async def hold(self, regions: Sequence[str], holds: Sequence[Hold]) -> None:
        """See the port."""
        lanes = [each.region for each in holds], [each.lane for each in holds]
        why = [each.reason for each in holds], [each.message for each in holds], [each.decision_id for each in holds]
        async with self._database.transaction("hold lanes") as session:
            await session.execute("hold_lanes", *lanes, *why)
            await session.execute("release_lanes", list(regions), *lanes)

    async def holds(self) -> dict[str, list[Hold]]:
        """See the port."""
        rows = await self._database.fetch("holds")
        found: dict[str, list[Hold]] = {}
        for row in rows:
            hold = Hold(row["region"], row["lane"], row["reason"], row["message"], since=row["since"])
            found.setdefault(hold.region, []).append(hold)
        return found

    async def versions(self) -> dict[str, dict[str, str]]:
        """See the port."""
        rows = await self._database.fetch("checker_versions")
        return {row["region"]: json.loads(row["versions"]) for row in rows}


def _heard(row: Any) -> CheckerContact | None:
    return CheckerContact(row["heard_at"], row["period"], row["certificate_ends_at"]) if row["heard_at"] else None


def _is_silent(flags: Sequence[Flag]) -> bool:
    return len(flags) == 1 and flags[0].component == "checker"
