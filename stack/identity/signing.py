"""The keys that the control plane and the regions sign messages with, and their rotation."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from runtime.files import read_bytes
from runtime.logs import get_logger
from runtime.signatures import GATEWAY, KeyFile, region_identity
from stack.context import StackContext
from stack.secret_files import write_private
from stack.unit import Step

log = get_logger(__name__)

DAY = 86_400.0
LOOK_EVERY = 5.0
# A new key waits until every policy engine can have the bundle that it is in, but at most a fifth of its life.
LEAD_SECONDS = 60.0


def signing_file(context: StackContext, name: str) -> Path:
    """The private keys of `name`, which is gateway or a region."""
    return context.layout.secrets / "signing" / f"{name}.json"


def signers(context: StackContext) -> dict[str, dict[str, Any]]:
    """The public keys of everybody, by key ID."""
    table: dict[str, dict[str, Any]] = {}
    for name in _owners(context):
        table |= KeyFile.load(read_bytes(signing_file(context, name))).public()
    return table


def _owners(context: StackContext) -> dict[str, str]:
    return {"gateway": GATEWAY, **{region.name: region_identity(region.name) for region in context.regions}}


class SigningKeys(Step):
    """Keeps a key for each of them; a new one begins when two thirds of the life of the last are over."""

    name = "signing-keys"

    async def run(self) -> None:
        """A key that counts for each."""
        await asyncio.to_thread(self.rotate)

    async def keep(self) -> None:
        """Rotate each in time."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await asyncio.to_thread(self.rotate)
            except OSError as error:
                log.warning("signing keys could not be rotated", error=str(error))

    def rotate(self) -> None:
        """Make what is missing or due, and forget what has ended."""
        life = self.context.settings.signing_days * DAY
        for name, owner in _owners(self.context).items():
            path = signing_file(self.context, name)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            known = KeyFile.load(read_bytes(path)) if path.exists() else KeyFile(owner, ())
            fresh = known.rotated(time.time(), life, min(LEAD_SECONDS, life / 5))
            if fresh is not known:
                write_private(path, fresh.dump().decode())
                log.info("signing keys changed", owner=owner, keys=[each.key_id for each in fresh.keys])
