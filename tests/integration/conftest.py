"""Real PostgreSQL and RabbitMQ, started privately once for all tests of this folder."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.adapters.postgres.database import Pool
from gateway.adapters.postgres.pool import open_database
from gateway.settings import PostgresSettings, RabbitMQSettings
from stack import api
from stack.state import State


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, State]]:
    place = tmp_path_factory.mktemp("parts")
    try:
        yield place, api.up(place, only=["postgres", "rabbitmq"])
    finally:
        api.remove(place)


@pytest.fixture
def postgres_settings(parts: tuple[Path, State]) -> PostgresSettings:
    place, state = parts
    return PostgresSettings(host=f"{state.run}-pg", password_file=place / "secrets" / "postgres-orbital")


@pytest.fixture
def rabbitmq_settings(parts: tuple[Path, State]) -> RabbitMQSettings:
    place, state = parts
    return RabbitMQSettings(port=state.ports["amqp"], password_file=place / "secrets" / "rabbitmq-gateway")


@pytest.fixture
async def pool(postgres_settings: PostgresSettings) -> AsyncIterator[Pool]:
    """A pool on empty tables."""
    async with open_database(postgres_settings) as opened:
        await opened.pool.execute(
            "TRUNCATE resource, job, placement, task, contact, dead_letter, dead_letter_count, security_event, denial,"
            " receipt, certificate, approval CASCADE"
        )
        yield opened.pool
