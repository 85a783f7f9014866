"""Tasks as the gateway makes them, and the way a region works on one."""

from __future__ import annotations

import hashlib
import itertools

from orbital.v1 import resource_pb2 as rpb
from orbital.v1 import task_pb2 as pb

from region.domain import intent, result
from region.domain.names import parse
from region.domain.result import Result
from region.handlers.parts import Parts
from region.handlers.table import HANDLERS
from runtime.errors import Conflict, OrbitalError

LANES = {value.number: value.GetOptions().Extensions[pb.lane] for value in pb.TaskKind.DESCRIPTOR.values}
_sequence = itertools.count(1)


def task(kind: pb.TaskKind.ValueType, resource: rpb.Resource) -> pb.Task:
    digest = hashlib.md5(f"{resource.name}/eu10/{resource.generation}".encode(), usedforsecurity=False)
    return pb.Task(
        id=digest.hexdigest(),
        kind=kind,
        lane=LANES[kind],
        sequence=next(_sequence),
        region="eu10",
        tenant=resource.name.split("/")[1] if resource.name.startswith("tenants/") else "",
        resource=resource,
        correlation_id="c1",
    )


class Estate:
    """One tenant with a System "core", a Service "pay" and a Link "l"."""

    def __init__(self, tenant: str = "acme") -> None:
        self.tenant = tenant

    def define_tenant(self, generation: int = 1, **spec: object) -> pb.Task:
        resource = rpb.Resource(name=f"tenants/{self.tenant}", generation=generation)
        resource.tenant.CopyFrom(rpb.TenantSpec(**spec))  # type: ignore[arg-type]
        return task(pb.TASK_KIND_DEFINE_TENANT, resource)

    def kill(self, generation: int) -> pb.Task:
        resource = rpb.Resource(name=f"tenants/{self.tenant}", generation=generation)
        resource.tenant.state = rpb.TENANT_STATE_KILLED
        return task(pb.TASK_KIND_UNLINK_KEY, resource)

    def system(self, generation: int = 1, version: int = 1, kind: pb.TaskKind.ValueType | None = None) -> pb.Task:
        resource = rpb.Resource(name=f"tenants/{self.tenant}/systems/core", generation=generation)
        resource.system.key_version = version
        return task(kind or (pb.TASK_KIND_DEFINE_KEY if generation == 1 else pb.TASK_KIND_ROTATE_KEY), resource)

    def service(
        self, generation: int = 1, version: int = 1, kind: pb.TaskKind.ValueType | None = None, name: str = "pay"
    ) -> pb.Task:
        resource = rpb.Resource(name=f"tenants/{self.tenant}/systems/core/services/{name}", generation=generation)
        resource.service.key_version = version
        return task(kind or (pb.TASK_KIND_DEFINE_KEY if generation == 1 else pb.TASK_KIND_ROTATE_KEY), resource)

    def emergency(self, generation: int, version: int, service: str = "") -> pb.Task:
        """Every version below `version` is compromised, of the System or of one of its Services."""
        if service:
            wanted = self.service(generation, version, pb.TASK_KIND_EMERGENCY_ROTATE, service)
            wanted.resource.service.key_compromised_below = version
        else:
            wanted = self.system(generation, version, pb.TASK_KIND_EMERGENCY_ROTATE)
            wanted.resource.system.key_compromised_below = version
        return wanted

    def purge(self, generation: int, service: str = "") -> pb.Task:
        if service:
            wanted = self.service(generation, 1, pb.TASK_KIND_PURGE_KEY, service)
        else:
            wanted = self.system(generation, 1, pb.TASK_KIND_PURGE_KEY)
        wanted.resource.retired = True
        return wanted

    def retire(self, generation: int) -> pb.Task:
        resource = rpb.Resource(name=f"tenants/{self.tenant}", generation=generation, retired=True)
        resource.tenant.SetInParent()
        return task(pb.TASK_KIND_RETIRE_TENANT, resource)

    def _link(self, generation: int, state: rpb.LinkState.ValueType, key: str, name: str) -> rpb.Resource:
        resource = rpb.Resource(name=f"tenants/{self.tenant}/links/{name}", generation=generation)
        resource.link.CopyFrom(rpb.LinkSpec(system="core", provider="hsm", key=key, state=state))
        return resource

    def link(self, generation: int = 1, key: str = "l1-acme", name: str = "l") -> pb.Task:
        return task(pb.TASK_KIND_LINK_KEY, self._link(generation, rpb.LINK_STATE_LINKED, key, name))

    def unlink(self, generation: int, key: str = "l1-acme", name: str = "l") -> pb.Task:
        return task(pb.TASK_KIND_UNLINK_KEY, self._link(generation, rpb.LINK_STATE_UNLINKED, key, name))

    def foundation(self) -> list[pb.Task]:
        """Everything but the Link."""
        return [self.define_tenant(), self.system(), self.service()]


async def work(parts: Parts, wanted: pb.Task) -> Result:
    """What the executor does with one task, without a journal."""
    name = parse(wanted.resource.name)
    intent.check(wanted, name)
    handler = HANDLERS[intent.needed(wanted, name, None)]
    for _ in range(5):
        try:
            return await handler(parts, wanted, name)
        except Conflict:
            continue
        except OrbitalError as error:
            return result.waiting(error.reason, error.message)
    raise AssertionError("contended for ever")


async def work_all(parts: Parts, *tasks: pb.Task) -> list[Result]:
    return [await work(parts, each) for each in tasks]
