"""What a real PostgreSQL does to the gateway's loops: each error is ours, nothing ends, and work goes on after it."""

from __future__ import annotations

import asyncio
import gc
import random
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from orbital.v1.registry_pb2 import DeclareRequest
from orbital.v1.resource_pb2 import Resource, Selector, TenantSpec
from structlog.testing import capture_logs

from gateway.adapters.postgres.audit import PostgresAudit
from gateway.adapters.postgres.database import Database, Pool
from gateway.adapters.postgres.desired import PostgresDesired
from gateway.adapters.postgres.errors import UNAVAILABLE
from gateway.adapters.postgres.holdings import PostgresHoldings
from gateway.adapters.postgres.notifications import listen
from gateway.adapters.postgres.pool import open_database
from gateway.adapters.postgres.reports import PostgresReports
from gateway.adapters.postgres.revocation import PostgresRevocations
from gateway.adapters.postgres.state import PostgresState
from gateway.adapters.postgres.tasks import PostgresTasks
from gateway.flow.audit import Audit
from gateway.flow.contacts import Contacts
from gateway.flow.converge import Converge
from gateway.flow.desired import DeclarationFlow
from gateway.flow.detect import Detect
from gateway.flow.revocation import Revocations
from gateway.flow.state import States
from gateway.settings import PostgresSettings
from gateway.times import clock, new_correlation_id

from orbital.v1.resource_pb2 import Transport  # isort: skip
from runtime.errors import OrbitalError, Unavailable
from runtime.lifecycle import Backoff, Supervisor
from stack.state import State
from tests.integration.test_audit import Signer
from tests.integration.test_gateway import CALLER, estate

SECONDS = 1.5
BACK_SECONDS = 15.0
ROLE = "orbital"
Admin = asyncpg.Connection
# By SQLSTATE, as a trigger raises it: what a person is told.
RAISED = {
    "53100": "DATABASE_DISK_FULL", "53200": "DATABASE_OUT_OF_MEMORY", "53400": "DATABASE_OUT_OF_RESOURCES",
    "58030": "DATABASE_FAULT", "XX001": "DATABASE_FAULT", "42501": "DATABASE_FORBIDDEN", "25006": "DATABASE_READ_ONLY",
    "40001": "STORE_CONTENDED", "40P01": "STORE_CONTENDED", "55P03": "STORE_CONTENDED", "57014": "STATEMENT_CANCELLED",
    "57P01": "STORE_UNAVAILABLE", "08006": "STORE_UNAVAILABLE", "P0001": "DATABASE_ERROR", "ZZ999": "DATABASE_ERROR",
    "0A000": "DATABASE_ERROR", "28000": "DATABASE_LOGIN_REFUSED", "42P01": "DATABASE_ERROR", "F0000": "DATABASE_ERROR",
}  # fmt: skip
AWAY = {"STORE_UNAVAILABLE"}


@dataclass(frozen=True)
class Fault:
    """Statements of a superuser that begin and end it, and the reasons that callers may be told."""

    begin: tuple[str, ...]
    end: tuple[str, ...]
    reasons: set[str] = field(default_factory=set)
    again: float = 0.0


TERMINATE = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'"


def raising(state: str) -> Fault:
    """Every statement that inserts or updates ends with this SQLSTATE."""
    tables = ("resource", "job", "placement", "task", "contact", "audit", "state_mark", "audit_head")
    function = (
        "CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '{state}'; END $$"
    )
    triggers = [f"CREATE TRIGGER aa_fault BEFORE INSERT OR UPDATE ON {one} EXECUTE FUNCTION fault()" for one in tables]
    return Fault((function, *triggers), ("DROP FUNCTION fault CASCADE",), {RAISED[state]})


FAULTS = {
    "backends are terminated": Fault((TERMINATE,), (), AWAY, again=0.05),
    "all are terminated once": Fault((TERMINATE,), (), AWAY),
    "read-only": Fault(
        ("ALTER DATABASE orbital SET default_transaction_read_only = on", TERMINATE),
        ("ALTER DATABASE orbital RESET default_transaction_read_only", TERMINATE),
        {"DATABASE_READ_ONLY", *AWAY},
    ),
    "statement_timeout": Fault(
        (f"ALTER ROLE {ROLE} SET statement_timeout = '1ms'", TERMINATE),
        (f"ALTER ROLE {ROLE} RESET statement_timeout", TERMINATE),
        {"STATEMENT_CANCELLED", *AWAY},
    ),
    "no connections": Fault(
        (f"ALTER ROLE {ROLE} CONNECTION LIMIT 0", TERMINATE),
        (f"ALTER ROLE {ROLE} CONNECTION LIMIT -1",),
        {"DATABASE_CONNECTIONS", *AWAY},
    ),
    "no login": Fault(
        (f"ALTER ROLE {ROLE} NOLOGIN", TERMINATE), (f"ALTER ROLE {ROLE} LOGIN",), {"DATABASE_LOGIN_REFUSED", *AWAY}
    ),
    **{f"SQLSTATE {state}": raising(state) for state in RAISED},
}


@pytest.fixture
async def admin(parts: tuple[Path, State]) -> AsyncIterator[Admin]:
    place, state = parts
    password = (place / "secrets" / "postgres-superuser").read_text().strip()
    connection = await asyncpg.connect(host=f"{state.run}-pg", database="orbital", user="postgres", password=password)
    yield connection
    await connection.close()


