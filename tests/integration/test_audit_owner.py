"""The gateways' login owns nothing of the audit trail: whatever it tries to get around it, PostgreSQL refuses."""

from __future__ import annotations

import asyncpg
import pytest
from orbital.v1.registry_pb2 import DeclareRequest
from orbital.v1.resource_pb2 import Resource

from gateway.adapters.postgres.audit import PostgresAudit
from gateway.adapters.postgres.database import Database, Pool
from gateway.adapters.postgres.desired import PostgresDesired
from gateway.adapters.postgres.schema import check_schema
from gateway.flow.audit import Audit
from gateway.flow.desired import DeclarationFlow
from gateway.times import clock, new_correlation_id
from runtime.errors import Unavailable
from tests.integration.test_audit import TRAIL, Signer
from tests.integration.test_gateway import CALLER

# What the owner of a table may do to get around its triggers; `{table}` is each of the trail's.
EVASIONS = [
    "ALTER TABLE {table} DISABLE TRIGGER USER", "ALTER TABLE {table} DISABLE TRIGGER append_only",
    "ALTER TABLE {table} DISABLE TRIGGER ALL", "DROP TRIGGER append_only ON {table}", "DROP TABLE {table}",
    "ALTER TABLE {table} RENAME TO other", "ALTER TABLE {table} OWNER TO orbital",
    "ALTER TABLE {table} ADD COLUMN more text", "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
    "CREATE RULE r AS ON INSERT TO {table} DO INSTEAD NOTHING", "CREATE TEMPORARY TABLE {table} (kind text, body text)",
    "CREATE TRIGGER t BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "TRUNCATE {table} CASCADE", "DELETE FROM {table}", "COPY {table} FROM PROGRAM 'true'",
    "CREATE INDEX ON {table} (sequence)",
]  # fmt: skip
# What anybody may try to become somebody else, or to have triggers do something else.
POWERS = [
    "SET ROLE orbital_owner", "SET ROLE postgres", "SET SESSION AUTHORIZATION orbital_owner",
    "SET session_replication_role = replica", "ALTER ROLE orbital SUPERUSER", "GRANT orbital_owner TO orbital",
    "CREATE SCHEMA other", "CREATE TABLE public.more (id int)", "DROP SCHEMA public CASCADE", "DROP DATABASE orbital",
    "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP OWNED BY orbital_owner",
    "REASSIGN OWNED BY orbital_owner TO orbital", "ALTER DATABASE orbital SET session_replication_role = replica",
    "INSERT INTO audit (kind, body) VALUES ('action', '{}')", "UPDATE migration SET checksum = ''",
    "DELETE FROM migration", "DELETE FROM receipt", "DELETE FROM job", "DELETE FROM certificate",
]  # fmt: skip


@pytest.mark.parametrize("statement", [*(each.format(table=table) for table in TRAIL for each in EVASIONS), *POWERS])
async def test_the_gateways_login_gets_around_nothing(pool: Pool, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute(statement)


async def test_no_trigger_function_can_be_replaced_and_each_is_the_owners(pool: Pool) -> None:
    rows = await pool.fetch(
        "SELECT p.proname AS name, p.prosecdef AS definer, pg_get_userbyid(p.proowner) AS owner, p.proconfig AS config"
        " FROM pg_proc AS p WHERE p.pronamespace = 'public'::regnamespace AND p.prorettype = 'trigger'::regtype"
    )
    assert len(rows) > 15
    for row in rows:
        name = row["name"]
        assert (row["owner"], row["definer"]) == ("orbital_owner", True)
        assert row["config"] == ["search_path=pg_catalog, public, pg_temp"]
        for statement in (
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            f"DROP FUNCTION {name} CASCADE",
            f"ALTER FUNCTION {name}() SECURITY INVOKER",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.execute(statement)


async def test_every_table_is_the_owners_and_none_can_be_emptied(pool: Pool) -> None:
    tables = await pool.fetch(
        "SELECT tablename AS name, tableowner AS owner FROM pg_tables WHERE schemaname = 'public'"
    )
    assert {row["owner"] for row in tables} == {"orbital_owner"}
    for row in tables:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(f"TRUNCATE {row['name']} CASCADE")


async def test_a_gateway_does_not_work_as_the_owner(owner: Pool) -> None:
    async with owner.acquire() as connection:
        with pytest.raises(Unavailable) as refused:
            await check_schema(connection)
    assert refused.value.reason == "ROLE_OWNS_AUDIT"


async def test_a_gateway_waits_for_the_migrations(pool: Pool, owner: Pool) -> None:
    kept = await owner.fetchrow("DELETE FROM migration WHERE name = (SELECT max(name) FROM migration) RETURNING *")
    try:
        async with pool.acquire() as connection:
            with pytest.raises(Unavailable) as refused:
                await check_schema(connection)
    finally:
        await owner.execute("INSERT INTO migration VALUES ($1, $2)", *kept.values())
    assert refused.value.reason == "SCHEMA_BEHIND"


async def test_a_certificate_is_kept_once_for_all_heads(pool: Pool) -> None:
    audit = Audit(PostgresAudit(Database(pool)), Signer(), clock, 60.0)
    desired = DeclarationFlow(PostgresDesired(Database(pool), "gateway"), new_correlation_id)
    before = await pool.fetchval("SELECT count(*) FROM audit_head")
    for number in range(5):
        region = Resource(name=f"regions/more{number}", region={"area": "x"})  # type: ignore[arg-type]
        await desired.declare(DeclareRequest(resources=[region]), CALLER)
        await audit._seal()
        await audit.sign()
    assert await pool.fetchval("SELECT count(*) FROM audit_head") == before + 5
    assert await pool.fetchval("SELECT count(*) FROM audit_signer") == 1
    newest = await PostgresAudit(Database(pool)).newest_head()
    assert newest is not None
    assert len(newest.certificates) == 2
