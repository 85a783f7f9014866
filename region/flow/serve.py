"""serve: L4 keys wrapped and unwrapped by the L3 of a Service, for as long as tenant, System and lease allow it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from region.domain import envelope, keys, lease
from region.domain.names import Name
from region.domain.usage import Usage
from region.flow.keyring import Keyring, ServiceKeys
from region.flow.lease import Beats
from region.handlers.parts import Parts, read_service, read_system, read_tenant
from region.ports.l1 import REFUSED
from region.ports.marks import Proof, Proven
from region.ports.serving import Item
from runtime.errors import Invalid, NotFound, OrbitalError, Precondition, Stalled
from runtime.keystates import STATES, state_of

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


# Told of each System that is served, when its keys are loaded.
Seen = Callable[[Name, keys.SystemRecord], None]


def _unseen(_name: Name, _record: keys.SystemRecord) -> None:
    """Nobody is told."""


def _unsuspected(_name: Name) -> None:
    """Nobody is told."""


class Serve:
    """See region.ports.serving.Serving. What was served is counted in `usage`."""

    def __init__(
        self,
        parts: Parts,
        keyring: Keyring,
        beats: Beats,
        seen: Seen = _unseen,
        usage: Usage | None = None,
        *,
        proof: Proof | None = None,
        suspect: Callable[[Name], None] = _unsuspected,
    ) -> None:
        self._parts = parts
        self._seen = seen
        self._suspect = suspect
        self._usage = usage or Usage(parts.world.now())
        self._keyring = keyring
        self._beats = beats
        self._proof = proof or Proven()

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
        drawn = self._parts.world.entropy(size * count)
        plaintexts = [drawn[at : at + size] for at in range(0, size * count, size)]
        sealed = cipher.seal_all([Item(one, associated_data) for one in plaintexts])
        self._count(service, wraps=count)
        return plaintexts, sealed, cipher.newest

    def _count(self, service: Name, *, wraps: int = 0, unwraps: int = 0) -> None:
        self._usage.add(service.tenant, service.system, self._parts.world.now(), wraps=wraps, unwraps=unwraps)

    async def _cipher(self, service: Name) -> Cipher:
        return Cipher(service, await self._keys(service), self._parts.world.entropy)

    async def _keys(self, service: Name) -> ServiceKeys:
        held = await self._keyring.get(service, lambda: self._load(service))
        self._proof.refuse()
        # Asked at every call and last, so that neither a cached key nor a slow load outlives the lease.
        if lease.expired(self._beats.silence(), held.lease):
            raise Precondition(
                f"The control plane was not heard for longer than the lease of {service.parent_tenant().resource}",
                reason="LEASE_EXPIRED",
            )
        return held

    async def _load(self, service: Name) -> ServiceKeys:
        system_name = service.system_of()
        # None of these may be of a copy that is older than what the region's neighbours know.
        (tenant, _), (system, _), (record, _), _ = await asyncio.gather(
            read_tenant(self._parts, service),
            read_system(self._parts, system_name),
            read_service(self._parts, service),
            self._proof.prove(),
        )
        if tenant is None:
            raise NotFound(f"{service.parent_tenant().resource} is not known here", field="tenant")
        if tenant.retired or (system and system.purged) or (record and record.purged):
            raise Precondition(f"{service.resource} was purged", reason="KEY_DESTROYED")
        if tenant.killed:
            raise Precondition(f"{service.parent_tenant().resource} was killed", reason="TENANT_KILLED")
        if system is None:
            raise NotFound(f"{system_name.resource} is not known here", field="system")
        if record is None:
            raise NotFound(f"{service.resource} is not known here", field="service")
        if system.refused_at:
            raise Precondition(f"The owner of the L1 of {system_name.resource} refused it", reason=REFUSED)
        if system.state is keys.State.UNLINKED:
            self._suspect(system_name)
            raise Precondition(f"{system_name.resource} was unlinked", reason="KEY_REVOKED")
        if system.state is not keys.State.ACTIVE or any(blob.wrapped_by != keys.L2 for blob in record.blobs):
            raise Precondition(f"{system_name.resource} is not linked yet", reason="KEY_PRE_ACTIVE")
        usable = [
            blob
            for blob in record.blobs
            if STATES[state_of(blob.version, len(record.blobs), record.compromised_below, linked=True)].unwraps
        ]
        materials = await self._opened(system_name, [blob.text for blob in usable])
        self._seen(system_name, system)
        versions = {blob.version: material for blob, material in zip(usable, materials, strict=True)}
        return ServiceKeys(versions, tenant.lease, record.compromised_below)

    async def _opened(self, system: Name, texts: list[str]) -> list[bytearray]:
        """The L3 versions; whoever mends keys is told where the L2 does not open them."""
        try:
            return await self._parts.transit.decrypt(system.transit, texts)
        except NotFound as error:
            self._suspect(system)
            raise Precondition(f"{system.resource} was unlinked", reason="KEY_REVOKED") from error
        except Stalled:
            self._suspect(system)
            raise