class Loops:
    """The loops of a gateway on one database, and people who declare."""

    def __init__(self, database: Database, group: asyncio.TaskGroup) -> None:
        self.supervisor = Supervisor(group, random.random)
        self.tasks = PostgresTasks(database, "gateway")
        self.desired = DeclarationFlow(PostgresDesired(database, "gateway"), new_correlation_id)
        self.heard: list[str] = []
        self.refusals: list[OrbitalError] = []
        self.accepted = 0
        contacts, states = Contacts(self.tasks), States(PostgresState(database))
        self.contacts, self.states = contacts, states
        audit, revocations = (
            Audit(PostgresAudit(database), Signer(), clock, 0.3),
            Revocations(PostgresRevocations(database)),
        )
        self.holdings = PostgresHoldings(database, "gateway", new_correlation_id)
        parts: dict[str, Callable[[], Awaitable[None]]] = {
            "contacts": lambda: contacts.run(0.1),
            "states": lambda: states.run(0.1),
            "converge": lambda: Converge(PostgresReports(database)).run(0.1, self.backoff()),
            "audit": lambda: audit.run(self.backoff),
            "revocations": lambda: revocations.run(self.backoff()),
            "lane news": lambda: listen(database, "orbital_lane", self.heard.append),
            "people": self.declare_on,
        }
        for lane in (0, 1, 2):
            detect = Detect(self.tasks, lane, 100, lambda: None)
            parts[f"detect {lane}"] = lambda detect=detect: detect.run(0.1, self.backoff())
        for name, run in parts.items():
            self.supervisor.start(name, run)

    @staticmethod
    def backoff() -> Backoff:
        return Backoff(random.random, first=0.05, most=0.2)

    async def declare(self) -> None:
        """A change that nobody made before."""
        self.accepted += 1
        tenant = TenantSpec(placement=Selector(regions=["eu10"]))
        name = f"tenants/t{new_correlation_id()}"
        await self.desired.declare(DeclareRequest(resources=[Resource(name=name, tenant=tenant)]), CALLER)

    async def declare_on(self) -> None:
        async with self.contacts.opened("eu10", 1, Transport.TRANSPORT_STREAM):
            with self.states.held("eu10"):
                while True:
                    try:
                        await self.declare()
                    except OrbitalError as error:
                        self.refusals.append(error)
                    await asyncio.sleep(0.02)


@asynccontextmanager
async def loops(database: Database) -> AsyncIterator[Loops]:
    async with asyncio.TaskGroup() as group:
        yield Loops(database, group)
        for task in group._tasks:  # type: ignore[attr-defined] # the loops have no end of their own
            task.cancel()


@contextmanager
def watched() -> Iterator[list[str]]:
    """What reached the event loop or the interpreter, in place of whoever waited for it."""
    found: list[str] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(
        lambda _, context: found.append(f"{context.get('message')} {context.get('exception')!r}")
    )
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield found
            gc.collect()
            found.extend(str(each.message) for each in warned if "ResourceWarning" not in str(each.category))
    finally:
        loop.set_exception_handler(before)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", FAULTS)
async def test_no_fault_of_the_database_ends_anything(
    pool: Pool, postgres_settings: PostgresSettings, admin: Admin, name: str
) -> None:
    fault = FAULTS[name]
    await DeclarationFlow(PostgresDesired(Database(pool), "gateway"), new_correlation_id).declare(
        DeclareRequest(resources=estate()[:2]), CALLER
    )
    with watched() as unheard, capture_logs() as logs:
        async with open_database(postgres_settings) as database, loops(database) as made:
            await asyncio.sleep(0.5)
            assert not made.refusals
            ends = asyncio.get_running_loop().time() + SECONDS
            try:
                for statement in fault.begin:
                    await admin.execute(statement)
                while asyncio.get_running_loop().time() < ends or not _met(made, name):
                    await asyncio.sleep(fault.again or 0.5)
                    if fault.again:
                        await admin.execute(fault.begin[-1])
            finally:
                for statement in fault.end:
                    await admin.execute(statement)
            await _goes_on(made)
            assert {error.reason for error in made.refusals} <= fault.reasons
            assert all(isinstance(error, Unavailable) for error in made.refusals)
            assert _met(made, name)
    assert unheard == []
    _check_logs(logs)


def _met(made: Loops, name: str) -> bool:
    """Whether a loop met the fault, as each does sooner or later; one end alone may fall between two calls."""
    return bool(made.refusals) or name == "all are terminated once"


async def _goes_on(made: Loops) -> None:
    """Declarations, loops and notifications work again."""
    made.heard.clear()
    async with asyncio.timeout(BACK_SECONDS):
        while True:
            try:
                await made.declare()
            except Unavailable:
                await asyncio.sleep(0.05)
                continue
            if not made.supervisor.failing and any(made.heard):
                return
            await asyncio.sleep(0.05)


def _check_logs(logs: list[Any]) -> None:
    """Each line names its cause, none has a stack, and no reason is told again and again."""
    for line in logs:
        assert "exc_info" not in line, line
        assert "Traceback" not in str(line), line
        assert line["event"] != "part_failed", line
        assert line["event"] != "unheard_failure", line
    waits = [(line.get("stage"), line.get("reason")) for line in logs if line["event"] == "waiting"]
    assert all(reason in {*RAISED.values(), *(known for known, _ in UNAVAILABLE.values())} for _, reason in waits)
