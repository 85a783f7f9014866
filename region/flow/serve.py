"""serve: L4 keys wrapped and unwrapped by the L3 of a Service, for as long as tenant, System and lease allow it."""

from __future__ import annotations

import asyncio

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from region.domain import envelope, keys, lease
from region.domain.names import Name
from region.domain.states import STATES, state_of
from region.flow.keyring import Keyring, ServiceKeys
from region.flow.lease import Beats
from region.handlers.parts import Parts, read_service, read_system, read_tenant
from runtime.errors import Invalid, NotFound, Precondition


class Serve:
    """See region.ports.serving.Serving."""

    def __init__(self, parts: Parts, keyring: Keyring, beats: Beats) -> None:
        self._parts = parts
        self._keyring = keyring
        self._beats = beats

    async def wrap(self, service: Name, plaintext: bytes, associated_data: bytes) -> tuple[bytes, int]:
        """See the port."""
        held = await self._keys(service)
        sealed = envelope.Envelope(held.newest, self._parts.world.entropy(envelope.NONCE), b"")
        header = sealed.header()
        bound = envelope.associated(service.resource, header, associated_data)
        return header + AESGCM(held.versions[held.newest]).encrypt(sealed.nonce, plaintext, bound), held.newest

    async def unwrap(self, service: Name, ciphertext: bytes, associated_data: bytes) -> tuple[bytes, int]:
        """See the port."""
        sealed = envelope.unpack(ciphertext)
        held = await self._keys(service)
        if 0 < sealed.version < held.compromised_below:
            raise Precondition(
                f"Version {sealed.version} of {service.resource} is compromised; nothing is unwrapped by it",
                reason="KEY_COMPROMISED",
            )
        material = held.versions.get(sealed.version)
        if material is None:
            raise NotFound(
                f"{service.resource} has no key version {sealed.version}",
                reason="KEY_VERSION_UNKNOWN",
                field="ciphertext",
            )
        bound = envelope.associated(service.resource, sealed.header(), associated_data)
        try:
            return AESGCM(material).decrypt(sealed.nonce, sealed.sealed, bound), sealed.version
        except InvalidTag:
            raise Invalid(
                "ciphertext was altered, or belongs to another Service or other associated_data",
                reason="INVALID_CIPHERTEXT",
                field="ciphertext",
            ) from None

    async def _keys(self, service: Name) -> ServiceKeys:
        held = await self._keyring.get(service, lambda: self._load(service))
        # Asked at every call and last, so that neither a cached key nor a slow load outlives the lease.
        if lease.expired(self._beats.last, held.lease, self._parts.world.now()):
            raise Precondition(
                f"The control plane was not heard for longer than the lease of {service.parent_tenant().resource}",
                reason="LEASE_EXPIRED",
            )
        return held

    async def _load(self, service: Name) -> ServiceKeys:
        system_name = service.system_of()
        (tenant, _), (system, _), (record, _) = await asyncio.gather(
            read_tenant(self._parts, service),
            read_system(self._parts, system_name),
            read_service(self._parts, service),
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
        if system.state is keys.State.UNLINKED:
            raise Precondition(f"{system_name.resource} was unlinked", reason="KEY_REVOKED")
        if system.state is not keys.State.ACTIVE or any(blob.wrapped_by != keys.L2 for blob in record.blobs):
            raise Precondition(f"{system_name.resource} is not linked yet", reason="KEY_PRE_ACTIVE")
        usable = [
            blob
            for blob in record.blobs
            if STATES[state_of(blob.version, len(record.blobs), record.compromised_below, linked=True)].unwraps
        ]
        try:
            materials = await self._parts.transit.decrypt(system_name.transit, [blob.text for blob in usable])
        except NotFound as error:
            raise Precondition(f"{system_name.resource} was unlinked", reason="KEY_REVOKED") from error
        versions = {blob.version: material for blob, material in zip(usable, materials, strict=True)}
        return ServiceKeys(versions, tenant.lease, record.compromised_below)
