"""An OpenBao with its own unseal key, certificate, storage and audit log."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from pathlib import Path
from typing import Any

import aiohttp
import hvac
import orjson

from runtime.answers import read_answer
from runtime.files import read_text
from runtime.trust import believing
from stack.context import StackContext
from stack.identity.authority import server_tls
from stack.openbao.client import make_client
from stack.secret_files import kept_bytes, write_private
from stack.unit import Launch, Server

CONFIGURATION = """
ui = {ui}
api_addr = "https://127.0.0.1:{port}"
cluster_addr = "https://127.0.0.1:{cluster}"
storage "raft" {{
  path = "{place}/raft"
  node_id = "{name}"
  performance_multiplier = 1
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster}"
  tls_cert_file = "{tls}/current/cert.pem"
  tls_key_file = "{tls}/current/key.pem"
  tls_min_version = "tls12"
  max_request_json_strings = 20000
}}
seal "static" {{
  current_key_id = "1"
  current_key = "file://{unseal}"
}}
audit "file" "main" {{
  options = {{
    file_path = "{audit}"
  }}
}}
"""


class OpenBao(Server):
    """What all of them share. `root_token` is the file of the token that only the stack's own set-up uses."""

    requires: tuple[str, ...] = ("authority",)
    ui = False

    def __init__(self, context: StackContext, name: str) -> None:
        super().__init__(context)
        self.name = name
        self.root_token = context.secret(f"{name}-root-token")

    @property
    def address(self) -> str:
        """Its API."""
        return f"https://{self.context.address(self.name)}"

    def client(self) -> hvac.Client:
        """An API client with the set-up's rights."""
        token = read_text(self.root_token) if self.root_token.exists() else None
        return make_client(self.address, self.context.authority(), token)

    async def prepare(self) -> Launch:
        """Configuration, and the unseal key where OpenBao reads it."""
        unseal = self.context.layout.run / f"{self.name}.unseal"
        place = self.context.place(self.name)
        (place / "raft").mkdir(mode=0o700, exist_ok=True)
        configuration = CONFIGURATION.format(
            name=self.name,
            ui=str(self.ui).lower(),
            place=place,
            tls=server_tls(self.context, self.name),
            unseal=unseal,
            port=self.context.ports[self.name],
            cluster=self.context.ports[f"{self.name}-cluster"],
            audit=self.context.layout.logs / f"{self.name}-audit.jsonl",
        )
        write_private(place / "openbao.hcl", configuration)
        await asyncio.to_thread(self.provide_unseal_key, unseal)
        binary = await asyncio.to_thread(self.context.binary, "openbao")
        return Launch(argv=(str(binary), "server", "-config", str(place / "openbao.hcl")), cwd=place)

    async def ready(self) -> bool:
        """Whether it answers and is unsealed; the first time it is initialised here."""
        health = await self._health()
        if not health["initialized"]:
            await asyncio.to_thread(self._initialise)
        return bool(health["initialized"] and not health["sealed"] and not health["standby"])

    async def arrange(self) -> None:
        """Everything inside it, and the unseal key away again."""
        (self.context.layout.run / f"{self.name}.unseal").unlink(missing_ok=True)
        await asyncio.to_thread(self.set_up, self.client())

    def provide_unseal_key(self, to: Path) -> None:
        """Put the unseal key at `to`, for us alone to read."""
        write_private(to, kept_bytes(self.context.secret(f"{self.name}-unseal-key")))

    @abstractmethod
    def set_up(self, client: hvac.Client) -> None:
        """Mounts, roles and policies; safe to do again."""

    async def _health(self) -> dict[str, Any]:
        trust = believing(self.context.authority())
        query = "standbyok=true&sealedcode=200&uninitcode=200"
        async with (
            aiohttp.ClientSession(trust_env=False) as session,
            session.get(f"{self.address}/v1/sys/health?{query}", ssl=trust) as answer,
        ):
            health: dict[str, Any] = orjson.loads(await read_answer(answer))
            return health

    def _initialise(self) -> None:
        answer = make_client(self.address, self.context.authority(), None).sys.initialize(
            recovery_shares=1, recovery_threshold=1
        )
        write_private(self.context.secret(f"{self.name}-recovery-key"), answer["recovery_keys_base64"][0])
        write_private(self.root_token, answer["root_token"])
