"""Keeps the bearer token fresh by which a region reaches the gateway, where it does so by token."""

from __future__ import annotations

from collections.abc import Callable

from region.flow.signals import Wakeup
from region.ports.host import Host
from region.ports.identity import Tokens
from runtime.errors import Invalid, Unavailable
from runtime.lifecycle import Backoff
from runtime.logs import get_logger

log = get_logger(__name__)

RENEW_AT = 2 / 3
LEAST_SECONDS = 1.0


async def keep_bearer(tokens: Tokens, put: Callable[[str], None], host: Host, fresh: Wakeup) -> None:
    """Renew the token at two thirds of its life, for ever; while the issuer is away, what was `put` last stays.

    `fresh` is given when there is a new login, whose tokens alone may count.
    """
    backoff = Backoff(host.random)
    while True:
        try:
            token, life = await tokens.fetch()
            put(token)
        except (Unavailable, Invalid, OSError) as error:
            log.warning("bearer_not_renewed", error=str(error))
            await fresh.wait(backoff.next())
            continue
        backoff.reset()
        log.info("bearer_renewed", lifetime_seconds=life)
        await fresh.wait(max(LEAST_SECONDS, life * RENEW_AT))
