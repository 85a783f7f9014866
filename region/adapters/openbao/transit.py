"""L2 keys in transit: imported, never exportable, never made by transit itself."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

from region.ports.host import Host
from region.ports.vault import VERSION_REFUSED, Permit, PermitRevoked, TransitKey
from runtime.errors import Conflict, NotFound, OrbitalError, Stalled, Unavailable
from runtime.openbao import Answer, OpenBao

# OpenBao's listener bounds the strings of one request, field names included, to 1,000 unless told otherwise.
BATCH = 400
CHANGE_TIMEOUT = 3.0
# Said in full: "not found" alone is also what a cluster without a leader answers.
ABSENT = (
    "encryption key not found",
    "no existing key named",
    "no key found with name",
    "could not delete key; not found",
)
# The first question ever makes OpenBao generate it: RSA of 4,096 bits.
WRAPPING_KEY_TIMEOUT = 30.0
TOO_OLD = "disallowed by policy (too old)"
KEY_TYPE = "aes256-gcm96"


class BaoTransit:
    """See region.ports.vault.Transit."""

    def __init__(self, openbao: OpenBao, mount: str, host: Host) -> None:
        self._openbao = openbao
        self._mount = mount
        self._host = host
        self._wrapping: rsa.RSAPublicKey | None = None
        self._made_safe = False
        # What is asked once a process is asked by one task, however many wait for it.
        self._once = asyncio.Lock()

    async def key(self, name: str) -> TransitKey | None:
        """See the port."""
        answer = await self._openbao.call("GET", f"{self._mount}/keys/{name}")
        if answer.status == 404:
            return None
        _check(answer, name)
        found = answer.body["data"]
        return TransitKey(
            int(found["latest_version"]), bool(found.get("imported_key")), int(found["min_decryption_version"])
        )

    async def names(self) -> list[str]:
        """See the port."""
        answer = await self._openbao.call("LIST", f"{self._mount}/keys")
        if answer.status == 404:
            return []
        _check(answer, "keys")
        # A folder is OpenBao's own: it keeps the key that wraps imports in one.
        return [name for name in answer.body["data"]["keys"] if not name.endswith("/")]

    async def prepare_import(self) -> None:
        """See the port."""
        async with self._once:
            if self._wrapping is not None:
                return
            path = f"{self._mount}/wrapping_key"
            answer = await self._openbao.call("GET", path, seconds=WRAPPING_KEY_TIMEOUT)
            _check(answer, "wrapping_key")
            loaded = serialization.load_pem_public_key(answer.body["data"]["public_key"].encode())
            assert isinstance(loaded, rsa.RSAPublicKey)
            self._wrapping = loaded

    async def import_version(self, name: str, material: bytearray, permit: Permit, *, first: bool) -> None:
        """See the port."""
        async with _bounded("import", name):
            await self._import(name, material, permit, first=first)

    async def _import(self, name: str, material: bytearray, permit: Permit, *, first: bool) -> None:
        body: dict[str, Any] = {"ciphertext": self._wrapped(material), "hash_function": "SHA256"}
        if first:
            body |= {"type": KEY_TYPE, "allow_rotation": False, "exportable": False}
        action = "import" if first else "import_version"
        answer = await self._change("POST", f"{name}/{action}", permit, body)
        if answer.status >= 400 and first and "existing key" in answer.errors():
            raise Conflict(f"{name} is in transit already", reason="KEY_PRESENT")
        _check(answer, name)

    async def restrict(self, name: str, least: int, permit: Permit) -> None:
        """See the port."""
        async with _bounded("restriction", name):
            body = {"min_decryption_version": least}
            _check(await self._change("POST", f"{name}/config", permit, body), name)

    async def destroy(self, name: str, permit: Permit) -> None:
        """See the port."""
        async with _bounded("deletion", name):
            await self._destroy(name, permit)

    async def _destroy(self, name: str, permit: Permit) -> None:
        answer = await self._change("POST", f"{name}/config", permit, {"deletion_allowed": True})
        if _absent(answer):
            return
        _check(answer, name)
        answer = await self._change("DELETE", name, permit)
        if not _absent(answer):
            _check(answer, name)

    async def _change(self, method: str, path: str, permit: Permit, body: object = None) -> Answer:
        """A request that changes a key: OpenBao itself refuses it once the permit is revoked."""
        answer = await self._openbao.call(method, f"{self._mount}/keys/{path}", body, token=permit.token)
        if answer.status == 403:
            await self._refuse(permit)
        return answer

    async def _refuse(self, permit: Permit) -> None:
        """Raise why a request by this permit was forbidden: Overtaken where it is void, Unavailable else."""
        answer = await self._openbao.call("GET", "auth/token/lookup-self", token=permit.token)
        if answer.status == 403:
            raise PermitRevoked("Somebody else changes the key now")
        raise Unavailable("OpenBao does not let this region change a key in transit", reason="OPENBAO_DENIED")

    async def encrypt(self, name: str, materials: Sequence[bytearray]) -> list[str]:
        """See the port."""
        await self._forbid_making()
        items = [{"plaintext": b64encode(material).decode()} for material in materials]
        return [item["ciphertext"] for item in await self._batch("encrypt", name, items)]

    async def decrypt(self, name: str, texts: Sequence[str]) -> list[bytearray]:
        """See the port."""
        items = await self._batch("decrypt", name, [{"ciphertext": text} for text in texts])
        return [bytearray(b64decode(item["plaintext"])) for item in items]

    async def rewrap(self, name: str, texts: Sequence[str]) -> list[str]:
        """See the port."""
        items = await self._batch("rewrap", name, [{"ciphertext": text} for text in texts])
        return [item["ciphertext"] for item in items]

    async def _forbid_making(self) -> None:
        """Once a process: transit must never make a key because somebody encrypts by a name that is not there."""
        async with self._once:
            if self._made_safe:
                return
            path = f"{self._mount}/config/keys"
            answer = await self._openbao.call("GET", path)
            if answer.status != 200 or not answer.body["data"].get("disable_upsert"):
                _check(await self._openbao.call("POST", path, {"disable_upsert": True}), "config/keys")
            self._made_safe = True

    async def _batch(self, action: str, name: str, items: Sequence[dict[str, str]]) -> list[dict[str, str]]:
        results: list[dict[str, str]] = []
        for first in range(0, len(items), BATCH):
            body = {"batch_input": items[first : first + BATCH]}
            answer = await self._openbao.call("POST", f"{self._mount}/{action}/{name}", body)
            # A refused item may come with status 400; what is wrong stands beside the item all the same.
            found = answer.body.get("data", {}).get("batch_results")
            if not found:
                _check(answer, name)
            broken = next((item["error"] for item in found if item.get("error")), None)
            if broken and TOO_OLD in broken:
                raise Stalled(f"Transit refuses to {action} by an old version of {name}", reason=VERSION_REFUSED)
            if broken:
                raise Stalled(f"Transit cannot {action} by {name}: {broken}", reason="OPENBAO_REFUSED")
            if len(found) != len(body["batch_input"]):
                raise Unavailable(f"Transit answered {len(found)} of {len(body['batch_input'])} questions about {name}")
            results += found
        return results

    def _wrapped(self, material: bytearray) -> str:
        """Material for the way: AES-KWP by a key of its own, that one by RSA-OAEP for transit's wrapping key."""
        assert self._wrapping is not None
        ephemeral = self._host.entropy(32)
        oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
        sealed = self._wrapping.encrypt(ephemeral, oaep)
        return b64encode(sealed + aes_key_wrap_with_padding(ephemeral, bytes(material))).decode()


@asynccontextmanager
async def _bounded(what: str, name: str) -> AsyncIterator[None]:
    """Whoever changes a key in transit has a turn of a few seconds, and gives up well before it ends."""
    try:
        async with asyncio.timeout(CHANGE_TIMEOUT):
            yield
    except TimeoutError as error:
        raise Unavailable(f"The {what} of {name} took too long", reason="OPENBAO_UNREACHABLE") from error


def _no_key(name: str) -> OrbitalError:
    return NotFound(f"{name} is not in transit", reason="KEY_ABSENT")


def _absent(answer: Answer) -> bool:
    """OpenBao has several ways to say that there is no such key."""
    said = answer.errors()
    return answer.status == 404 or (answer.status >= 400 and any(words in said for words in ABSENT))


def _check(answer: Answer, name: str) -> None:
    if _absent(answer):
        raise _no_key(name)
    if answer.status >= 400:
        raise answer.refusal(f"use {name}")
