"""A stand-in for the driver's pool: any step of it fails as it is told."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
from asyncpg.exceptions import _base

from gateway.adapters.postgres.database import Database


class FakePool:
    """Gives one connection; `fail` names the steps that raise, and `error` says what."""

    def __init__(self, error: BaseException | None = None, *fail: str) -> None:
        self.error, self.fail = error, set(fail)
        self.steps: list[str] = []
        self.terminated = False

    def step(self, name: str) -> None:
        self.steps.append(name)
        if name in self.fail and self.error is not None:
            raise self.error

    async def acquire(self) -> FakePool:
        self.step("acquire")
        return self

    async def release(self, connection: FakePool) -> None:
        self.step("release")

    def is_in_transaction(self) -> bool:
        return False

    def terminate(self) -> None:
        self.terminated = True

    def transaction(self) -> FakePool:
        return self

    async def start(self) -> None:
        self.step("start")

    async def commit(self) -> None:
        self.step("commit")

    async def rollback(self) -> None:
        self.step("rollback")

    async def execute(self, query: str, *arguments: Any) -> None:
        self.step("execute")

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        self.step("fetch")
        return []

    async def fetchrow(self, query: str, *arguments: Any) -> None:
        self.step("fetchrow")

    async def fetchval(self, query: str, *arguments: Any) -> None:
        self.step("fetchval")


def database(pool: FakePool) -> Database:
    return Database(pool)  # type: ignore[arg-type]


def driver_errors() -> dict[str, Exception]:
    """One of every exception that the driver has, by its name, and what the transport raises."""
    kinds = [
        kind
        for kind in vars(asyncpg.exceptions).values()
        if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, Warning)
    ]
    made: dict[str, Exception] = {kind.__name__: kind("it went wrong") for kind in kinds}
    # An SQLSTATE that the driver has no class for.
    unknown = _base.UnknownPostgresError("what is this")
    unknown.sqlstate = "ZZ999"
    transport = [
        OSError(28, "no space"),
        ConnectionResetError(),
        TimeoutError(),
        EOFError(),
        asyncio.IncompleteReadError(b"", 5),
    ]
    return made | {"ZZ999": unknown} | {type(error).__name__: error for error in transport}
