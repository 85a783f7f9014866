"""Requests that take two people, in PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Sequence

import asyncpg
from google.protobuf.json_format import MessageToDict, ParseDict
from orbital.v1.approval_pb2 import Approval, ApprovalState, ListApprovalsRequest

from gateway.adapters.postgres.database import Database, Session
from gateway.domain.approval import kind_of
from gateway.ports.approval import Waiting
from runtime.errors import Conflict
from runtime.page import before_moment, page_before

PLAIN = ("id", "subject", "reason", "asked_by", "state", "decided_by", "decline_reason")


class Approvals:
    """Implements `ApprovalBook`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def open(self, found: Approval, waiting: Waiting) -> tuple[str, str] | None:
        """The open request for the same; see the port."""
        key = (kind_of(found), found.subject, waiting.digest)
        await self._session.execute("expire_approval", *key)
        row = await self._session.fetchrow("open_approval", *key)
        return (row["id"], row["asked_by"]) if row is not None else None

    async def ask(self, found: Approval, waiting: Waiting, seconds: float) -> None:
        """Keep a request; see the port."""
        key = (found.id, kind_of(found), found.subject, waiting.digest)
        try:
            await self._session.execute(
                "ask_approval", *key, _detail(found), waiting.call, found.reason, found.asked_by, seconds
            )
        except Conflict as error:
            raise Conflict("The correlation ID belongs to another request", reason="ID_IN_USE") from error

    async def waiting(self, identity: str) -> Waiting:
        """The call that waits; see the port."""
        row = await self._session.fetchrow("approval_request", identity)
        return Waiting(row["digest"], row["request"]) if row is not None else Waiting()

    async def close(self, found: Approval, state: ApprovalState.ValueType, actor: str, reason: str) -> bool:
        """Close an open one; see the port."""
        return bool(await self._session.fetchval("close_approval", found.id, state, actor, reason, _detail(found)))


class PostgresApprovals:
    """Implements `ApprovalStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def approvals(self, request: ListApprovalsRequest, size: int) -> tuple[Sequence[Approval], str]:
        """A page; see the port."""
        since, last = before_moment(request.page_token)
        rows = await self._database.fetch(
            "approvals", request.id, request.kind, request.open_only, size + 1, since, last, request.subject
        )
        found = list(map(_approval, rows))
        return page_before(found, lambda index: (rows[index]["asked_at"].isoformat(), found[index].id), size)


def _detail(found: Approval) -> str:
    return json.dumps(MessageToDict(getattr(found, kind_of(found)), preserving_proto_field_name=True))


def _approval(row: asyncpg.Record) -> Approval:
    found = Approval(**{name: row[name] for name in PLAIN})
    detail = getattr(found, row["kind"])
    detail.SetInParent()
    ParseDict(json.loads(row["detail"]), detail, ignore_unknown_fields=True)
    found.ask_time.FromDatetime(row["asked_at"])
    found.expire_time.FromDatetime(row["expires_at"])
    if row["decided_at"] is not None:
        found.decide_time.FromDatetime(row["decided_at"])
    return found
