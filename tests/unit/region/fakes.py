"""A region's parts in memory, with the rules of the real ones: check-and-set, versions, keys that never leave."""

from __future__ import annotations

import asyncio
import base64
import itertools
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding, aes_key_wrap_with_padding

from region.handlers.parts import Parts
from region.ports.edge import EdgeRecords
from region.ports.host import Host
from region.ports.l1 import Refused
from region.ports.vault import VERSION_REFUSED, Permit, PermitRevoked, StoredRecord, TransitKey
from runtime.errors import Conflict, NotFound, Stalled, Unavailable


class FakeStore:
    """KV v2 with check-and-set required. What one process of a region wrote last is remembered by that one alone."""

    def __init__(self, records: dict[str, tuple[dict[str, Any], int]] | None = None) -> None:
        self.records: dict[str, tuple[dict[str, Any], int]] = {} if records is None else records
        self._written: dict[str, StoredRecord] = {}

    def of_another_process(self) -> FakeStore:
        """The same records, as another process sees them."""
        return FakeStore(self.records)

    async def read(self, path: str) -> StoredRecord | None:
        await asyncio.sleep(0)
        return StoredRecord(*self.records[path]) if path in self.records else None

    async def write(self, path: str, fields: Mapping[str, Any], revision: int) -> int:
        await asyncio.sleep(0)
        self._written.pop(path, None)
        if self.records.get(path, ({}, 0))[1] != revision:
            raise Conflict("changed")
        self.records[path] = (dict(fields), revision + 1)
        self._written[path] = StoredRecord(dict(fields), revision + 1)
        return revision + 1

    async def recall(self, path: str) -> StoredRecord | None:
        await asyncio.sleep(0)
        return self._written.get(path)

    async def forget_older(self, path: str) -> None:
        await asyncio.sleep(0)

    async def names(self, folder: str) -> list[str]:
        await asyncio.sleep(0)
        prefix = folder + "/"
        found = [path.removeprefix(prefix) for path in self.records if path.startswith(prefix)]
        return [name for name in found if "/" not in name]

    async def folders(self, folder: str) -> list[str]:
        await asyncio.sleep(0)
        prefix = folder + "/"
        found = [path.removeprefix(prefix) for path in self.records if path.startswith(prefix)]
        return list(dict.fromkeys(name.split("/")[0] for name in found if "/" in name))


class FakePermits:
    """Permits that OpenBao knows: what is asked by one that is not among `live` is refused."""

    def __init__(self) -> None:
        self.live: set[str] = set()
        self.idle: list[Permit] = []

    async def take(self) -> Permit:
        await asyncio.sleep(0)
        if self.idle:
            return self.idle.pop()
        permit = Permit(secrets.token_hex(4))
        self.live.add(permit.accessor)
        return permit

    def give_back(self, permit: Permit) -> None:
        self.idle.append(permit)

    def discard(self, permit: Permit) -> None:
        pass

    async def revoke(self, accessor: str) -> None:
        await asyncio.sleep(0)
        self.live.discard(accessor)

    def check(self, permit: Permit) -> None:
        if permit.accessor not in self.live:
            raise PermitRevoked("revoked")


class FakeTransit:
    """Transit whose keys count every import, so that a test sees material made twice."""

    def __init__(self, permits: FakePermits | None = None) -> None:
        self.keys: dict[str, list[bytes]] = {}
        self.least: dict[str, int] = {}
        self.permits = permits or FakePermits()

    def _key(self, name: str) -> list[bytes]:
        if name not in self.keys:
            raise NotFound("absent", reason="KEY_ABSENT")
        return self.keys[name]

    async def key(self, name: str) -> TransitKey | None:
        await asyncio.sleep(0)
        if name not in self.keys:
            return None
        return TransitKey(len(self.keys[name]), imported=True, least=self.least.get(name, 1))

    async def names(self) -> list[str]:
        await asyncio.sleep(0)
        return list(self.keys)

    async def restrict(self, name: str, least: int, permit: Permit) -> None:
        await asyncio.sleep(0)
        self.permits.check(permit)
        self._key(name)
        self.least[name] = least

    async def prepare_import(self) -> None:
        await asyncio.sleep(0)

    async def import_version(self, name: str, material: bytearray, permit: Permit, *, first: bool) -> None:
        await asyncio.sleep(0)
        self.permits.check(permit)
        if not first:
            self._key(name).append(bytes(material))
        elif name in self.keys:
            raise Conflict("present")
        else:
            self.keys[name] = [bytes(material)]

    async def destroy(self, name: str, permit: Permit) -> None:
        await asyncio.sleep(0)
        self.permits.check(permit)
        self.keys.pop(name, None)
        self.least.pop(name, None)

    async def encrypt(self, name: str, materials: Sequence[bytearray]) -> list[str]:
        await asyncio.sleep(0)
        versions = self._key(name)
        texts = []
        for material in materials:
            nonce = secrets.token_bytes(12)
            sealed = nonce + AESGCM(versions[-1]).encrypt(nonce, bytes(material), None)
            texts.append(f"vault:v{len(versions)}:{base64.b64encode(sealed).decode()}")
        return texts

    async def decrypt(self, name: str, texts: Sequence[str]) -> list[bytearray]:
        await asyncio.sleep(0)
        versions = self._key(name)
        opened = []
        for text in texts:
            _, version, sealed = text.split(":")
            if int(version[1:]) < self.least.get(name, 1):
                raise Stalled("too old", reason=VERSION_REFUSED)
            raw = base64.b64decode(sealed)
            try:
                opened.append(bytearray(AESGCM(versions[int(version[1:]) - 1]).decrypt(raw[:12], raw[12:], None)))
            except (InvalidTag, IndexError) as error:
                raise Stalled("no ciphertext of this key", reason="OPENBAO_REFUSED") from error
        return opened

    async def rewrap(self, name: str, texts: Sequence[str]) -> list[str]:
        return await self.encrypt(name, await self.decrypt(name, texts))


