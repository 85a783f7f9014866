"""An external KMS: the transit engine of the customer's own OpenBao or Vault, used with the customer's own token.

The customer disables a key by withdrawing the policy, revoking the token, deleting the key, or raising its least
version.
"""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import aiohttp
import orjson
from pydantic import Field
from yarl import URL

from region.ports.l1 import UNREACHABLE, Refused
from runtime.answers import read_answer
from runtime.errors import Invalid, Stalled, Unavailable
from runtime.l1 import NAME_INVALID, transit_problem
from runtime.lenient_json import Json, read_json
from runtime.settings import Section, read_secret
from runtime.trust import Trust

TIMEOUT = 3.0
CONNECTIONS = 16
MOST_ANSWER = 256 * 1024  # bytes; a wrapped key has 100
MOST_BLOB = 16_384  # bytes of a wrapped key; ours have 100
CIPHERTEXT = re.compile(rf"vault:v\d{{1,9}}:[A-Za-z0-9+/=]{{1,{MOST_BLOB}}}", re.ASCII)
# What it says of a key that is gone, and of a version that the owner has shut.
GONE = ("encryption key not found", "no existing key named", "no key found with name", "disallowed by policy")
CANARY = b"orbital: may this key still unwrap?"


class Config(Section):
    """ORBITAL_L1__NAME__… of a provider of kind `transit`."""

    address: str = Field(description="https://host:port")
    ca_file: Path = Field(description="Authority of its certificate, PEM")
    token_file: Path = Field(description="File with the customer's token for this region; read anew after a refusal")
    mount: str = Field("transit", description="Mount of the transit engine")
    namespace: str = Field("", description="Namespace of the customer, where there is one")


class TransitProvider:
    """See region.ports.l1.Provider."""

    def __init__(self, session: aiohttp.ClientSession, config: Config) -> None:
        self._session = session
        self._trust = Trust(config.ca_file)
        self._config = config
        self._base = f"{config.address.rstrip('/')}/v1/{config.mount}"
        # Something of ours by each key, so that asking needs no tenant's blob; made when a key is first asked about.
        self._canaries: dict[str, bytes] = {}

    async def wrap(self, label: str, material: bytearray) -> bytes:
        """See the port."""
        found = await self._call("encrypt", label, {"plaintext": b64encode(material).decode()})
        blob = found.at("ciphertext").exact()
        # What says nothing of the kind is no KMS: a blob that it could not open again must not be kept.
        if not CIPHERTEXT.fullmatch(blob):
            raise Unavailable("The KMS answers with no ciphertext", reason=UNREACHABLE)
        return blob.encode()

    async def unwrap(self, label: str, blob: bytes) -> bytearray:
        """See the port."""
        try:
            text = blob.decode("ascii")
        except UnicodeDecodeError as error:
            raise _foreign(label) from error
        found = await self._call("decrypt", label, {"ciphertext": text})
        try:
            return bytearray(b64decode(found.at("plaintext").exact(), validate=True))
        except ValueError as error:
            raise _foreign(label) from error

    async def ask(self, label: str) -> None:
        """See the port."""
        canary = self._canaries.get(label)
        if canary is None:
            canary = self._canaries[label] = await self.wrap(label, bytearray(CANARY))
        await self.unwrap(label, canary)

    async def _call(self, action: str, label: str, body: dict[str, str]) -> Json:
        problem = transit_problem(label)
        if problem:
            raise Invalid(f"The L1 key {label!r} {problem}", reason=NAME_INVALID, field="key")
        where = URL(f"{self._base}/{action}/{quote(label, safe='')}", encoded=True)
        try:
            headers = {"X-Vault-Token": read_secret(self._config.token_file).get_secret_value()}
            if self._config.namespace:
                headers["X-Vault-Namespace"] = self._config.namespace
            async with (
                asyncio.timeout(TIMEOUT),
                self._session.post(
                    where, data=orjson.dumps(body), headers=headers, ssl=self._trust.context()
                ) as answer,
            ):
                status, found = answer.status, read_json(await read_answer(answer, MOST_ANSWER))
        except (aiohttp.ClientError, OSError, TimeoutError, Invalid) as error:
            raise Unavailable(f"The KMS does not answer: {type(error).__name__}", reason=UNREACHABLE) from error
        if status == 200:
            return found.at("data")
        raise _refusal(status, "; ".join(each.text() for each in found.at("errors").items()), label)


def _refusal(status: int, said: str, label: str) -> Exception:
    """Which of the answers that are no success it is."""
    if status in {401, 403}:
        return Refused(f"The owner of {label!r} does not let this region use it")
    if status in {400, 404} and any(words in said for words in GONE):
        return Refused(f"The owner of {label!r} took it away, or shut its version")
    if status in {404, 405, 429} or status >= 500:
        return Unavailable(f"The KMS answered {status}", reason=UNREACHABLE)
    return _foreign(label)


def _foreign(label: str) -> Stalled:
    return Stalled(f"The key {label!r} does not unwrap this blob", reason="BLOB_REFUSED")


@asynccontextmanager
async def open_provider(config: Config) -> AsyncIterator[TransitProvider]:
    """The provider on a pool of connections; it does not have to be there yet."""
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    headers = {"Content-Type": "application/json", "X-Vault-Request": "true"}
    async with aiohttp.ClientSession(connector=connector, headers=headers, trust_env=False) as session:
        yield TransitProvider(session, config)
