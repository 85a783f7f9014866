"""Where a region's OpenBao and its journals disagree with one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from region.domain import keys
from region.domain.names import Kind, Name

Record: TypeAlias = keys.TenantRecord | keys.LinkRecord | keys.SystemRecord | keys.ServiceRecord


@dataclass(frozen=True, slots=True)
class InTransit:
    """What transit says of a System's L2."""

    versions: int
    imported: bool
    least: int
    # False where some version did not give its known answer.
    proved: bool = True


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One disagreement: a stable reason, and a sentence."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything that was found: records, L2 in transit by their names there, and generations held by the journals."""

    records: Mapping[Name, Record] = field(default_factory=dict)
    transit: Mapping[str, InTransit] = field(default_factory=dict)
    journal: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Holding:
    """One resource as the region holds it, and what is wrong with that: (reason, message)."""

    name: str
    generation: int
    state: str
    versions: int
    journal: int
    disagreements: tuple[tuple[str, str], ...]


def holdings(found: Inventory, now: float) -> Iterator[Holding]:
    """Every resource that any part of the region knows."""
    known = {f"{name.tenant}.{name.system}" for name in found.records if name.kind is Kind.SYSTEM}
    for name, record in found.records.items():
        journal = found.journal.get(name.resource, 0)
        wrong = [*_against_journal(record, journal), *_against_transit(name, record, found, now)]
        yield Holding(name.resource, record.generation, _state(record), _versions(record), journal, tuple(wrong))
    recorded = {name.resource for name in found.records}
    for resource, generation in found.journal.items():
        if not resource.startswith("tenants/"):
            # What holds no key is in the journal alone.
            yield Holding(resource, 0, "", 0, generation, ())
        elif resource not in recorded:
            missing = ("RECORD_MISSING", f"The journal holds generation {generation}; OpenBao has no record.")
            yield Holding(resource, 0, "", 0, generation, (missing,))
    for transit in found.transit.keys() - known:
        orphan = ("KEY_ORPHANED", f"Transit has the key {transit}; there is no record of such a System.")
        tenant, _, system = transit.partition(".")
        yield Holding(f"tenants/{tenant}/systems/{system}", 0, "", 0, 0, (orphan,))


def _state(record: Record) -> str:
    if isinstance(record, keys.ServiceRecord):
        return "DESTROYED" if record.purged else "ACTIVE"
    return str(record.state)


def _versions(record: Record) -> int:
    return len(record.blobs) if isinstance(record, keys.SystemRecord | keys.ServiceRecord) else 0


def _against_journal(record: Record, journal: int) -> Iterator[tuple[str, str]]:
    if not journal:
        yield "NOT_IN_JOURNAL", "OpenBao has a record; no journal knows it."
    elif record.generation > journal:
        yield "GENERATION_WRONG", f"The record is of generation {record.generation}, the journal holds {journal}."


def _against_transit(name: Name, record: Record, found: Inventory, now: float) -> Iterator[tuple[str, str]]:
    if isinstance(record, keys.LinkRecord):
        yield from _link(name, record, found, now)
    elif isinstance(record, keys.SystemRecord):
        yield from _system(record, found.transit.get(name.transit), now)
    elif isinstance(record, keys.ServiceRecord) and not record.purged:
        parent = found.records.get(name.system_of())
        if not isinstance(parent, keys.SystemRecord):
            yield "SYSTEM_MISSING", "There is no record of its System."
        elif parent.state is keys.State.ACTIVE and parent.settled and record.behind(len(parent.blobs)):
            yield "SERVICE_BEHIND", "A version of its L3 is not wrapped by the newest L2."


def _link(name: Name, record: keys.LinkRecord, found: Inventory, now: float) -> Iterator[tuple[str, str]]:
    """A Link that holds, of a tenant that lives, and its System has no key in use."""
    parent = found.records.get(Name(Kind.SYSTEM, name.tenant, record.system))
    tenant = found.records.get(name.parent_tenant())
    if record.state != "LINKED" or not isinstance(parent, keys.SystemRecord) or parent.busy(now):
        return
    if isinstance(tenant, keys.TenantRecord) and (tenant.killed or tenant.retired):
        return
    if not parent.open and not parent.refused_at and not parent.purged and parent.link in {"", name.leaf}:
        yield "KEY_NOT_ACTIVE", f"It is LINKED; the L2 of its System is {parent.state}."


def _system(record: keys.SystemRecord, key: InTransit | None, now: float) -> Iterator[tuple[str, str]]:
    if record.busy(now):
        # Somebody is at work on it this moment.
        return
    if not record.open:
        if key is not None:
            yield "KEY_ORPHANED", f"Transit has its L2 though it is {record.state}."
        return
    if not record.settled:
        yield "UNSETTLED", "Its Link or its rotation broke off."
    elif key is None:
        yield "KEY_MISSING", "It is ACTIVE, and transit does not have its L2."
    elif key.versions == len(record.blobs) and not key.proved:
        yield "KEY_VERSIONS_WRONG", "A version of its L2 in transit is not the one that the record has in its place."
    elif not key.imported or key.versions != len(record.blobs):
        yield (
            "KEY_VERSIONS_WRONG",
            f"Transit has {key.versions} versions of its L2; the record has {len(record.blobs)}.",
        )
    elif key.least != max(1, record.compromised_below):
        yield (
            "KEY_NOT_RESTRICTED",
            f"Transit decrypts from version {key.least}; the record says {max(1, record.compromised_below)}.",
        )
