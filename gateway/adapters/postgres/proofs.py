"""Receipts and certificates in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
from orbital.v1.receipt_pb2 import LostRegion
from orbital.v1.registry_pb2 import TaskState
from orbital.v1.resource_pb2 import Resource

from gateway.adapters.postgres.database import Database
from gateway.domain.proof import Certified, Share
from gateway.domain.task import task_id
from runtime.kinds import REVOKING
from runtime.lease import lasts
from runtime.wellknown import from_seconds, seconds

# The state of a target, as `job_target` keeps it.
SUPERSEDED = 3


class PostgresProofs:
    """Implements `ProofStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def shares(self, correlation_id: str) -> Sequence[Share]:
        """The tasks of a change that have, or should have, a receipt."""
        rows = await self._database.fetch("proof_tasks", correlation_id, list(REVOKING))
        found = {(row["id"], row["region"]): _share(row) for row in rows}
        found |= {
            (row["id"], row["region"]): _share(row) for row in await self._database.fetch("proof_more", correlation_id)
        }
        for row in await self._database.fetch("proof_placements", correlation_id, list(REVOKING)):
            identity = task_id(row["name"], row["region"], row["generation"])
            # Detected, but no task was made yet.
            found.setdefault((identity, row["region"]), _share({**row, "id": identity}))
        for row in await self._database.fetch("proof_targets", correlation_id, list(REVOKING)):
            identity = task_id(row["name"], row["region"], row["generation"])
            key = (identity, row["region"])
            found[key] = _target(row, found.get(key), identity.hex)
        return list(found.values())

    async def lost(self, correlation_id: str) -> Sequence[LostRegion]:
        """The regions that are gone for good and had something of what a change is about."""
        found: dict[str, LostRegion] = {}
        for row in await self._database.fetch("proof_lost", correlation_id):
            region = found.get(row["id"]) or found.setdefault(row["id"], _lost(row))
            region.resources.add(
                resource=row["name"],
                observed_generation=row["observed_generation"],
                desired_generation=row["desired_generation"],
                key_state=row["key_state"],
            )
        return list(found.values())

    async def keep_certificate(self, certified: Certified) -> None:
        """Keep a certificate; one that is kept already is not kept twice."""
        await self._database.execute(
            "keep_certificate",
            certified.key_id,
            certified.name,
            certified.certificate,
            list(certified.chain),
            certified.begins_at,
            certified.ends_at,
        )

    async def certificates(self, keys: Sequence[bytes]) -> Mapping[bytes, Sequence[Certified]]:
        """The certificates of these keys, by key ID, those that end first before the others."""
        rows = await self._database.fetch("certificates", list(keys))
        found: dict[bytes, list[Certified]] = {}
        for row in rows:
            found.setdefault(row["key_id"], []).append(Certified(**dict(row)))
        return found


def _target(row: asyncpg.Record, task: Share | None, identity: str) -> Share:
    """What a region has to prove, whatever became of its own task."""
    own = task.receipt if task else b""
    why = task.why if task and task.state != TaskState.TASK_STATE_SUPERSEDED else ""
    if row["target"] == SUPERSEDED:
        why = f"Change {row['superseded_by']} gave back what this one took; it was not carried out here."
    receipt_task = row["receipt_task"].hex if row["receipt"] and not own else ""
    return Share(
        task_id=identity,
        region=row["region"],
        resource=row["name"],
        generation=row["generation"],
        kind=row["kind"],
        state=task.state if task else TaskState.TASK_STATE_PENDING,
        why=why or row["message"],
        receipt=own or row["receipt"] or b"",
        receipt_task_id="" if receipt_task == identity else receipt_task,
        since=row["since"],
        stops_by=_stops_by(row),
    )


def _stops_by(row: asyncpg.Record) -> datetime | None:
    """When the region's lease of the tenant ends; None while it is connected, since that renews it."""
    if row["connected"] or row["contacted_at"] is None or row["target"] == SUPERSEDED or row["tenant"] is None:
        return None
    lease = seconds(Resource.FromString(row["tenant"]).tenant.lease)
    return from_seconds(row["contacted_at"].timestamp() + lasts(lease))


def _lost(row: asyncpg.Record) -> LostRegion:
    region = LostRegion(
        region=row["region"], reason=row["reason"], asked_by=row["asked_by"], approved_by=row["decided_by"]
    )
    times = ("decommission_time", "decided_at"), ("last_contact_at", "contacted_at"), ("serve_until", "serve_until")
    for name, column in times:
        if row[column] is not None:
            getattr(region, name).FromDatetime(row[column])
    return region


def _share(row: Mapping[str, Any] | asyncpg.Record) -> Share:
    return Share(
        row["id"].hex,
        row["region"],
        row["name"],
        row["generation"],
        row["kind"],
        row["state"],
        row["message"],
        row["receipt"] or b"",
    )
