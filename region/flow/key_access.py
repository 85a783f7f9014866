"""The keys of a Service, for as long as tenant, System, lease and a current copy of the records allow their use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from region.domain import keys, lease
from region.domain.names import Name
from region.flow.keyring import Keyring, ServiceKeys
from region.flow.lease import Heartbeats
from region.handlers.parts import Parts, read_service, read_system, read_tenant
from region.ports.l1 import REFUSED
from region.ports.marks import Proof, Proven
from runtime.errors import NotFound, Precondition, Stalled
from runtime.keystates import STATES, state_of

# Is told of each System that is served, when its keys are loaded.
Seen = Callable[[Name, keys.SystemRecord], None]


def _unseen(_name: Name, _record: keys.SystemRecord) -> None:
    """Nobody is told."""


def _unsuspected(_name: Name) -> None:
    """Nobody is told."""


class KeyAccess:
    """Gives out keys. `seen` is told of each System that is served, `suspect` of one whose keys do not open."""

    def __init__(
        self,
        *,
        parts: Parts,
        keyring: Keyring,
        heartbeats: Heartbeats,
        proof: Proof | None = None,
        seen: Seen = _unseen,
        suspect: Callable[[Name], None] = _unsuspected,
    ) -> None:
        self._parts = parts
        self._keyring = keyring
        self._heartbeats = heartbeats
        self._proof = proof or Proven()
        self._seen = seen
        self._suspect = suspect

    async def keys(self, service: Name) -> ServiceKeys:
        """The Service's keys; nothing may be awaited between this and their use. Raises NotFound or Precondition."""
        held = await self._keyring.get(service, lambda: self._load(service))
        self._proof.refuse()
        # Asked at every call and last, so that neither a cached key nor a slow load outlives the lease.
        if lease.expired(self._heartbeats.silence(), held.lease):
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
