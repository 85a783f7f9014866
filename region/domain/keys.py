"""The records of keys, and their transitions. Each record is one key-value entry, written by check-and-set.

A System's L2 goes PRE_ACTIVE → LINKING → ACTIVE → UNLINKED → LINKING → …; LINKING means that its material may be under
way into transit. From each of them it may go to DESTROYED, a tombstone that nothing leaves. The generation fence of the
System stands in `generation`, that of each Link in `links`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

from orbital.v1 import task_pb2 as pb

# Seconds: somewhat more than a change is left alone for (handlers.turn.WINDOW).
LONGEST_CHANGE = 10.0
ROOT = "root"
L2 = "l2"
# The provider that every region has: its own HSM.
HSM = "hsm"
# The state of a tenant that left this region alone; its keys are purged as those of a retired one.
DEPARTED = "DEPARTED"


class State(StrEnum):
    """The state of a System's L2."""

    PRE_ACTIVE = "PRE_ACTIVE"
    LINKING = "LINKING"
    ACTIVE = "ACTIVE"
    UNLINKED = "UNLINKED"
    DESTROYED = "DESTROYED"


KEY_STATES: Mapping[State, pb.KeyState.ValueType] = {
    State.PRE_ACTIVE: pb.KEY_STATE_PRE_ACTIVE,
    State.LINKING: pb.KEY_STATE_PRE_ACTIVE,
    State.ACTIVE: pb.KEY_STATE_ACTIVE,
    State.UNLINKED: pb.KEY_STATE_DESTROYED,
    State.DESTROYED: pb.KEY_STATE_DESTROYED,
}


@dataclass(frozen=True, slots=True)
class L1:
    """A customer's root key: its provider, as the region knows it, and its label there."""

    provider: str
    key: str

    @property
    def mark(self) -> str:
        """How a blob says that this key wraps it."""
        return f"l1:{self.key}" if self.provider == HSM else f"l1/{self.provider}:{self.key}"


@dataclass(frozen=True, slots=True)
class Blob:
    """One version's material, wrapped by the region root ("root"), an L1 (its mark) or the System's L2 ("l2").

    `check` of an L2's version is the question by which transit proves that it holds it (`domain.known_answer`).
    """

    version: int
    wrapped_by: str
    text: str
    check: str = ""

    @property
    def l1(self) -> str:
        """The label of the L1 that wraps it, or the empty string."""
        return self.wrapped_by.partition(":")[2] if self.wrapped_by.startswith("l1") else ""

    @property
    def provider(self) -> str:
        """The provider of the L1 that wraps it."""
        return self.wrapped_by.partition(":")[0].removeprefix("l1").removeprefix("/") or HSM

    @property
    def l2_version(self) -> int:
        """The version of the L2 that wraps it, 0 when none does."""
        return int(self.text.split(":", 2)[1].removeprefix("v")) if self.wrapped_by == L2 else 0


@dataclass(frozen=True, slots=True)
class TenantRecord:
    """A tenant's context; `lease` in seconds, 0: the default. `restored` is the generation that ended the last kill."""

    generation: int
    state: str
    lease: float
    restored: int = 0

    @property
    def killed(self) -> bool:
        """True once the kill switch reached it."""
        return self.state == "KILLED"

    @property
    def retired(self) -> bool:
        """True for the tombstone."""
        return self.state in {"RETIRED", DEPARTED}

    @property
    def departed(self) -> bool:
        """True for the tombstone of a tenant that left this region, and may come back."""
        return self.state == DEPARTED


@dataclass(frozen=True, slots=True)
class LinkRecord:
    """The fence of a Link: the newest generation that the region acted on, and the change that made it."""

    generation: int
    state: str
    system: str
    correlation_id: str = ""


