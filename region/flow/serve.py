"""serve: L4 keys wrapped and unwrapped by the L3 of a Service, for as long as tenant, System and lease allow it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from region.domain import envelope
from region.domain.names import Name
from region.domain.usage import Usage
from region.flow.key_access import KeyAccess
from region.flow.keyring import ServiceKeys
from region.ports.host import Host
from region.ports.serving import Item
from runtime.errors import Invalid, NotFound, OrbitalError, Precondition

T = TypeVar("T")


class Cipher:
    """The keys of a Service during one call; nothing may be awaited while it lives."""

    def __init__(self, service: Name, held: ServiceKeys, entropy: Callable[[int], bytes]) -> None:
        self._service = service
        self._held = held
        self._entropy = entropy
        self._ciphers: dict[int, AESGCM] = {}
        self.newest = held.newest

    def seal(self, item: Item) -> bytes:
        """The L4 wrapped by the newest version."""
        return self.seal_all([item])[0]

    def seal_all(self, items: Sequence[Item]) -> list[bytes]:
        """Each L4 wrapped by the newest version; one draw of entropy for all, because a draw costs more than a key."""
        encrypt = self._cipher(self.newest).encrypt
        prefix, bound = envelope.prefix(self.newest), envelope.bound(self._service.resource)
        nonces = self._entropy(envelope.NONCE * len(items))
        sealed = []
        for index, (content, associated_data) in enumerate(items):
            nonce = nonces[index * envelope.NONCE : (index + 1) * envelope.NONCE]
            header = prefix + nonce
            sealed.append(header + encrypt(nonce, content, bound + header + associated_data))
        return sealed

    def open(self, item: Item) -> tuple[bytes, int]:
        """The L4 and the version that wrapped it; raises Invalid, NotFound or Precondition."""
        sealed = envelope.unpack(item.content)
        bound = envelope.associated(self._service.resource, sealed.header(), item.associated_data)
        try:
            return self._cipher(sealed.version).decrypt(sealed.nonce, sealed.sealed, bound), sealed.version
        except InvalidTag:
            raise Invalid(
                "ciphertext was altered, or belongs to another Service or other associated_data",
                reason="INVALID_CIPHERTEXT",
                field="ciphertext",
            ) from None

    def again(self, item: Item) -> bytes:
        """The L4 wrapped by the newest version instead of the one that wrapped it; raises as `open` does."""
        plaintext, _ = self.open(item)
        return self.seal(Item(plaintext, item.associated_data))

    def _cipher(self, version: int) -> AESGCM:
        if version not in self._ciphers:
            self._ciphers[version] = AESGCM(self._material(version))
        return self._ciphers[version]

    def _material(self, version: int) -> bytearray:
        if 0 < version < self._held.compromised_below:
            raise Precondition(
                f"Version {version} of {self._service.resource} is compromised; nothing is unwrapped by it",
                reason="KEY_COMPROMISED",
            )
        material = self._held.versions.get(version)
        if material is None:
            raise NotFound(
                f"{self._service.resource} has no key version {version}",
                reason="KEY_VERSION_UNKNOWN",
                field="ciphertext",
            )
        return material


def _at(index: int, call: Callable[[Item], T], item: Item) -> T:
    """What the call gives; its error says which item was wrong."""
    try:
        return call(item)
    except OrbitalError as error:
        error.field = f"items[{index}].{error.field or 'ciphertext'}"
        raise


class Serve:
    """See region.ports.serving.Serving. What was served is counted in `usage`."""

    def __init__(self, *, access: KeyAccess, host: Host, usage: Usage | None = None) -> None:
        self._access = access
        self._host = host
        self._usage = usage or Usage(host.now())

    async def wrap(self, service: Name, plaintext: bytes, associated_data: bytes) -> tuple[bytes, int]:
        """See the port."""
        sealed, version = await self.wrap_all(service, [Item(plaintext, associated_data)])
        return sealed[0], version

    async def unwrap(self, service: Name, ciphertext: bytes, associated_data: bytes) -> tuple[bytes, int]:
        """See the port."""
        opened = (await self._cipher(service)).open(Item(ciphertext, associated_data))
        self._count(service, unwraps=1)
        return opened

    async def rewrap(self, service: Name, ciphertext: bytes, associated_data: bytes) -> tuple[bytes, int]:
        """See the port."""
        cipher = await self._cipher(service)
        sealed = cipher.again(Item(ciphertext, associated_data))
        self._count(service, wraps=1)
        return sealed, cipher.newest

    async def wrap_all(self, service: Name, items: Sequence[Item]) -> tuple[list[bytes], int]:
        """See the port."""
        cipher = await self._cipher(service)
        sealed = cipher.seal_all(items)
        self._count(service, wraps=len(items))
        return sealed, cipher.newest

    async def unwrap_all(self, service: Name, items: Sequence[Item]) -> list[bytes]:
        """See the port."""
        cipher = await self._cipher(service)
        opened = [_at(index, cipher.open, item)[0] for index, item in enumerate(items)]
        self._count(service, unwraps=len(items))
        return opened

    async def rewrap_all(self, service: Name, items: Sequence[Item]) -> tuple[list[bytes], int]:
        """See the port."""
        cipher = await self._cipher(service)
        sealed = [_at(index, cipher.again, item) for index, item in enumerate(items)]
        self._count(service, wraps=len(items))
        return sealed, cipher.newest

    async def generate(self, service: Name, size: int, associated_data: bytes) -> tuple[bytes, bytes, int]:
        """See the port."""
        plaintexts, sealed, version = await self.generate_all(service, size, 1, associated_data)
        return plaintexts[0], sealed[0], version

    async def reach(self, service: Name) -> None:
        """See the port."""

    async def generate_all(
        self, service: Name, size: int, count: int, associated_data: bytes
    ) -> tuple[list[bytes], list[bytes], int]:
        """See the port."""
        cipher = await self._cipher(service)
        drawn = self._host.entropy(size * count)
        plaintexts = [drawn[at : at + size] for at in range(0, size * count, size)]
        sealed = cipher.seal_all([Item(one, associated_data) for one in plaintexts])
        self._count(service, wraps=count)
        return plaintexts, sealed, cipher.newest

    def _count(self, service: Name, *, wraps: int = 0, unwraps: int = 0) -> None:
        self._usage.add(service.tenant, service.system, self._host.now(), wraps=wraps, unwraps=unwraps)

    async def _cipher(self, service: Name) -> Cipher:
        return Cipher(service, await self._access.keys(service), self._host.entropy)
