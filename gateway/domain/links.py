"""Links: a System has one at a time, and an L1 key belongs to one tenant, which may share it by name.

The owner of a key is the tenant whose Link named it first. The Links of other tenants may name it only while a linked
Link of the owner lists them in `shared_with`, and they are revoked together with the last one that does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from orbital.v1.resource_pb2 import LinkState, Resource, TenantState

from gateway.domain.resource import parent_of, parse_name, tenant_of
from gateway.domain.stored import Stored
from runtime.errors import Conflict, Precondition

OF_ANOTHER, SHARED, OWNER_REVOKED, NOT_OWNER = (
    "L1_KEY_OF_ANOTHER_TENANT",
    "L1_KEY_SHARED",
    "L1_OWNER_REVOKED",
    "L1_KEY_NOT_OWNED",
)


@dataclass(frozen=True, slots=True)
class L1Key:
    """An L1 key: its provider and its name there."""

    provider: str
    name: str

    @property
    def text(self) -> str:
        """How it is stored and looked up; a provider's name has no colon."""
        return f"{self.provider}:{self.name}"


@dataclass(frozen=True, slots=True)
class Holding:
    """A Link that is not retired, and so names a key."""

    link: str
    tenant: str
    linked: bool
    shared_with: frozenset[str]


Holdings = Mapping[L1Key, Sequence[Holding]]


def key_of(link: Resource) -> L1Key:
    """The L1 key that a Link names."""
    return L1Key(link.link.provider, link.link.key)


def keys_of(resources: Iterable[Resource]) -> set[L1Key]:
    """The L1 keys that the Links among these name and have not given up."""
    return {key_of(one) for one in resources if one.WhichOneof("spec") == "link" and not one.retired}


def holdings(resources: Iterable[Resource]) -> dict[L1Key, list[Holding]]:
    """Who names each key, in the order given."""
    found: dict[L1Key, list[Holding]] = {}
    for one in resources:
        if one.WhichOneof("spec") == "link" and not one.retired:
            linked = one.link.state == LinkState.LINK_STATE_LINKED
            holding = Holding(one.name, parse_name(one.name).tenant, linked, frozenset(one.link.shared_with))
            found.setdefault(key_of(one), []).append(holding)
    return found


def owner(held: Sequence[Holding]) -> str:
    """The tenant that owns a key which these hold, the oldest Link first; empty when nobody does."""
    shared = {tenant for one in held for tenant in one.shared_with}
    return next((one.tenant for one in held if one.tenant not in shared), held[0].tenant if held else "")


def grants(held: Sequence[Holding], tenant: str, *, of: str) -> bool:
    """Whether a linked Link of the owner `of` lets this tenant use the key."""
    return any(one.linked and one.tenant == of and tenant in one.shared_with for one in held)


def check_state(declared: Sequence[Resource], estate: Mapping[str, Resource]) -> None:
    """Raise Conflict for two Links of one System, Precondition for a linked one of a killed tenant."""
    systems: dict[str, str] = {}
    for index, resource in enumerate(declared):
        if resource.WhichOneof("spec") != "link":
            continue
        where = f"resources[{index}].link"
        other = systems.setdefault(parent_of(resource), resource.name)
        if other != resource.name:
            raise Conflict(
                f"{where}.system: {parent_of(resource)} has the link {other} in the same declaration; a system has at "
                "most one",
                reason="SYSTEM_ALREADY_LINKED",
                field=f"{where}.system",
            )
        tenant = estate.get(tenant_of(resource.name), Resource()).tenant
        linked = resource.link.state == LinkState.LINK_STATE_LINKED
        if linked and tenant.state == TenantState.TENANT_STATE_KILLED:
            raise Precondition(
                f"{where}.state: {tenant_of(resource.name)} was killed; its links stay unlinked until one person asks "
                f"to restore it (orbital restore) and another one approves (orbital approve)",
                reason="TENANT_KILLED",
                field=f"{where}.state",
            )


def replaced(declared: Sequence[Resource], stored: Mapping[str, Stored]) -> list[Stored]:
    """The Links whose System a declared Link of another name takes over: they are retired by it."""
    names = {one.name for one in declared}
    taken = {parent_of(one) for one in declared if one.WhichOneof("spec") == "link"}
    return [
        item
        for name, item in sorted(stored.items())
        if item.resource.WhichOneof("spec") == "link"
        and not item.resource.retired
        and name not in names
        and parent_of(item.resource) in taken
    ]


