"""The logins of regions at OpenBao, which issues their tokens; and the one-time tokens of enrolment, wrapped by it."""

from __future__ import annotations

from runtime.openbao import Answer, OpenBao

NOT_FOUND, REFUSED = 404, 400


class BaoLogins:
    """Implements `Logins` and `Opening`: an AppRole and an entity for each region that has a login."""

    def __init__(self, openbao: OpenBao) -> None:
        self._openbao = openbao

    async def shut(self, region: str) -> None:
        """See the port. Whoever is disabled can use no token that it has, and get none."""
        if await self._has_login(region):
            await self._able(region, able=False)

    async def renew(self, region: str) -> str:
        """See the port."""
        if not await self._has_login(region):
            return ""
        role = f"auth/approle/role/region-{region}"
        listed = await self._openbao.call("LIST", f"{role}/secret-id")
        known = listed.body["data"]["keys"] if listed.status != NOT_FOUND else ()
        fresh = _done(await self._openbao.call("POST", f"{role}/secret-id", {}), "make a secret")
        for accessor in known:
            gone = await self._openbao.call(
                "POST", f"{role}/secret-id-accessor/destroy", {"secret_id_accessor": accessor}
            )
            _done(gone, "destroy a secret")
        await self._able(region, able=True)
        return str(fresh.body["data"]["secret_id"])

    async def _has_login(self, region: str) -> bool:
        return (await self._openbao.call("GET", _entity(region))).status != NOT_FOUND

    async def _able(self, region: str, *, able: bool) -> None:
        _done(await self._openbao.call("POST", _entity(region), {"disabled": not able}), "change a login")


class BaoWrapping:
    """Implements `Wrapping` by response wrapping: what is wrapped can be opened once, and only in time."""

    def __init__(self, openbao: OpenBao) -> None:
        self._openbao = openbao

    async def wrap(self, region: str, seconds: float) -> str:
        """See the port."""
        asked = {"X-Vault-Wrap-TTL": f"{int(seconds)}s"}
        answer = await self._openbao.call("POST", "sys/wrapping/wrap", {"region": region}, headers=asked)
        return str(_done(answer, "wrap a token").body["wrap_info"]["token"])

    async def unwrap(self, token: str) -> str | None:
        """See the port."""
        answer = await self._openbao.call("POST", "sys/wrapping/unwrap", {"token": token})
        if answer.status in (REFUSED, NOT_FOUND):
            return None
        return str(_done(answer, "open a token").body["data"].get("region", ""))


def _entity(region: str) -> str:
    return f"identity/entity/name/region-{region}"


def _done(answer: Answer, what: str) -> Answer:
    if answer.status >= REFUSED:
        raise answer.refusal(what)
    return answer
