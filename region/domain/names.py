"""Resource names, and what they are called in the region's OpenBao."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from runtime.errors import Invalid
from runtime.fields import check_name


class Kind(StrEnum):
    """What a resource name names."""

    TENANT = "tenant"
    SYSTEM = "system"
    SERVICE = "service"
    LINK = "link"
    EDGE_POLICY = "edge policy"


@dataclass(frozen=True, slots=True)
class Name:
    """A parsed resource name; `system` is empty for a tenant or a link, `leaf` is the service, link or policy."""

    kind: Kind
    tenant: str
    system: str = ""
    leaf: str = ""

    @property
    def path(self) -> str:
        """Where the region keeps its record, below the key-value mount."""
        match self.kind:
            case Kind.TENANT:
                return f"tenants/{self.tenant}"
            case Kind.SYSTEM:
                return f"systems/{self.tenant}/{self.system}"
            case Kind.SERVICE:
                return f"services/{self.tenant}/{self.system}/{self.leaf}"
            case Kind.LINK:
                return f"links/{self.tenant}/{self.leaf}"
            case Kind.EDGE_POLICY:
                return f"edge-policies/{self.leaf}"

    @property
    def resource(self) -> str:
        """The resource name again."""
        match self.kind:
            case Kind.TENANT:
                return f"tenants/{self.tenant}"
            case Kind.SYSTEM:
                return f"tenants/{self.tenant}/systems/{self.system}"
            case Kind.SERVICE:
                return f"tenants/{self.tenant}/systems/{self.system}/services/{self.leaf}"
            case Kind.LINK:
                return f"tenants/{self.tenant}/links/{self.leaf}"
            case Kind.EDGE_POLICY:
                return f"edge-policies/{self.leaf}"

    @property
    def services(self) -> str:
        """The folder with the records of a System's Services."""
        return f"services/{self.tenant}/{self.system}"

    @property
    def transit(self) -> str:
        """The name of the System's L2 key in transit."""
        return f"{self.tenant}.{self.system}"

    def parent_tenant(self) -> Name:
        """The tenant this belongs to."""
        return Name(Kind.TENANT, self.tenant)

    def system_of(self, system: str = "") -> Name:
        """The System of this tenant that is called `system`, or the one this already names."""
        return Name(Kind.SYSTEM, self.tenant, check_name(system or self.system, "system"))

    def service_of(self, service: str) -> Name:
        """A Service of the System this names."""
        return Name(Kind.SERVICE, self.tenant, self.system, check_name(service, "service"))


def parse(resource: str) -> Name:
    """The parts of a resource name; raises Invalid naming what is wrong with it."""
    match resource.split("/"):
        case ["tenants", tenant]:
            name = Name(Kind.TENANT, tenant)
        case ["tenants", tenant, "systems", system]:
            name = Name(Kind.SYSTEM, tenant, system)
        case ["tenants", tenant, "systems", system, "services", service]:
            name = Name(Kind.SERVICE, tenant, system, service)
        case ["tenants", tenant, "links", link]:
            name = Name(Kind.LINK, tenant, leaf=link)
        case ["edge-policies", policy]:
            name = Name(Kind.EDGE_POLICY, "", leaf=policy)
        case _:
            raise Invalid(
                f"{resource!r} is not the name of a resource that a region holds", reason="INVALID_NAME", field="name"
            )
    for segment in resource.split("/")[1::2]:
        check_name(segment, "name")
    return name
