"""access: what the message broker asks before a login, a queue, an exchange or a topic, decided by policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.domain.allowance import Allowances
from gateway.ports.policy import Policy
from gateway.ports.store import Denial, TaskStore
from runtime.logs import get_logger
from runtime.signatures import region_identity

log = get_logger(__name__)

SPIFFE = "spiffe://"
ID = "1"


class Access:
    """See gateway.ports.serving.BrokerAuthorizer."""

    def __init__(
        self,
        policy: Policy,
        denials: TaskStore,
        process: str,
        revoked: Callable[[str], bool],
        allowances: Allowances,
        now: Callable[[], float],
    ) -> None:
        self._policy = policy
        self._denials = denials
        self._process = process
        self._revoked = revoked
        self._allowances = allowances
        self._now = now

    async def allows(self, about: str, asked: Mapping[str, str], *, password: bool) -> bool:
        """See the port."""
        account = asked["username"]
        if not account.startswith(SPIFFE):
            # An account of the broker's own, which the broker judges by itself.
            return False
        request = {"id": ID, "about": about, "password": password, **asked}
        revoked = self._revoked(account.removeprefix(region_identity("")))
        begun, known = self._now(), (about, password, *sorted(asked.items()))
        # Whoever was revoked is never let in by what was allowed before.
        if not revoked and self._allowances.holds(known, begun):
            return True
        question = {"principal": account, "revoked": revoked, "requests": [request]}
        decisions = await self._policy.decide("broker", question, [ID])
        if decisions.allows(ID):
            self._allowances.keep(known, begun)
            return True
        refusal = decisions.refused[ID]
        action = " ".join(
            filter(None, (about, asked["permission"], asked["name"] or asked["vhost"], asked["routing_key"]))
        )
        log.warning("broker access refused", principal=account, action=action, reason=refusal.reason)
        await self._denials.keep_denials(
            [Denial(decisions.decision_id, "broker", account, action, refusal, "", self._process)]
        )
        return False
