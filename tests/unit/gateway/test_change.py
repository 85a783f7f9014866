import pytest
from orbital.v1.registry_pb2 import ChangeAction
from orbital.v1.resource_pb2 import (
    LinkSpec,
    LinkState,
    RegionSpec,
    Resource,
    Selector,
    ServiceSpec,
    SystemSpec,
    TenantSpec,
    TenantState,
)
from orbital.v1.task_pb2 import TaskKind

from gateway.domain.change import Plan, plan
from gateway.domain.stored import Stored
from gateway.domain.task import drive_kind, effect_kind, task_id
from runtime.errors import Conflict, Invalid, NotFound, OrbitalError, Precondition
from runtime.kinds import LANES

REGIONS = {"eu10": {"area": "eu"}, "us20": {"area": "us"}}


def region(name: str, **labels: str) -> Resource:
    return Resource(name=f"regions/{name}", labels=labels, region=RegionSpec(area=name[:2]))


def tenant(name: str = "acme", *regions: str, **labels: str) -> Resource:
    placement = Selector(regions=regions or ("eu10", "us20"))
    return Resource(name=f"tenants/{name}", labels=labels, tenant=TenantSpec(placement=placement))


def system(name: str = "core", version: int = 1, *regions: str) -> Resource:
    spec = SystemSpec(key_version=version, placement=Selector(regions=regions))
    return Resource(name=f"tenants/acme/systems/{name}", system=spec)


def service(name: str = "billing", version: int = 1) -> Resource:
    return Resource(name=f"tenants/acme/systems/core/services/{name}", service=ServiceSpec(key_version=version))


def link(name: str = "core", state: LinkState.ValueType = LinkState.LINK_STATE_LINKED) -> Resource:
    spec = LinkSpec(system="core", provider="hsm", key="acme-root", state=state)
    return Resource(name=f"tenants/acme/links/{name}", link=spec)


ESTATE = [tenant(), system(), service(), link()]


def stored(*resources: Resource, generation: int = 1) -> dict[str, Stored]:
    kept = plan(resources, {}, REGIONS)
    return {item.resource.name: Stored(index, item.resource, generation, 1) for index, item in enumerate(kept.wanted)}


def declare(*resources: Resource, before: dict[str, Stored] | None = None) -> Plan:
    return plan(resources, before or {}, REGIONS)


def test_new_resources_begin_at_generation_one_where_their_parents_are() -> None:
    result = declare(*ESTATE)
    assert [change.action for change in result.changes] == [ChangeAction.CHANGE_ACTION_CREATE] * 4
    assert {item.generation for item in result.wanted} == {1}
    assert set(result.regions.values()) == {frozenset(REGIONS)}


def test_declaring_the_same_again_changes_nothing() -> None:
    result = declare(*ESTATE, before=stored(*ESTATE))
    assert result.wanted == []
    assert {change.action for change in result.changes} == {ChangeAction.CHANGE_ACTION_NONE}


def test_a_label_is_no_effect_and_a_version_is_one() -> None:
    before = stored(*ESTATE)
    labelled = service()
    labelled.labels["tier"] = "gold"
    (quiet,) = declare(labelled, before=before).wanted
    (loud,) = declare(service(version=2), before=before).wanted
    assert (quiet.generation, quiet.effect_generation) == (2, 1)
    assert (loud.generation, loud.effect_generation) == (2, 2)
    assert drive_kind(quiet.resource, quiet.effect_generation, 1) == TaskKind.TASK_KIND_SYNC_METADATA
    assert drive_kind(loud.resource, loud.effect_generation, 1) == TaskKind.TASK_KIND_ROTATE_KEY
    assert drive_kind(loud.resource, loud.effect_generation, 0) == TaskKind.TASK_KIND_DEFINE_KEY


def test_a_label_after_an_unobserved_rotation_still_rotates() -> None:
    rotated = Stored(2, service(version=2), 2, 2)
    labelled = service(version=2)
    labelled.labels["tier"] = "gold"
    (wanted,) = declare(labelled, before={**stored(*ESTATE), labelled.name: rotated}).wanted
    assert drive_kind(wanted.resource, wanted.effect_generation, 1) == TaskKind.TASK_KIND_ROTATE_KEY


def test_labels_choose_regions_and_a_new_region_draws_what_matches() -> None:
    spread = Resource(name="tenants/acme", tenant=TenantSpec(placement=Selector(match_labels={"area": "eu"})))
    assert declare(spread).regions["tenants/acme"] == {"eu10"}
    before = {**stored(spread), **stored(region("eu10", area="eu"))}
    result = plan([region("eu11", area="eu")], before, {"eu10": {"area": "eu"}})
    assert result.regions["tenants/acme"] == {"eu10", "eu11"}
    assert [item.resource.name for item in result.wanted] == ["regions/eu11"]


