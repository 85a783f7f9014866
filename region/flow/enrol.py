"""Makes the region known at its start; it runs isolated for as long as the gateway is away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from region.ports.gateway import Gateway
from region.ports.host import Host
from runtime.errors import OrbitalError
from runtime.lifecycle import Backoff
from runtime.logs import get_logger
from runtime.wellknown import seconds

log = get_logger(__name__)


async def enrol(gateway: Gateway, version: str, process: str, host: Host, tried: Callable[[], None]) -> None:
    """Enrol until it succeeds; `tried` is called once the first answer, or none, has come."""
    backoff = Backoff(host.random)
    while True:
        try:
            answer = await gateway.enrol(version, process)
        except OrbitalError as error:
            log.warning("not_enrolled", reason=error.reason, error=error.message)
            tried()
        else:
            skew = host.now() - seconds(answer.time)
            log.info("enrolled", labels=dict(answer.labels), clock_skew_seconds=round(skew, 3))
            tried()
            return
        await asyncio.sleep(backoff.next())
