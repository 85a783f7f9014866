"""The region's HSM by PKCS#11: token, login, and a real encryption and decryption with the region's root key."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import orjson

from checker.domain.sample import Finding, Status, healthy
from checker.ports.probe import About
from runtime.errors import Unavailable

WORKER = "checker.adapters.hsm.worker"
# What an HSM says, beside being away, by the name of PKCS#11's error.
REASONS = {
    "NoSuchToken": "HSM_TOKEN_MISSING",
    "TokenNotPresent": "HSM_TOKEN_MISSING",
    "PinIncorrect": "HSM_LOGIN_REFUSED",
    "PinLocked": "HSM_LOGIN_REFUSED",
    "NoSuchKey": "HSM_KEY_MISSING",
    "ValueError": "HSM_SELF_TEST_FAILED",
}


class HsmProbe:
    """See checker.ports.probe.Probe. A worker that fails, or is not in time, is ended; the next look starts another."""

    def __init__(
        self, library: Path, token: str, pin_file: Path, key: str, conf: Path | None, period: float, timeout: float
    ) -> None:
        # A look may have to start the worker first.
        self.about = About("hsm", "hsm", "operation", "HSM_UNREACHABLE", period, timeout + 0.5)
        self._command = (
            *(sys.executable, "-P", "-m", WORKER, "--library", str(library), "--token", token),
            *("--pin-file", str(pin_file), "--key", key),
        )
        self._env = {**os.environ, **({"SOFTHSM2_CONF": str(conf)} if conf else {})}
        self._worker: asyncio.subprocess.Process | None = None

    async def look(self) -> Finding:
        """See the port."""
        kept = False
        try:
            said = await self._ask()
            kept = bool(said.get("ok"))
        finally:
            if not kept:
                await self.close()
        if kept:
            values = (("token", str(said["token"])), ("model", str(said["model"])), ("self_test", "passed"))
            return healthy(*values, version=str(said["version"]))
        step, error = str(said.get("step", "worker")), str(said.get("error", "ended"))
        reason = REASONS.get(error, self.about.away)
        text = f"The HSM fails at: {step} ({error}). Nothing can be linked or restored, and OpenBao cannot be unsealed."
        return Finding(Status.OUT_OF_SYNC, reason, text, (("step", step), ("error", error)))

    async def close(self) -> None:
        """End the worker, however stuck it is."""
        worker, self._worker = self._worker, None
        if worker is not None and worker.returncode is None:
            worker.kill()
            await worker.wait()

    async def _ask(self) -> dict[str, Any]:
        if self._worker is None:
            self._worker = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=self._env,
            )
        ask, answer = self._worker.stdin, self._worker.stdout
        assert ask is not None
        assert answer is not None
        try:
            ask.write(b"\n")
            await ask.drain()
            line = await answer.readline()
        except OSError as error:
            raise Unavailable("The process that tries the HSM has ended") from error
        if not line:
            raise Unavailable("The process that tries the HSM has ended")
        said: dict[str, Any] = orjson.loads(line)
        return said