def test_a_system_may_lie_in_some_of_its_tenants_regions() -> None:
    result = declare(tenant(), system("core", 1, "eu10"), service(), link())
    assert result.regions["tenants/acme/links/core"] == {"eu10"}


def killed() -> dict[str, Stored]:
    before = stored(*ESTATE)
    dead = before["tenants/acme"].resource
    dead.tenant.state = TenantState.TENANT_STATE_KILLED
    before["tenants/acme/links/core"].resource.link.state = LinkState.LINK_STATE_UNLINKED
    return before


def two_links() -> tuple[Resource, Resource]:
    return link("core"), link("other")


def stale() -> Resource:
    return Resource(name="tenants/acme", generation=7, tenant=TenantSpec())


@pytest.mark.parametrize(
    ("declared", "before", "error", "field"),
    [
        ([Resource(name="tenants/Acme", tenant=TenantSpec())], [], Invalid, "resources[0].name"),
        ([Resource(name="tenants/acme/keys/k", tenant=TenantSpec())], [], Invalid, "resources[0].name"),
        ([Resource(name="tenants/acme")], [], Invalid, "resources[0].spec"),
        ([Resource(name="tenants/acme", system=SystemSpec())], [], Invalid, "resources[0].system"),
        ([tenant(), tenant()], [], Invalid, "resources[1].name"),
        ([tenant("acme", "eu11")], [], NotFound, "resources[0].tenant.placement.regions[0]"),
        ([system()], [], NotFound, "resources[0].name"),
        ([tenant(), service()], [], NotFound, "resources[1].name"),
        ([tenant(), link()], [], NotFound, "resources[1].link.system"),
        ([tenant("acme", "eu10"), system("core", 1, "us20")], [], Invalid, "resources[1].system.placement.regions"),
        ([service(version=1)], [tenant(), system(), service(version=2)], Invalid, "resources[0].service.key_version"),
        ([*ESTATE[:2], *two_links()], [], Conflict, "resources[3].link.system"),
        ([stale()], ESTATE, Precondition, "resources[0].generation"),
    ],
)  # fmt: skip
def test_mistakes_name_their_field(
    declared: list[Resource], before: list[Resource], error: type[OrbitalError], field: str
) -> None:
    with pytest.raises(error) as raised:
        declare(*declared, before=stored(*before))
    assert raised.value.field == field
    assert raised.value.field in raised.value.message or raised.value.reason == "DUPLICATE"


@pytest.mark.parametrize("declared", [link("core"), link("another")])
def test_a_killed_tenant_stays_unlinked(declared: Resource) -> None:
    before = killed()
    if declared.name.endswith("another"):
        del before["tenants/acme/links/core"]
    with pytest.raises(Precondition) as raised:
        declare(declared, before=before)
    assert raised.value.reason == "TENANT_KILLED"


def test_a_new_link_of_a_system_takes_the_place_of_the_old_one() -> None:
    result = declare(link("core-v2"), before=stored(*ESTATE))
    old, new = result.wanted
    assert (old.resource.name, old.resource.retired) == ("tenants/acme/links/core", True)
    assert (new.resource.name, new.resource.retired) == ("tenants/acme/links/core-v2", False)
    assert effect_kind(old.resource, new=False) == TaskKind.TASK_KIND_UNLINK_KEY
    assert result.regions[old.resource.name] == result.regions[new.resource.name] == frozenset(REGIONS)
    assert [change.fields[0].path for change in result.changes if change.fields] == ["retired"]


def test_a_link_keeps_its_system_and_may_change_its_l1() -> None:
    moved = link()
    moved.link.system = "other"
    with pytest.raises(Precondition, match="keeps its system"):
        declare(moved, system("other"), before=stored(*ESTATE))
    for name in ("key", "provider"):
        rotated = link()
        setattr(rotated.link, name, "other-root")
        (wanted,) = declare(rotated, before=stored(*ESTATE)).wanted
        assert (wanted.generation, wanted.effect_generation) == (2, 2)
        assert effect_kind(wanted.resource, new=False) == TaskKind.TASK_KIND_LINK_KEY


def test_a_task_id_is_the_same_wherever_it_is_made_and_differs_with_every_part() -> None:
    same = {task_id("tenants/acme", "eu10", 1).hex for _ in range(2)}
    others = {task_id("tenants/acme", "eu10", 2).hex, task_id("tenants/acme", "us20", 1).hex}
    assert len(same) == 1
    assert len(same | others) == 3


def test_revocation_travels_on_lane_zero() -> None:
    unlinked = link(state=LinkState.LINK_STATE_UNLINKED)
    kind = drive_kind(unlinked, 2, 1)
    assert kind == TaskKind.TASK_KIND_UNLINK_KEY
    assert LANES[kind] == 0
