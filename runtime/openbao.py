"""A pooled client of OpenBao's HTTP API that logs in by AppRole and stays logged in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import hvac
import orjson
import requests

from runtime.answers import BoundedSession, read_answer
from runtime.errors import Invalid, OrbitalError, Stalled, Unavailable
from runtime.lenient_json import read_json
from runtime.logs import get_logger
from runtime.settings import read_secret
from runtime.trust import Trust

log = get_logger(__name__)

TIMEOUT = 5.0
CONNECTIONS = 64
NO_MOUNT = "no handler for route"
NO_HEADERS: Mapping[str, str] = {}
# OpenBao writes these headers into its audit records, where its operator has them listed.
CORRELATION_HEADER = "x-orbital-correlation-id"
ATTEMPT_HEADER = "x-orbital-attempt"
_AUDITED: ContextVar[Mapping[str, str]] = ContextVar("audited", default={})  # noqa: B039 (never changed in place)


@contextmanager
def audited(correlation_id: str, attempt: str = "") -> Iterator[None]:
    """Every request made inside names these in the audit records of OpenBao."""
    headers = {CORRELATION_HEADER: correlation_id} | ({ATTEMPT_HEADER: attempt} if attempt else {})
    before = _AUDITED.set(headers)
    try:
        yield
    finally:
        _AUDITED.reset(before)


def audited_as() -> tuple[tuple[str, str], ...]:
    """What a request made now names in the audit records of OpenBao."""
    return tuple(_AUDITED.get().items())


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: its status and its JSON, {} when there is none."""

    status: int
    body: Mapping[str, Any]

    def errors(self) -> str:
        """What OpenBao says went wrong; it never repeats a value."""
        return "; ".join(str(error).strip() for error in self.body.get("errors", ()))

    def refusal(self, what: str) -> OrbitalError:
        """The error of an answer that is none of those the caller knows: an internal one may pass, another will not."""
        if self.status >= 500:
            return Unavailable(f"OpenBao cannot {what} now: {self.errors()}", reason="OPENBAO_UNAVAILABLE")
        return Stalled(f"OpenBao cannot {what}: {self.errors()}", reason="OPENBAO_REFUSED")


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in: the server, the authority of its certificate, the files with the AppRole's two IDs."""

    address: str
    ca_file: Path
    role_id_file: Path
    secret_id_file: Path

    def client(self, token: str | None = None) -> hvac.Client:
        """A blocking client, for logins and what is asked once."""
        return hvac.Client(url=self.address, token=token, timeout=TIMEOUT, session=BoundedSession(self.ca_file))

    def token(self) -> tuple[str, float]:
        """Log in (blocking): the token and the seconds it lives."""
        auth = self.client().auth.approle.login(
            role_id=read_secret(self.role_id_file).get_secret_value(),
            secret_id=read_secret(self.secret_id_file).get_secret_value(),
        )["auth"]
        return auth["client_token"], float(auth["lease_duration"])


class OpenBao:
    """Requests with a live token; Unavailable, with a reason, whenever the server cannot do its work."""

    def __init__(self, session: aiohttp.ClientSession, login: Login) -> None:
        self._session = session
        self._login = login
        self._base = login.address.rstrip("/") + "/v1/"
        self._trust = Trust(login.ca_file)
        self._token = ""
        self._renew_at = 0.0
        self._logging_in = asyncio.Lock()

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        seconds: float = TIMEOUT,
        headers: Mapping[str, str] = NO_HEADERS,
        token: str = "",
    ) -> Answer:
        """One request; the answer is not that OpenBao is away, sealed or busy, or that the token is bad.

        By a `token` of the caller's own it is asked once, and 403 is an answer like others.
        """
        answer = await self._send(method, path, body, seconds, headers, token)
        if answer.status == 403 and not token:
            # A token may be gone with a restored or restarted server: one new login tells that from a missing right.
            self._renew_at = 0.0
            answer = await self._send(method, path, body, seconds, headers, token)
        if answer.status == 403 and not token:
            raise Unavailable(f"OpenBao does not let this region {method} {path}", reason="OPENBAO_DENIED")
        if answer.status == 503:
            raise Unavailable("OpenBao is sealed or not ready", reason="OPENBAO_SEALED")
        if answer.status == 404 and NO_MOUNT in answer.errors():
            # "Not found" is an answer of an engine; where the engine is not there, nothing was looked at.
            raise Unavailable(f"OpenBao has no engine that answers to {path}", reason="OPENBAO_MOUNT_MISSING")
        # 500 stays: some of OpenBao's plain refusals come with it.
        if answer.status > 500 or answer.status == 429:
            raise Unavailable(f"OpenBao answered {answer.status}", reason="OPENBAO_UNAVAILABLE")
        return answer

    async def _send(
        self, method: str, path: str, body: object, seconds: float, more: Mapping[str, str], token: str
    ) -> Answer:
        token = token or await self._live_token()
        headers = {"X-Vault-Token": token, "X-Vault-Request": "true", **_AUDITED.get(), **more}
        content = None if body is None else orjson.dumps(body)
        try:
            async with (
                asyncio.timeout(seconds),
                self._session.request(
                    method, self._base + path, data=content, headers=headers, ssl=self._trust.context()
                ) as response,
            ):
                return Answer(response.status, _read(await read_answer(response)))
        except (aiohttp.ClientError, OSError, TimeoutError, Invalid) as error:
            raise _away(error) from error

    async def _live_token(self) -> str:
        async with self._logging_in:
            if time.monotonic() >= self._renew_at:
                self._token, seconds = await self._log_in()
                self._renew_at = time.monotonic() + seconds * 2 / 3
        return self._token

    async def _log_in(self) -> tuple[str, float]:
        try:
            async with asyncio.timeout(TIMEOUT * 2):
                return await asyncio.to_thread(self._login.token)
        except (requests.RequestException, OSError, TimeoutError) as error:
            raise _away(error) from error
        except hvac.exceptions.VaultDown as error:
            raise Unavailable("OpenBao is sealed or not ready", reason="OPENBAO_SEALED") from error
        except (hvac.exceptions.VaultError, Invalid) as error:
            # The exception's text holds the request's path at most; its type is enough.
            raise Unavailable(
                f"OpenBao refused the region's login: {type(error).__name__}", reason="OPENBAO_LOGIN"
            ) from error


def _read(raw: bytes) -> dict[str, Any]:
    """The answer's object; what something on the way answers in place of OpenBao is none."""
    found = read_json(raw)
    if found.value is not None and not found.is_object:
        raise Invalid("OpenBao answers with no object", reason="MALFORMED")
    return found.value or {}


def _away(error: BaseException) -> OrbitalError:
    return Unavailable(f"OpenBao does not answer: {type(error).__name__}", reason="OPENBAO_UNREACHABLE")


@asynccontextmanager
async def open_openbao(login: Login) -> AsyncIterator[OpenBao]:
    """A client on one pool of connections."""
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    # Each request has a time-out of its own, there are no cookies, and what is not compressed need not be asked for.
    session_settings: dict[str, Any] = {
        "timeout": aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT),
        "cookie_jar": aiohttp.DummyCookieJar(),
        "headers": {"Content-Type": "application/json"},
        "skip_auto_headers": ("Accept", "Accept-Encoding", "User-Agent"),
    }
    async with aiohttp.ClientSession(connector=connector, trust_env=False, **session_settings) as session:
        yield OpenBao(session, login)