@dataclass(frozen=True, slots=True)
class SystemRecord:
    """A System's L2: its wrapped versions in order from 1, and who may use it.

    `settled` is false while transit or the Services may lag behind the record. Transit knows no check-and-set, so who
    changes a key there says so first: `holder` is the accessor of the permit that it is changed by, and whoever comes
    next revokes that one before anything else. `importing_until` and `destroying_until` say until when one who can wait
    leaves it alone, 0 when nothing is under way. `refused_at` is when the owner of the L1 refused it: then it is
    UNLINKED though its Link is not, until the owner allows it again. `allowed` is the generation of the tenant under
    which it was linked last: an older kill no longer concerns it.
    """

    generation: int
    state: State
    blobs: tuple[Blob, ...]
    links: Mapping[str, int] = field(default_factory=dict)
    link: str = ""
    key: str = ""
    settled: bool = True
    importing_until: float = 0.0
    destroying_until: float = 0.0
    killed: int = 0
    compromised_below: int = 0
    provider: str = HSM
    refused_at: float = 0.0
    holder: str = ""
    allowed: int = 0
    # Of a tombstone: the System left this region alone, so that a newer generation may make it anew.
    departed: bool = False

    @property
    def l1(self) -> L1:
        """The customer's root key that its Link names, or named last."""
        return L1(self.provider, self.key)

    @property
    def open(self) -> bool:
        """True while material is, or may come to be, in transit."""
        return self.state in {State.LINKING, State.ACTIVE}

    @property
    def purged(self) -> bool:
        """True for the tombstone."""
        return self.state is State.DESTROYED

    @property
    def untouched(self) -> bool:
        """True while nobody has begun to bring material into transit, ever."""
        return self.state is State.PRE_ACTIVE and not self.changing

    @property
    def changing(self) -> bool:
        """True while somebody's change of the key in transit was begun and not ended."""
        return bool(self.holder or self.importing_until or self.destroying_until)

    def busy(self, now: float) -> bool:
        """True while somebody's change of the key in transit may still arrive.

        A time that lies further ahead than any change lasts was written by a clock that was wrong, or is read by one.
        """
        return 0.0 < max(self.importing_until, self.destroying_until) - now <= LONGEST_CHANGE

    def linking(
        self, link: str, generation: int, l1: L1, blobs: tuple[Blob, ...], until: float, allowed: int = 0
    ) -> SystemRecord:
        """LINK_KEY begins: the fence and the L1-wrapped material in one write. An active key goes on serving."""
        return replace(
            self,
            state=State.ACTIVE if self.state is State.ACTIVE else State.LINKING,
            blobs=blobs,
            links={**self.links, link: generation},
            link=link,
            key=l1.key,
            provider=l1.provider,
            refused_at=0.0,
            settled=False,
            importing_until=until,
            destroying_until=0.0,
            allowed=max(allowed, self.allowed),
        )

    def activated(self) -> SystemRecord:
        """Transit and the Services have caught up."""
        return replace(self.ended(), state=State.ACTIVE, settled=True)

    def ended(self) -> SystemRecord:
        """Nobody changes the key in transit any more."""
        return replace(self, holder="", importing_until=0.0, destroying_until=0.0)

    def unlinked(self, link: str, generation: int, until: float) -> SystemRecord:
        """UNLINK_KEY begins: nothing is served from this write on. Another Link's permission is left alone."""
        fenced = replace(self, links={**self.links, link: generation})
        if self.link != link:
            return fenced
        fenced = replace(fenced, refused_at=0.0)
        if not self.open:
            return fenced
        return replace(fenced, state=State.UNLINKED, settled=True, destroying_until=until)

    def revoked(self, generation: int, until: float) -> SystemRecord:
        """The kill switch begins for this System."""
        marked = replace(self, killed=max(generation, self.killed), refused_at=0.0)
        return replace(marked, state=State.UNLINKED, settled=True, destroying_until=until) if self.open else marked

    def refused(self, now: float, until: float) -> SystemRecord:
        """The owner of the L1 refused it: as good as unlinked, but it comes back when the owner allows it again."""
        return replace(self, state=State.UNLINKED, settled=True, destroying_until=until, refused_at=now)

    def destroyed(self, generation: int, until: float, *, departed: bool = False) -> SystemRecord:
        """PURGE_KEY begins: no wrapped version remains; the fences do."""
        return replace(
            self,
            generation=generation,
            state=State.DESTROYED,
            blobs=(),
            link="",
            key="",
            refused_at=0.0,
            settled=True,
            destroying_until=until,
            departed=departed,
        )

    def returned(self, generation: int, blobs: tuple[Blob, ...], below: int) -> SystemRecord:
        """Made anew in a region that it had left: other material, and the fences that it had."""
        return SystemRecord(
            generation,
            State.PRE_ACTIVE,
            blobs,
            links=self.links,
            killed=self.killed,
            compromised_below=below,
        )

    def raised(self, generation: int, blobs: tuple[Blob, ...], until: float, below: int = 0) -> SystemRecord:
        """A newer generation of the System, with its versions; an open one has to be settled again.

        Versions under `below` are COMPROMISED from now on; what was compromised before stays so.
        """
        return replace(
            self,
            generation=generation,
            blobs=blobs,
            compromised_below=max(self.compromised_below, below),
            settled=not self.open,
            importing_until=until if self.open else self.importing_until,
        )


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """A Service's L3: its wrapped versions in order from 1; the last one wraps, the older ones only unwrap.

    Versions under `compromised_below` do neither. A tombstone has no versions, and the time at which it became one.
    """

    generation: int
    blobs: tuple[Blob, ...]
    compromised_below: int = 0
    purged_at: float = 0.0
    departed: bool = False

    @property
    def purged(self) -> bool:
        """True for the tombstone."""
        return self.purged_at > 0

    def behind(self, l2_version: int) -> bool:
        """True when a version is not yet wrapped by that version of the L2."""
        return any(blob.l2_version < l2_version for blob in self.blobs)


