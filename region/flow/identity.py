"""Turns a token into the region's identity, at its first start or whenever a new one is laid down."""

from __future__ import annotations

from collections.abc import Callable

from region.ports.host import Host
from region.ports.identity import Enroller, IdentityStore
from runtime.errors import Denied, Invalid, OrbitalError
from runtime.lifecycle import Backoff
from runtime.logs import get_logger

log = get_logger(__name__)

LOOK_SECONDS = 1.0


async def enrol_with_token(
    enroller: Enroller, identity_store: IdentityStore, host: Host, enrolled: Callable[[], None]
) -> None:
    """Redeem every token that is laid down, for ever; `enrolled` is called once an identity is in force."""
    backoff = Backoff(host.random)
    while True:
        if token := identity_store.token():
            try:
                identity_store.take(await enroller.redeem(token, identity_store.request()))
            except (Denied, Invalid) as error:
                # It will not count later either, and an attempt is told as a security event.
                log.error("token_refused", reason=error.reason, error=error.message)
            except OrbitalError as error:
                log.warning("token_waits", reason=error.reason, error=error.message)
                await host.sleep(backoff.next())
                continue
            else:
                log.info("identity_taken")
                enrolled()
            identity_store.forget()
            backoff.reset()
        await host.sleep(LOOK_SECONDS)
