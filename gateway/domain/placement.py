"""Where resources belong: a tenant or an edge policy by its selector, a system within its tenant, the rest with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from orbital.v1.resource_pb2 import Resource, Selector

from gateway.domain.resource import parent_of, tenant_of
from runtime.errors import Invalid, NotFound, Precondition

Labels = Mapping[str, str]
NO_REGION = "NO_REGION_MATCHES"
# What has a selector of its own.
PLACED = ("tenant", "system", "edge_policy")


def select(selector: Selector, regions: Mapping[str, Labels], field: str, lost: Collection[str] = ()) -> frozenset[str]:
    """The regions named and those that carry all the labels; raises NotFound for a name that is no region.

    Those in `lost` are gone for good: no selector matches them, and one that names them is as good as without.
    """
    for index, name in enumerate(selector.regions):
        if name not in regions and name not in lost:
            known = ", ".join(sorted(regions)[:10]) or "none is declared yet"
            where = f"{field}.regions[{index}]"
            raise NotFound(
                f'{where}: unknown region "{name}"; expected one of {known}', reason="UNKNOWN_REGION", field=where
            )
    wanted = dict(selector.match_labels).items()
    matching = {name for name, labels in regions.items() if wanted and wanted <= dict(labels).items()}
    return (frozenset(selector.regions) - frozenset(lost)) | matching


class PlacementResolver:
    """Answers where each resource of an estate belongs.

    `resources` holds every resource of the tenants asked about, by full name; `regions` the labels of all regions;
    `lost` the regions that are gone for good.
    """

    def __init__(
        self, resources: Mapping[str, Resource], regions: Mapping[str, Labels], lost: Collection[str] = ()
    ) -> None:
        self._resources = resources
        self._lost = lost
        self._regions = regions
        self._known: dict[str, frozenset[str]] = {}

    def regions_of(self, resource: Resource, field: str) -> frozenset[str]:
        """The regions of a resource; raises NotFound or Invalid naming the field that is wrong."""
        if resource.name not in self._known:
            self._known[resource.name] = self._find(resource, field)
        return self._known[resource.name]

    def _find(self, resource: Resource, field: str) -> frozenset[str]:
        spec = resource.WhichOneof("spec")
        if spec == "tenant":
            return select(resource.tenant.placement, self._regions, f"{field}.tenant.placement", self._lost)
        if spec == "edge_policy":
            return select(resource.edge_policy.placement, self._regions, f"{field}.edge_policy.placement", self._lost)
        if spec == "system":
            return self._system(resource, field)
        parent = parent_of(resource)
        where = f"{field}.link.system" if spec == "link" else f"{field}.name"
        return self.regions_of(self._require(parent, where), field)

    def _system(self, resource: Resource, field: str) -> frozenset[str]:
        within = self.regions_of(self._require(tenant_of(resource.name), f"{field}.name"), field)
        if not (resource.system.placement.regions or resource.system.placement.match_labels):
            return within
        where = f"{field}.system.placement"
        outside = sorted(set(resource.system.placement.regions) - within - set(self._lost))
        own = select(resource.system.placement, self._regions, where, self._lost)
        if outside:
            raise Invalid(
                f"{where}.regions: {resource.name} cannot be in {', '.join(outside)}, where its tenant is not",
                reason="OUTSIDE_TENANT",
                field=f"{where}.regions",
            )
        return own & within

    def nowhere(self, resource: Resource, field: str) -> Invalid:
        """The refusal of a resource that belongs in no region: most likely its selector is mistyped."""
        spec = str(resource.WhichOneof("spec"))
        where = f"{field}.{spec}.placement" if spec in PLACED else f"{field}.name"
        selector = getattr(resource, spec).placement if spec in PLACED else Selector()
        wanted = ", ".join(f'{key}: "{value}"' for key, value in sorted(selector.match_labels.items()))
        if not wanted:
            said = (
                "is in no region: its placement names none"
                if spec in PLACED
                else "is in no region: its parent is in none"
            )
            return Invalid(f"{where}: {resource.name} {said}", reason=NO_REGION, field=where)
        values = {
            key: sorted({labels[key] for labels in self._regions.values() if key in labels})[:10]
            for key in sorted(selector.match_labels)
        }
        known = "; ".join(f"{key} is {', '.join(found) or 'on no region'}" for key, found in values.items())
        message = f"{where}.match_labels: no region matches {wanted} for {resource.name}; among the regions, {known}"
        return Invalid(message, reason=NO_REGION, field=f"{where}.match_labels")

    def _require(self, name: str, field: str) -> Resource:
        found = self._resources.get(name)
        if found is None:
            raise NotFound(f"{field}: {name} is not declared", reason="UNKNOWN_PARENT", field=field)
        if found.retired:
            raise Precondition(f"{field}: {name} was retired", reason="RETIRED", field=field)
        return found
