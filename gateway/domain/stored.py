"""A resource before and after a change."""

from __future__ import annotations

from dataclasses import dataclass

from orbital.v1.resource_pb2 import LinkState, Resource


@dataclass(frozen=True, slots=True)
class Stored:
    """A resource as it is stored."""

    identity: int
    resource: Resource
    generation: int
    effect_generation: int


@dataclass(frozen=True, slots=True)
class DesiredResource:
    """A resource as it is to be stored."""

    resource: Resource
    generation: int
    effect_generation: int


def tombstone(item: Stored) -> DesiredResource:
    """The next generation of a resource, retired for good; of a Link it is unlinked as well."""
    after = Resource()
    after.CopyFrom(item.resource)
    after.retired = True
    if after.WhichOneof("spec") == "link":
        after.link.state = LinkState.LINK_STATE_UNLINKED
    return DesiredResource(after, item.generation + 1, item.generation + 1)
