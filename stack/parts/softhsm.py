"""A SoftHSM token for a region: no process, a directory that the region's own processes open."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from runtime.errors import NotFound
from stack.context import Region, StackContext
from stack.secret_files import kept_secret
from stack.spawn import environment
from stack.unit import Step

MAKE_SECONDS = 30
CONFIGURATION = """directories.tokendir = {tokens}
objectstore.backend = file
log.level = ERROR
slots.removable = false
"""


def library(context: StackContext) -> Path:
    """The PKCS#11 library."""
    root = context.binary("softhsm")
    for pattern in ("usr/lib/softhsm/libsofthsm2.so", "usr/lib/*/softhsm/libsofthsm2.so", "usr/lib*/**/libsofthsm2.so"):
        for found in sorted(root.glob(pattern)):
            return found
    raise NotFound(f"There is no libsofthsm2.so below {root}")


def token_label(region: str) -> str:
    """The label of the region's token."""
    return f"orbital-{region}"


def configuration(context: StackContext, region: str) -> Path:
    """What SOFTHSM2_CONF names for the region."""
    return context.place(f"softhsm-{region}") / "softhsm2.conf"


class SoftHSM(Step):
    """The token with the region's root key, and the OpenBao seal key that it wraps."""

    def __init__(self, context: StackContext, region: Region) -> None:
        super().__init__(context)
        self.name = f"softhsm-{region.name}"
        self._region = region.name
        self.pin = context.secret(f"hsm-{region.name}-pin")
        self._officer_pin = context.secret(f"hsm-{region.name}-officer-pin")

    async def run(self) -> None:
        """Make what is not there yet, in a process of its own (see stack.hsm)."""
        await asyncio.to_thread(self._make)

    def _make(self) -> None:
        place = configuration(self.context, self._region)
        tokens = place.parent / "tokens"
        tokens.mkdir(mode=0o700, exist_ok=True)
        place.write_text(CONFIGURATION.format(tokens=tokens))
        for file in (self.pin, self._officer_pin):
            kept_secret(file)
        command = [sys.executable, "-m", "stack.hsm", "make", "--library", str(library(self.context))]
        command += ["--token", token_label(self._region), "--pin-file", str(self.pin)]
        command += ["--officer-pin-file", str(self._officer_pin)]
        command += ["--wrapped", str(self.context.secret(f"openbao-{self._region}-unseal-key.wrapped"))]
        own = environment({"SOFTHSM2_CONF": str(place)})
        subprocess.run(command, env=own, check=True, timeout=MAKE_SECONDS)