def check_keys(declared: Sequence[Resource], stored: Mapping[str, Stored], estate: Mapping[str, Resource]) -> None:
    """Raise Precondition when a declared Link would use a key of another tenant's, or leave one that others share.

    `stored` holds every Link, of whatever tenant, that names a key of the declared ones; `estate` is what it becomes.
    """
    oldest_first = [item.resource for item in sorted(stored.values(), key=lambda item: item.identity)]
    old = holdings(oldest_first)
    order = [one.name for one in oldest_first if one.name in estate] + [one.name for one in declared]
    new = holdings(estate[name] for name in dict.fromkeys(order))
    for index, resource in enumerate(declared):
        if resource.WhichOneof("spec") == "link":
            before = stored[resource.name].resource if resource.name in stored else None
            _check_use(resource, before, old, new, f"resources[{index}].link")
    check_left(old, new)


def _check_use(after: Resource, before: Resource | None, old: Holdings, new: Holdings, where: str) -> None:
    key, tenant = key_of(after), parse_name(after.name).tenant
    held = new[key]
    owned_by = owner(old.get(key, ())) or owner(held)
    if owned_by == tenant:
        return
    if after.link.shared_with:
        raise Precondition(
            f"{where}.shared_with: the L1 key {key.name!r} belongs to tenants/{owned_by}, which alone may share it",
            reason=NOT_OWNER,
            field=f"{where}.shared_with",
        )
    linked = after.link.state == LinkState.LINK_STATE_LINKED
    same = before is not None and key_of(before) == key
    if same and not (linked and before is not None and before.link.state != LinkState.LINK_STATE_LINKED):
        return
    if not any(one.tenant == owned_by and tenant in one.shared_with for one in held):
        raise Precondition(
            f"{where}.key: the L1 key {key.name!r} is named by {_first(held, owned_by)} already, so it is another "
            f"tenant's; name a key of tenants/{tenant}, or let tenants/{owned_by} share it (sharedWith: [{tenant}] in "
            "that Link)",
            reason=OF_ANOTHER,
            field=f"{where}.key",
        )
    if linked and not grants(held, tenant, of=owned_by):
        raise Precondition(
            f"{where}.state: {_first(held, owned_by)}, which shares the L1 key {key.name!r}, is not linked",
            reason=OWNER_REVOKED,
            field=f"{where}.state",
        )


def _first(held: Sequence[Holding], tenant: str) -> str:
    return next((one.link for one in held if one.tenant == tenant), f"tenants/{tenant}")


def check_left(old: Holdings, new: Holdings) -> None:
    """Raise Precondition when a Link of another tenant's would be left with a key that nobody lets it use any more."""
    for key, before in old.items():
        owned_by, after = owner(before), new.get(key, ())
        for one in before:
            still = next((each for each in after if each.link == one.link), None)
            if one.tenant == owned_by or still is None or not _covered(before, one, owned_by):
                continue
            named = any(each.tenant == owned_by and one.tenant in each.shared_with for each in after)
            if not named or (still.linked and not grants(after, one.tenant, of=owned_by)):
                raise Precondition(
                    f"{one.link} uses the L1 key {key.name!r}, which tenants/{owned_by} shares with it; revoke it "
                    f"first (orbital retire {one.link}), or revoke both at once (orbital kill {owned_by})",
                    reason=SHARED,
                    field="resources",
                )


def _covered(held: Sequence[Holding], one: Holding, owned_by: str) -> bool:
    return any(each.tenant == owned_by and one.tenant in each.shared_with for each in held)


def revoked_with(aimed: Collection[Resource], lives: Iterable[Resource], others: Iterable[Resource]) -> list[str]:
    """Which Links of other tenants lose their key when these Links of one tenant are revoked, by full name.

    `lives` are all Links of that tenant, `others` those of the tenants that its Links share with.
    """
    gone = {one.name for one in aimed}
    left = holdings(one for one in lives if one.name not in gone)
    lost = {(key_of(one), tenant) for one in aimed for tenant in one.link.shared_with}
    return [
        one.name
        for one in others
        if not one.retired
        and one.link.state == LinkState.LINK_STATE_LINKED
        and (key_of(one), tenant := parse_name(one.name).tenant) in lost
        and not any(each.linked and tenant in each.shared_with for each in left.get(key_of(one), ()))
    ]


def unowned(links: Collection[Resource], held: Iterable[Resource]) -> list[str]:
    """Which of these Links of one tenant may not be linked: another tenant owns the key, and does not let them now."""
    known = holdings(held)
    return [
        one.name
        for one in links
        if (tenant := parse_name(one.name).tenant) != (owned_by := owner(known.get(key_of(one), ())) or tenant)
        and not grants(known[key_of(one)], tenant, of=owned_by)
    ]