class FakeHsm:
    """Keys by label, made at first use."""

    def __init__(self) -> None:
        self.keys: dict[str, bytes] = {}
        self.away = False
        self.refused: set[str] = set()

    def _key(self, label: str) -> bytes:
        if label in self.refused:
            raise Refused("disabled")
        if self.away:
            raise Unavailable("away", reason="HSM_UNREACHABLE")
        return self.keys.setdefault(label, secrets.token_bytes(32))

    async def ask(self, label: str) -> None:
        await asyncio.sleep(0)
        self._key(label)

    async def wrap(self, label: str, material: bytearray) -> bytes:
        await asyncio.sleep(0)
        return aes_key_wrap_with_padding(self._key(label), bytes(material))

    async def unwrap(self, label: str, blob: bytes) -> bytearray:
        await asyncio.sleep(0)
        return bytearray(aes_key_unwrap_with_padding(self._key(label), blob))


class FakeCache:
    """Remembers what was dropped."""

    def __init__(self) -> None:
        self.dropped: list[tuple[str, str]] = []

    def drop(self, tenant: str, system: str = "") -> None:
        self.dropped.append((tenant, system))


class FakeEdges:
    """The database of edge policy."""

    def __init__(self) -> None:
        self.policies: dict[str, tuple[int, bytes]] = {}
        self.tenants: dict[str, tuple[int, bool]] = {}
        self.whole = False

    async def keep(self, policy: str, generation: int, body: bytes) -> int:
        await asyncio.sleep(0)
        if generation > self.policies.get(policy, (0, b""))[0]:
            self.policies[policy] = (generation, body)
        return self.policies[policy][0]

    async def kill(self, tenant: str, generation: int) -> None:
        await self._judge(tenant, generation, killed=True)

    async def revive(self, tenant: str, generation: int) -> None:
        await self._judge(tenant, generation, killed=False)

    async def _judge(self, tenant: str, generation: int, *, killed: bool) -> None:
        await asyncio.sleep(0)
        self.tenants[tenant] = max(self.tenants.get(tenant, (0, False)), (generation, killed))

    async def complete(self) -> bool:
        return self.whole

    async def completed(self) -> None:
        self.whole = True

    async def kept(self) -> EdgeRecords:
        killed = {name: generation for name, (generation, dead) in sorted(self.tenants.items()) if dead}
        return EdgeRecords([body for _, (_, body) in sorted(self.policies.items())], killed)

    async def changed(self, seconds: float) -> bool:
        await asyncio.sleep(seconds)
        return False


class FakeHost:
    """A clock that only tests and sleeping move."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        self.time = start
        self.made = 0

    async def sleep(self, seconds: float) -> None:
        # What was begun at this moment runs at this moment.
        await asyncio.sleep(0)
        self.time += seconds
        await asyncio.sleep(0)

    def entropy(self, size: int) -> bytes:
        self.made += 1
        return secrets.token_bytes(size)

    def host(self) -> Host:
        return Host(lambda: self.time, lambda: 0.5, self.entropy, self.sleep)


def fake_parts(host: FakeHost | None = None) -> Parts:
    """Everything in memory."""
    permits, clock = FakePermits(), (host or FakeHost()).host()
    return Parts(FakeStore(), FakeTransit(permits), FakeHsm(), FakeCache(), clock, FakeEdges(), permits)


def restarted(parts: Parts) -> Parts:
    """The same parts as the process that comes after sees them: it remembers nothing."""
    permits = FakePermits()
    permits.live = cast("FakePermits", parts.permits).live
    return replace(parts, store=cast("FakeStore", parts.store).of_another_process(), permits=permits)


class Crash(BaseException):
    """The process died."""


class Crashing:
    """Stands before a part and dies at the n-th call of any part, before or after it took effect."""

    def __init__(self, part: Any, steps: Iterator[int], at: int, *, after: bool, apart: tuple[str, ...] = ()) -> None:
        self._apart = apart
        self._part = part
        self._steps = steps
        self._at = at
        self._after = after

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._part, name)
        if name in self._apart:
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            step = next(self._steps)
            if step == self._at and not self._after:
                raise Crash
            try:
                return await method(*args, **kwargs)
            finally:
                if step == self._at and self._after:
                    raise Crash

        return call


def crashing(parts: Parts, at: int, *, after: bool) -> tuple[Parts, Iterator[int]]:
    """The parts, dying at step `at`; and the counter, which has passed `at` when the crash came."""
    steps = itertools.count()
    store, transit, hsm = (Crashing(part, steps, at, after=after) for part in (parts.store, parts.transit, parts.hsm))
    edges = Crashing(parts.edges, steps, at, after=after)
    permits = Crashing(parts.permits, steps, at, after=after, apart=("give_back", "discard"))
    crashed: Any = Parts(store, transit, hsm, parts.cache, parts.host, edges, permits)  # type: ignore[arg-type]
    return crashed, steps