def to_fields(record: TenantRecord | LinkRecord | SystemRecord | ServiceRecord) -> dict[str, Any]:
    """The record as the key-value store keeps it."""
    # Not `asdict`, which copies every value of every field: a Link alone is three writes.
    kept = {one.name: getattr(record, one.name) for one in fields(record)}
    if "blobs" in kept:
        kept["blobs"] = [
            {"version": blob.version, "wrapped_by": blob.wrapped_by, "text": blob.text}
            | ({"check": blob.check} if blob.check else {})
            for blob in kept["blobs"]
        ]
    return kept


def _blobs(stored: Mapping[str, Any]) -> tuple[Blob, ...]:
    return tuple(
        Blob(int(blob["version"]), blob["wrapped_by"], blob["text"], blob.get("check", "")) for blob in stored["blobs"]
    )


def tenant_record(stored: Mapping[str, Any]) -> TenantRecord:
    """A tenant's record from the store."""
    restored = int(stored.get("restored", 0))
    return TenantRecord(int(stored["generation"]), stored["state"], float(stored["lease"]), restored)


def link_record(stored: Mapping[str, Any]) -> LinkRecord:
    """A Link's record from the store."""
    return LinkRecord(int(stored["generation"]), stored["state"], stored["system"], stored.get("correlation_id", ""))


def system_record(stored: Mapping[str, Any]) -> SystemRecord:
    """A System's record from the store."""
    return SystemRecord(
        generation=int(stored["generation"]),
        state=State(stored["state"]),
        blobs=_blobs(stored),
        links={link: int(generation) for link, generation in (stored["links"] or {}).items()},
        link=stored["link"],
        key=stored["key"],
        settled=bool(stored["settled"]),
        importing_until=float(stored["importing_until"]),
        destroying_until=float(stored.get("destroying_until", 0.0)),
        killed=int(stored["killed"]),
        compromised_below=int(stored.get("compromised_below", 0)),
        provider=stored.get("provider", HSM),
        refused_at=float(stored.get("refused_at", 0.0)),
        holder=stored.get("holder", ""),
        allowed=int(stored.get("allowed", 0)),
        departed=bool(stored.get("departed", False)),
    )


def service_record(stored: Mapping[str, Any]) -> ServiceRecord:
    """A Service's record from the store."""
    return ServiceRecord(
        int(stored["generation"]),
        _blobs(stored),
        int(stored.get("compromised_below", 0)),
        float(stored.get("purged_at", 0.0)),
        bool(stored.get("departed", False)),
    )
