"""Servers of one's own in place of parts: they are asked whether they serve, and never started, set up or ended."""

from __future__ import annotations

import asyncio

import aio_pika
import asyncpg
from aio_pika.exceptions import AMQPError

from runtime.errors import Unavailable
from runtime.settings import read_secret
from stack.context import StackContext
from stack.settings import PostgresServer, RabbitMQServer
from stack.unit import Step

ANSWER_SECONDS = 10


class ExistingPostgres(Step):
    """A database of one's own."""

    name = "postgres"

    def __init__(self, context: StackContext, server: PostgresServer) -> None:
        super().__init__(context)
        self._server = server

    async def run(self) -> None:
        """Log in once; raises Unavailable naming the setting."""
        server = self._server
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                connection = await asyncpg.connect(
                    host=server.host,
                    port=server.port,
                    database=server.database,
                    user=server.user,
                    password=read_secret(server.password_file).get_secret_value(),
                )
                await connection.close()
        except (OSError, TimeoutError, asyncpg.PostgresError) as error:
            raise _away("PostgreSQL", f"{server.host}:{server.port}", "POSTGRES_SERVER", error) from error


class ExistingRabbitMQ(Step):
    """A message broker of one's own."""

    name = "rabbitmq"

    def __init__(self, context: StackContext, server: RabbitMQServer) -> None:
        super().__init__(context)
        self._server = server

    async def run(self) -> None:
        """Log in once; raises Unavailable naming the setting."""
        server = self._server
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                connection = await aio_pika.connect(
                    host=server.host,
                    port=server.port,
                    login=server.user,
                    password=read_secret(server.password_file).get_secret_value(),
                    virtualhost=server.virtual_host,
                )
                await connection.close()
        except (OSError, TimeoutError, AMQPError) as error:
            raise _away("RabbitMQ", f"{server.host}:{server.port}", "RABBITMQ_SERVER", error) from error


def _away(what: str, address: str, setting: str, error: Exception) -> Unavailable:
    why = str(error) or type(error).__name__
    return Unavailable(f"{what} at {address} (ORBITAL_STACK__{setting}) cannot be used: {why}", reason="SERVER_AWAY")
