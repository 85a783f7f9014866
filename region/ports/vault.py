"""The region's OpenBao and HSM, as the handlers need them.

Every method raises runtime.errors.Unavailable, with a reason that says what is away, when the part does not answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from runtime.errors import Conflict

VERSION_REFUSED = "VERSION_REFUSED"
# No process keeps an L3 in memory for longer than this.
LONGEST_CACHED = 10.0


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record with the revision that a later write must name."""

    fields: Mapping[str, Any]
    revision: int


@dataclass(frozen=True, slots=True)
class TransitKey:
    """A key in transit: how many versions it has, whether it was imported (a key made by transit is foreign).

    Versions under `least` decrypt nothing.
    """

    versions: int
    imported: bool
    least: int = 1


class PermitRevoked(Conflict):
    """The permit was revoked: somebody else changes the key now, and what this attempt had begun is void."""

    default_reason = "OVERTAKEN"


@dataclass(frozen=True, slots=True)
class Permit:
    """The right of one attempt to change keys in transit, until it is revoked.

    `accessor` names it without granting anything, so a record may hold it; the token is a secret.
    """

    accessor: str
    token: str = field(default="", repr=False)


class Permits(Protocol):
    """Permits of this process, made ahead, and the revocation of anybody's in the region."""

    async def take(self) -> Permit:
        """A permit that nobody else uses now and that outlasts an attempt."""

    def give_back(self, permit: Permit) -> None:
        """Let another attempt use it. Every call that was made by it must have been answered."""

    def discard(self, permit: Permit) -> None:
        """Never use it again: a call that was made by it may still be under way."""

    async def revoke(self, accessor: str) -> None:
        """Make a permit void: whatever is asked by it after this has returned is refused. One that is gone is void."""


class Store(Protocol):
    """Records by check-and-set."""

    async def read(self, path: str) -> StoredRecord | None:
        """The record, or None when there is none."""

    async def recall(self, path: str) -> StoredRecord | None:
        """The record as this process last wrote it, if it is remembered; somebody else may have changed it since.

        So it is good only for a write, which is refused then.
        """

    async def write(self, path: str, fields: Mapping[str, Any], revision: int) -> int:
        """Replace the record of that revision (0: none yet) and give the new revision; raises Conflict otherwise."""

    async def forget_older(self, path: str) -> None:
        """Destroy every revision but the newest; raises Unavailable when one is still there afterwards."""

    async def names(self, folder: str) -> list[str]:
        """The names of the records directly below a folder."""

    async def folders(self, folder: str) -> list[str]:
        """The names of the folders directly below a folder."""


class Transit(Protocol):
    """Keys that encrypt and never leave. Where a key is missing, NotFound is raised with the reason KEY_ABSENT.

    What a version under the least one encrypted is refused: Stalled, with the reason VERSION_REFUSED. Whatever changes
    a key is asked by a permit; Overtaken is raised when that was revoked.
    """

    async def key(self, name: str) -> TransitKey | None:
        """The key's versions, or None when there is no such key."""

    async def names(self) -> list[str]:
        """The names of all keys."""

    async def prepare_import(self) -> None:
        """Have what every import needs, which can take long the first time; to be called before `import_version`."""

    async def import_version(self, name: str, material: bytearray, permit: Permit, *, first: bool) -> None:
        """Import material as the first or the next version; raises Conflict when the first is already there."""

    async def destroy(self, name: str, permit: Permit) -> None:
        """Delete the key; nothing happens when it is gone already."""

    async def restrict(self, name: str, least: int, permit: Permit) -> None:
        """From now on only this version and newer ones decrypt; a smaller number takes the restriction back."""

    async def encrypt(self, name: str, materials: Sequence[bytearray]) -> list[str]:
        """Wrap by the newest version."""

    async def decrypt(self, name: str, texts: Sequence[str]) -> list[bytearray]:
        """Unwrap; the caller overwrites the result after use."""

    async def rewrap(self, name: str, texts: Sequence[str]) -> list[str]:
        """Wrap anew by the newest version, inside transit."""


class Hsm(Protocol):
    """Keys that never leave the HSM, by label, wrapping material."""

    async def wrap(self, label: str, material: bytearray) -> bytes:
        """Wrap by the key of that label; raises Unavailable with the reason L1_KEY_MISSING when there is none."""

    async def unwrap(self, label: str, blob: bytes) -> bytearray:
        """Unwrap; the caller overwrites the result after use."""

    async def ask(self, label: str) -> None:
        """See region.ports.l1.Provider."""


class Cache(Protocol):
    """What the process holds of keys in memory."""

    def drop(self, tenant: str, system: str = "") -> None:
        """Overwrite and forget every key of the System, or of the tenant; open calls on them fail from now on."""
