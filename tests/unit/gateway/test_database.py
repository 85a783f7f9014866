"""Whatever the driver raises, at whatever step of whatever query, leaves the data access as an error of ours."""

from __future__ import annotations

import ast
import asyncio
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs

from gateway.adapters import postgres
from gateway.adapters.postgres import errors
from gateway.adapters.postgres.errors import UNAVAILABLE, from_driver
from gateway.adapters.postgres.locks import AdvisoryLock
from gateway.adapters.postgres.queries import SQL
from gateway.adapters.postgres.schema import migrations
from gateway.ports.store import CONTENDED
from runtime.errors import Conflict, Invalid, OrbitalError, Unavailable
from tests.unit.gateway.driver import FakePool, database, driver_errors

ERRORS = driver_errors()
STEPS = ("acquire", "start", "execute", "fetch", "fetchrow", "fetchval", "commit", "rollback", "release")


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_every_error_of_the_driver_becomes_one_of_ours(name: str) -> None:
    made = from_driver(ERRORS[name], "observe")
    state = getattr(ERRORS[name], "sqlstate", None) or ""
    expected = (
        Conflict if state == "23505" else Invalid if state[:2] in ("22", "23", "54") else Unavailable
    )  # fmt: skip
    assert type(made) is expected
    assert made.message.endswith(("again", ")", "it", "login", "exist", "role"))
    assert "it went wrong" not in made.message


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("25006", "DATABASE_READ_ONLY"),
        ("40001", CONTENDED),
        ("40P01", CONTENDED),
        ("55P03", CONTENDED),
        ("53100", "DATABASE_DISK_FULL"),
        ("53200", "DATABASE_OUT_OF_MEMORY"),
        ("53300", "DATABASE_CONNECTIONS"),
        ("53400", "DATABASE_OUT_OF_RESOURCES"),
        ("57014", "STATEMENT_CANCELLED"),
        ("57P01", "STORE_UNAVAILABLE"),
        ("57P02", "STORE_UNAVAILABLE"),
        ("57P03", "STORE_UNAVAILABLE"),
        ("08006", "STORE_UNAVAILABLE"),
        ("58030", "DATABASE_FAULT"),
        ("42501", "DATABASE_FORBIDDEN"),
        ("42P01", "DATABASE_ERROR"),
    ],
)
def test_what_a_person_can_act_on_has_a_reason_of_its_own(state: str, reason: str) -> None:
    error = asyncpg.PostgresError("x")
    error.sqlstate = state
    assert from_driver(error, "x").reason == reason


@pytest.mark.parametrize("step", STEPS)
def test_no_step_of_a_transaction_lets_the_drivers_error_out(step: str) -> None:
    async def work(pool: FakePool) -> None:
        async with database(pool).transaction("test") as session:
            await session.execute("wake", [])
            await session.fetch("regions")
            await session.fetchrow("regions")
            await session.fetchval("regions")
            if step == "rollback":
                raise Conflict("no")

    async def every() -> None:
        for error in ERRORS.values():
            pool = FakePool(error, step)
            with suppress(OrbitalError):
                await work(pool)
                assert step == "release"
            # What cannot be undone, or be given back, is not used again.
            assert pool.terminated == (step in ("start", "rollback", "release"))

    asyncio.run(every())


@pytest.mark.parametrize("step", ["execute", "commit"])
def test_what_fails_is_undone_and_the_connection_is_given_back(step: str) -> None:
    pool = FakePool(asyncpg.DeadlockDetectedError("x"), step)

    async def work() -> None:
        async with database(pool).transaction("test") as session:
            await session.execute("wake", [])

    with pytest.raises(Unavailable) as caught:
        asyncio.run(work())
    assert caught.value.reason == CONTENDED
    assert pool.steps[-1] == "release"
    assert ("rollback" in pool.steps) == (step == "execute")


def test_a_block_that_is_cancelled_is_undone() -> None:
    pool = FakePool()

    async def work() -> None:
        async with database(pool).transaction("test"):
            await asyncio.sleep(60)

    async def cancelled() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert pool.steps == ["acquire", "start", "rollback", "release"]


def test_what_nobody_expects_is_logged_once_with_its_class() -> None:
    errors._logged.clear()
    with capture_logs() as logs:
        for _ in range(3):
            from_driver(asyncpg.UndefinedTableError("relation"), "observe")
    assert [(line["event"], line["kind"], line["statement"]) for line in logs] == [
        ("database_error", "UndefinedTableError", "observe")
    ]


def test_a_sentence_for_a_person_never_holds_the_value() -> None:
    error = asyncpg.DataError("invalid input for query argument $1: 'secret' (value out of int64 range)")
    assert "secret" not in from_driver(error, "observe").message


def test_reasons_are_words() -> None:
    assert all(reason.isupper() and message[0].isupper() for reason, message in UNAVAILABLE.values())


def test_advisory_locks_differ_and_no_query_has_a_number_of_its_own() -> None:
    assert len(set(AdvisoryLock)) == len(AdvisoryLock.__members__)
    locking = [text for text in [*SQL.values(), *migrations().values()] if "advisory" in text]
    assert locking
    assert all("advisory_lock(" in text or "xact_lock($1)" in text for text in locking)


def test_migrations_have_unique_numbers() -> None:
    numbers = [name.split("_")[0] for name in migrations()]
    assert len(numbers) == len(set(numbers))
    assert all(len(number) == 4 and number.isdecimal() for number in numbers)


def test_no_store_goes_past_the_database() -> None:
    # What opens, migrates and listens uses the driver itself; everything else asks by a query's name.
    own = {"database.py", "errors.py", "pool.py", "schema.py", "notifications.py"}
    driver = {"acquire", "pool", "connection", "terminate", "_connection", "_pool", "PostgresError", "InterfaceError"}
    for path in Path(postgres.__path__[0]).glob("*.py"):
        tree = ast.parse(path.read_text())
        used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert path.name in own or not used & driver, path
        assert path.name in own | {"queries.py"} or "SQL" not in {
            node.id for node in ast.walk(tree) if isinstance(node, ast.Name)
        }, path


def test_every_query_that_is_named_exists_and_every_one_that_exists_is_named() -> None:
    named = {
        node.value
        for path in Path(postgres.__path__[0]).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(SQL) <= named


@pytest.mark.parametrize("query", sorted(SQL))
@pytest.mark.parametrize("method", ["execute", "fetch"])
def test_every_query_raises_ours(query: str, method: str) -> None:
    async def ask() -> None:
        for error in ERRORS.values():
            with pytest.raises(OrbitalError):
                await getattr(database(FakePool(error, method)), method)(query)

    asyncio.run(ask())
