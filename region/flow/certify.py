"""Keeps the key of receipts certified; a region that is cut off signs all the same, and is certified later."""

from __future__ import annotations

from region.ports.gateway import Gateway
from region.ports.host import Host
from region.ports.receipts import Signer
from runtime.errors import OrbitalError
from runtime.lifecycle import Backoff
from runtime.logs import get_logger
from runtime.wellknown import seconds

log = get_logger(__name__)

RENEW_AT = 2 / 3
LEAST_SECONDS = 1.0
# By a clock that is wrong every certificate may have ended already.
WRONG_CLOCK_SECONDS = 60.0


async def certify(gateway: Gateway, signer: Signer, region: str, host: Host) -> None:
    """Have it certified, and again at two thirds of the certificate's life, for ever."""
    backoff = Backoff(host.random)
    while True:
        try:
            answer = await gateway.certify(await signer.request(f"{region} receipts"))
        except OrbitalError as error:
            log.warning("receipts_not_certified", reason=error.reason, error=error.message)
            await host.sleep(backoff.next())
            continue
        backoff.reset()
        life = seconds(answer.expire_time) - host.now()
        log.info("receipts_certified", lifetime_seconds=round(life))
        await host.sleep(max(LEAST_SECONDS, life * RENEW_AT) if life > 0 else WRONG_CLOCK_SECONDS)
