"""How keys end in desired state: emergency rotations and retirements."""

import pytest
from orbital.v1.resource_pb2 import LinkState, Resource, ServiceSpec, SystemSpec
from orbital.v1.task_pb2 import TaskKind

from gateway.domain.change import Plan, plan
from gateway.domain.retire import retire
from gateway.domain.stored import Stored
from gateway.domain.task import drive_kind
from runtime.errors import Invalid, NotFound, OrbitalError, Precondition
from runtime.kinds import LANES
from tests.unit.gateway.test_change import ESTATE, REGIONS, link, service, stored, system, tenant

EVERYWHERE = frozenset(REGIONS)


def emergency(version: int, below: int) -> Resource:
    spec = ServiceSpec(key_version=version, key_compromised_below=below)
    return Resource(name="tenants/acme/systems/core/services/billing", service=spec)


def retired(*names: str) -> tuple[dict[str, Stored], Plan]:
    before = stored(*ESTATE)
    return before, retire(names, before, dict.fromkeys(before, EVERYWHERE))


def kept(changes: Plan, before: dict[str, Stored]) -> dict[str, Stored]:
    after = {item.resource.name: Stored(0, item.resource, item.generation, 1) for item in changes.wanted}
    return {**before, **after}


def test_an_emergency_compromises_all_but_the_newest_on_lane_zero() -> None:
    (wanted,) = plan([emergency(3, 3)], stored(*ESTATE), REGIONS).wanted
    kind = drive_kind(wanted.resource, wanted.effect_generation, 1)
    assert (kind, LANES[kind]) == (TaskKind.TASK_KIND_EMERGENCY_ROTATE, 0)
    # A region that is new makes the key with all its versions; one that has not answered yet may have made it.
    assert drive_kind(wanted.resource, wanted.effect_generation, None) == TaskKind.TASK_KIND_DEFINE_KEY
    assert drive_kind(wanted.resource, wanted.effect_generation, 0) == TaskKind.TASK_KIND_EMERGENCY_ROTATE


def test_what_is_compromised_stays_so_and_a_later_rotation_is_an_ordinary_one() -> None:
    before = stored(*ESTATE)
    before = kept(plan([emergency(3, 3)], before, REGIONS), before)
    (wanted,) = plan([service(version=4)], before, REGIONS).wanted
    assert wanted.resource.service.key_compromised_below == 3
    assert drive_kind(wanted.resource, wanted.effect_generation, 2) == TaskKind.TASK_KIND_ROTATE_KEY


@pytest.mark.parametrize(("version", "below"), [(1, 1), (3, 2), (2, 3)])
def test_an_emergency_raises_both_to_the_same_number(version: int, below: int) -> None:
    with pytest.raises(Invalid) as refused:
        plan([emergency(version, below)], stored(*ESTATE), REGIONS)
    assert refused.value.field == "resources[0].service.key_compromised_below"


def test_what_is_compromised_never_becomes_good() -> None:
    before = stored(*ESTATE)
    before = kept(plan([emergency(3, 3)], before, REGIONS), before)
    with pytest.raises(Invalid):
        plan([emergency(4, 2)], before, REGIONS)


def test_a_tenant_goes_with_everything_children_first() -> None:
    _, changes = retired("tenants/acme")
    assert [change.name for change in changes.changes] == [
        "tenants/acme/links/core",
        "tenants/acme/systems/core/services/billing",
        "tenants/acme/systems/core",
        "tenants/acme",
    ]
    kinds = [drive_kind(item.resource, item.effect_generation, 1) for item in changes.wanted]
    assert kinds == [
        TaskKind.TASK_KIND_UNLINK_KEY,
        TaskKind.TASK_KIND_PURGE_KEY,
        TaskKind.TASK_KIND_PURGE_KEY,
        TaskKind.TASK_KIND_RETIRE_TENANT,
    ]
    assert changes.wanted[0].resource.link.state == LinkState.LINK_STATE_UNLINKED
    assert {(item.generation, item.effect_generation) for item in changes.wanted} == {(2, 2)}
    assert set(changes.regions.values()) == {EVERYWHERE}


def test_a_system_leaves_its_tenant_and_a_service_its_system() -> None:
    _, changes = retired("tenants/acme/systems/core")
    assert len(changes.changes) == 3
    _, changes = retired("tenants/acme/systems/core/services/billing")
    assert [change.name for change in changes.changes] == ["tenants/acme/systems/core/services/billing"]


def test_what_is_retired_is_not_retired_again() -> None:
    before, changes = retired("tenants/acme/systems/core")
    again = retire(["tenants/acme"], kept(changes, before), {})
    assert [change.name for change in again.changes] == ["tenants/acme"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("tenants/acme/links/none", NotFound), ("regions/eu10", NotFound), ("tenants/nobody", NotFound), ("x", Invalid)],
)
def test_a_mistake_names_its_place(name: str, kind: type[OrbitalError]) -> None:
    with pytest.raises(kind) as refused:
        retired("tenants/acme", name)
    assert refused.value.field == "names[1]"


def test_nothing_is_declared_beneath_a_tombstone_or_in_its_place() -> None:
    before, changes = retired("tenants/acme")
    for each in (tenant(), system(), service(), link(), system("new"), service("new")):
        with pytest.raises(Precondition) as refused:
            plan([each], kept(changes, before), REGIONS)
        assert refused.value.reason == "RETIRED"


def test_a_tombstone_does_not_hold_up_its_tenant() -> None:
    before, changes = retired("tenants/acme/systems/core")
    after = kept(changes, before)
    labelled = tenant(tier="gold")
    assert [item.resource.name for item in plan([labelled], after, REGIONS).wanted] == ["tenants/acme"]
    fresh = Resource(name="tenants/acme/systems/new", system=SystemSpec())
    assert len(plan([fresh], after, REGIONS).wanted) == 1
