"""Copies of the simulation's database and their restoration, and what signs the heads of its audit trail."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from cryptography.hazmat.primitives import serialization

from gateway.domain.proof import Certified
from gateway.ports.audit import Signature
from runtime.proof import GATEWAY_SIGNER
from runtime.signing import key_id
from tests.simulation.database import Postgres
from tests.unit.runtime.test_proof import Platform

PLATFORM = Platform()
KEY_ID = key_id(PLATFORM.keys["gateway"].public_key())
CERTIFICATE = PLATFORM.certificates["gateway"].public_bytes(serialization.Encoding.DER)
COPY = """
DO $$ DECLARE found text; BEGIN
    DROP SCHEMA IF EXISTS copied CASCADE;
    CREATE SCHEMA copied;
    FOR found IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'migration' LOOP
        EXECUTE format('CREATE TABLE copied.%1$I AS TABLE public.%1$I', found);
    END LOOP;
END $$"""
# Sequences go back with their tables, as in a restored cluster.
RESTORE = """
DO $$ DECLARE found record; BEGIN
    SET LOCAL session_replication_role = replica;
    FOR found IN SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'migration' LOOP
        EXECUTE format('DELETE FROM public.%I', found.name);
    END LOOP;
    FOR found IN
        SELECT t.tablename AS name, string_agg(quote_ident(c.column_name), ', ' ORDER BY c.ordinal_position) AS columns
        FROM pg_tables AS t
        INNER JOIN information_schema.columns AS c ON c.table_schema = 'public' AND c.table_name = t.tablename
        WHERE t.schemaname = 'public' AND t.tablename <> 'migration' AND c.is_generated = 'NEVER'
        GROUP BY t.tablename
    LOOP
        EXECUTE format('INSERT INTO public.%1$I (%2$s) OVERRIDING SYSTEM VALUE SELECT %2$s FROM copied.%1$I',
            found.name, found.columns);
    END LOOP;
    FOR found IN
        SELECT table_name AS name, column_name AS field FROM information_schema.columns
        WHERE table_schema = 'public' AND is_identity = 'YES'
    LOOP
        EXECUTE format(
            'SELECT setval(pg_get_serial_sequence(%L, %L), (SELECT coalesce(max(%I), 0) + 1 FROM public.%I), false)',
            'public.' || found.name, found.field, found.field, found.name);
    END LOOP;
END $$"""


class HeadKey:
    """The gateway's signing key; implements `HeadSigner`."""

    can_sign = True

    async def sign(self, message: bytes) -> Signature:
        """Sign."""
        return Signature(KEY_ID, PLATFORM.sign("gateway", message), [CERTIFICATE])


class HeadCertificates:
    """What certifies that key; implements as much of `ProofStore` as heads need."""

    async def certificates(self, keys: Sequence[bytes]) -> Mapping[bytes, Sequence[Certified]]:
        """Of this one key."""
        begins = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
        certified = Certified(KEY_ID, GATEWAY_SIGNER, CERTIFICATE, [], begins, begins.replace(year=2100))
        return {KEY_ID: [certified]} if KEY_ID in keys else {}

    async def shares(self, correlation_id: str) -> Sequence[object]:
        """Nobody asks."""
        raise NotImplementedError

    async def lost(self, correlation_id: str) -> Sequence[object]:
        """Nobody asks."""
        raise NotImplementedError

    async def keep_certificate(self, certified: Certified) -> None:
        """Nobody asks."""
        raise NotImplementedError


def copy(postgres: Postgres) -> None:
    """Keep a copy of the whole database, as a backup does."""
    postgres.run(postgres.connection.execute(COPY))


def restore(postgres: Postgres) -> None:
    """Put the copy in the place of the database."""
    postgres.run(postgres.connection.execute(RESTORE))
    postgres.heard.clear()
