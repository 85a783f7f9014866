"""A token turns into an identity once, in time, for whom it was made, and else into a security event."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from orbital.v1.resource_pb2 import Resource

from gateway.domain.enrolment import EXPIRED, OTHER, UNKNOWN, USED, Invitation, Invited
from gateway.domain.proof import Certified
from gateway.flow.enrolment import Enrolment, Invitations
from gateway.flow.security import Security
from gateway.ports.serving import Caller
from runtime.errors import Denied, NotFound
from tests.unit.gateway.fakes import FakeTasks

OFFICER = Caller("spiffe://orbital/person/officer", "decision-1")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Row:
    found: Invited | None

    async def use(self) -> None:
        assert self.found is not None
        self.found = Invited(self.found.region, used=True, ended=self.found.ended)


@dataclass
class Platform:
    """Everything that enrolment needs."""

    rows: dict[str, Row] = field(default_factory=dict)
    wrapped: dict[str, str] = field(default_factory=dict)
    restored: list[str] = field(default_factory=list)

    async def resource(self, name: str) -> Resource | None:
        return Resource(name=name) if name == "regions/eu10" else None

    async def invited(self, region: str, invitation: Invitation, caller: Caller) -> None:
        self.rows[invitation.token] = Row(Invited(region, used=False, ended=False))

    @asynccontextmanager
    async def taking(self, token: str) -> AsyncIterator[Row]:
        yield self.rows.get(token, Row(None))

    async def restore(self, region: str, certificate_from: datetime, token_from: datetime) -> None:
        assert token_from == NOW
        self.restored.append(region)

    async def wrap(self, region: str, seconds: float) -> str:
        self.wrapped["token"] = region
        return "token"

    async def unwrap(self, token: str) -> str | None:
        return self.wrapped.pop(token, None)

    async def renew(self, region: str) -> str:
        return "secret"

    async def certify(self, role: str, name: str, request: bytes) -> Certified:
        assert (role, name, request) == ("region", "spiffe://orbital/region/eu10", b"request")
        return Certified(b"key", name, b"certificate", [], NOW, NOW + timedelta(hours=1))


@dataclass
class Harness:
    platform: Platform
    tasks: FakeTasks
    enrolment: Enrolment

    async def refused(self, region: str = "eu10", token: str = "token") -> tuple[str, str]:
        with pytest.raises(Denied) as caught:
            await self.enrolment.redeem(region, token, b"request")
        event = self.tasks.events[-1]
        assert (event.subject, event.reason) == ("enrolment", caught.value.reason)
        assert not self.platform.restored
        return event.reason, event.region


@pytest.fixture
def harness() -> Harness:
    platform, tasks = Platform(), FakeTasks()
    part: Any = platform
    invitations = Invitations(store=part, wrapping=part, clock=lambda: NOW, seconds=900)
    security = Security(tasks, tasks)
    enrolment = Enrolment(invitations=invitations, reads=part, logins=part, authority=part, security=security)
    return Harness(platform, tasks, enrolment)


async def test_a_token_works_once(harness: Harness) -> None:
    invitation = await harness.enrolment.invite("eu10", OFFICER)
    assert invitation.ends_at == NOW + timedelta(minutes=15)
    certified, secret = await harness.enrolment.redeem("eu10", invitation.token, b"request")
    assert (certified.certificate, secret, harness.platform.restored) == (b"certificate", "secret", ["eu10"])
    harness.platform.restored.clear()
    assert await harness.refused() == (USED, "eu10")


async def test_a_token_is_of_one_region_and_ends(harness: Harness) -> None:
    await harness.enrolment.invite("eu10", OFFICER)
    assert await harness.refused("us20") == (OTHER, "eu10")
    harness.platform.rows["token"].found = Invited("eu10", used=False, ended=True)
    assert await harness.refused() == (EXPIRED, "eu10")
    assert await harness.refused(token="guessed") == (UNKNOWN, "")


async def test_what_cannot_be_opened_is_used_up(harness: Harness) -> None:
    await harness.enrolment.invite("eu10", OFFICER)
    harness.platform.wrapped.clear()
    assert await harness.refused() == (UNKNOWN, "eu10")
    assert await harness.refused() == (USED, "eu10")


async def test_only_a_declared_region_is_invited(harness: Harness) -> None:
    with pytest.raises(NotFound):
        await harness.enrolment.invite("us20", OFFICER)
