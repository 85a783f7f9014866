"""Who is refused, and what is ended for it."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from gateway.adapters.rpc.caller import admission
from gateway.domain.revocation import REVOKED, Credential, Revocation
from gateway.flow.revocation import ConnectionReaper, LoginRevoker, Revocations
from gateway.ports.revocation import BrokerConnection
from gateway.ports.serving import Caller
from runtime.errors import Denied, Invalid, Unavailable
from runtime.lifecycle import Backoff
from runtime.signatures import region_identity
from tests.unit.gateway.fakes import FakeStanding

EU10 = region_identity("eu10")
OFFICER = Caller("spiffe://orbital/person/officer", "decision-1")
AT, AGAIN = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, 0, 0, 0, 500, tzinfo=UTC)
OUT = Revocation("eu10", "stolen", OFFICER.principal, AT)
BACK = Revocation("eu10", "stolen", OFFICER.principal, AT, AGAIN, AGAIN)
START = int(AGAIN.timestamp())


async def known(*marks: Revocation) -> Revocations:
    revocations = Revocations(FakeStanding(*marks))
    await revocations.load()
    return revocations


async def test_a_revoked_region_is_refused_whatever_it_shows_and_no_other() -> None:
    revocations = await known(OUT)
    assert revocations.revoked("eu10")
    assert not revocations.revoked("us20")
    for shown in (Credential(), Credential(certificate_start=9e9), Credential(token_issued=9e9)):
        with pytest.raises(Denied) as caught:
            revocations.admit(EU10, shown)
        assert caught.value.reason == REVOKED
    for other in (region_identity("us20"), "spiffe://orbital/person/eu10", "eu10", ""):
        revocations.admit(other, Credential())


async def test_what_was_issued_before_stays_refused() -> None:
    revocations = await known(BACK)
    assert not revocations.revoked("eu10")
    revocations.admit(EU10, Credential(certificate_start=START))
    revocations.admit(EU10, Credential(token_issued=START))
    for shown in (Credential(), Credential(certificate_start=START - 1), Credential(token_issued=START - 1)):
        with pytest.raises(Denied):
            revocations.admit(EU10, shown)
    # A token that came with a certificate does not make up for it.
    with pytest.raises(Denied):
        revocations.admit(EU10, Credential(START - 1, START))


@pytest.mark.parametrize("shown", ["", "-", "x"])
async def test_what_a_sidecar_does_not_say_counts_for_nothing(shown: str) -> None:
    admit = admission(await known(BACK))
    admit({"x-orbital-principal": EU10, "x-orbital-certificate-start": str(START)})
    with pytest.raises(Denied):
        admit({"x-orbital-principal": EU10, "x-orbital-certificate-start": shown})


async def test_what_is_open_ends_at_once() -> None:
    store = FakeStanding()
    revocations = Revocations(store)
    await revocations.load()
    waiting = [asyncio.create_task(revocations.ended(region)) for region in ("eu10", "us20")]
    await asyncio.sleep(0)
    assert await revocations.revoke("eu10", " stolen ", OFFICER)
    done, _ = await asyncio.wait(waiting, timeout=1, return_when=asyncio.FIRST_COMPLETED)
    assert done == {waiting[0]}
    assert isinstance(waiting[0].exception(), Denied)
    waiting[1].cancel()
    assert store.kept[0].reason == "stolen"
    assert await revocations.revoke("eu10", "again", OFFICER) is None


async def test_a_revocation_has_a_reason() -> None:
    revocations = await known()
    for region, reason in (("eu10", " "), ("eu10", "x" * 501), ("EU 10", "stolen")):
        with pytest.raises(Invalid):
            await revocations.revoke(region, reason, OFFICER)


class Door:
    """A `BrokerConnections` and `Logins`."""

    def __init__(self, *entries: BrokerConnection) -> None:
        self.open = list(entries)
        self.shuts = 0
        self.away = True

    async def entries(self, principal: str) -> Sequence[BrokerConnection]:
        return list(self.open) if principal == EU10 else ()

    async def expel(self, principal: str) -> None:
        if principal == EU10:
            self.open.clear()

    async def close(self, entry: BrokerConnection) -> None:
        self.open.remove(entry)

    async def shut(self, region: str) -> None:
        self.shuts += 1
        if self.away:
            self.away = False
            raise Unavailable("away")


@pytest.mark.parametrize(("mark", "left"), [(OUT, 0), (BACK, 1)])
async def test_connections_of_a_refused_identity_are_ended(mark: Revocation, left: int) -> None:
    door = Door(BrokerConnection("old", START - 1), BrokerConnection("new", START), BrokerConnection("silent", None))
    running = asyncio.create_task(ConnectionReaper(await known(mark), door).run(lambda: Backoff(lambda: 0)))
    async with asyncio.timeout(5):
        while len(door.open) > left:  # noqa: ASYNC110 - nobody notifies us
            await asyncio.sleep(0)
    running.cancel()
    assert [entry.name for entry in door.open] == ["new"][:left]


async def test_logins_are_shut_until_it_was_done() -> None:
    door = Door()
    running = asyncio.create_task(LoginRevoker(await known(OUT), door).run(Backoff(lambda: 0, 0.001, 0.001)))
    async with asyncio.timeout(5):
        while door.shuts < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    running.cancel()
    assert not door.away
