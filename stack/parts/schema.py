"""The database's schema: brought forward as the database's owner, by a process that ends before a gateway begins."""

from __future__ import annotations

import asyncio
import os
import sys

from runtime.errors import Unavailable
from stack.context import ROOT, StackContext
from stack.parts.postgres import DATABASE, OWNER, PORT, USER, socket_directory
from stack.settings import PostgresServer
from stack.unit import Step

SECONDS = 300
MOST_SAID = 64 * 1024  # of the end of what it says; its last line is told
OWNERS = {"owner", "owner_password_file"}


def database(context: StackContext) -> PostgresServer:
    """The database that the gateways use: the private one, or one's own."""
    return context.settings.postgres_server or PostgresServer(
        host=str(socket_directory(context)),
        port=PORT,
        database=DATABASE,
        user=USER,
        password_file=context.secret("postgres-orbital"),
        owner=OWNER,
        owner_password_file=context.secret("postgres-owner"),
    )


def gateway_login(server: PostgresServer) -> dict[str, object]:
    """The settings by which a gateway logs in: nothing of the owner is among them."""
    return {f"POSTGRES__{name.upper()}": value for name, value in server.model_dump(exclude=OWNERS).items()}


class Schema(Step):
    """The migrations."""

    name = "schema"
    requires = ("postgres",)

    async def run(self) -> None:
        """Migrate; raises Unavailable with what the process said."""
        server = database(self.context).model_dump(exclude={"password_file"})
        settings = {f"ORBITAL_POSTGRES__{name.upper()}": str(value) for name, value in server.items()}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.migrate"),
            env={**_inherited(), **settings},
            cwd=ROOT,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        said = b""
        try:
            async with asyncio.timeout(SECONDS):
                assert process.stderr is not None
                while piece := await process.stderr.read(MOST_SAID):
                    said = (said + piece)[-MOST_SAID:]
                await process.wait()
        except TimeoutError:
            process.kill()
            raise Unavailable("The database was not migrated in time", reason="NOT_MIGRATED") from None
        if process.returncode:
            last = said.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise Unavailable(f"The database was not migrated: {last[0]}", reason="NOT_MIGRATED")


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("ORBITAL_")}
