"""The pure core: names, records and their transitions, coalescing, intent, lease, retry, envelope."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orbital.v1 import resource_pb2 as rpb
from orbital.v1 import task_pb2 as pb

from region.domain import envelope, intent, keys, lease, retry, work
from region.domain.names import Kind, Name, parse
from region.domain.work import Entry, Held
from runtime.errors import Invalid
from runtime.lease import DEFAULT_SECONDS
from tests.unit.region.make import Estate, task

ESTATE = Estate()


def entry(wanted: pb.Task, held: Held | None = None) -> Entry:
    return Entry(1, wanted, wanted.resource.name, wanted.resource.generation, 0.0, held=held)


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        ("tenants/acme", "tenants/acme"),
        ("tenants/acme/systems/core", "systems/acme/core"),
        ("tenants/acme/systems/core/services/pay", "services/acme/core/pay"),
        ("tenants/acme/links/l", "links/acme/l"),
    ],
)
def test_names_go_there_and_back(resource: str, path: str) -> None:
    name = parse(resource)
    assert (name.resource, name.path) == (resource, path)


@pytest.mark.parametrize(
    "resource",
    ["", "tenants", "tenants/", "tenants/A", "regions/eu10", "tenants/a/systems/../services/x", "tenants/a.b"],
)
def test_what_is_no_name_is_refused(resource: str) -> None:
    with pytest.raises(Invalid):
        parse(resource)


def system(state: keys.State, **fields: object) -> keys.SystemRecord:
    return keys.SystemRecord(1, state, (keys.Blob(1, "l1:x", "t"),), **fields)  # type: ignore[arg-type]


def test_unlinking_stops_only_what_the_link_allowed() -> None:
    active = system(keys.State.ACTIVE, link="l", links={"l": 1})
    assert active.unlinked("l", 2, 9.0).state is keys.State.UNLINKED
    assert active.unlinked("l", 2, 9.0).destroying_until == 9.0
    other = active.unlinked("other", 2, 9.0)
    assert (other.state, other.links) == (keys.State.ACTIVE, {"l": 1, "other": 2})
    assert system(keys.State.PRE_ACTIVE).unlinked("l", 2, 9.0).state is keys.State.PRE_ACTIVE


def test_relinking_an_active_key_does_not_interrupt_it() -> None:
    active = system(keys.State.ACTIVE, link="l", links={"l": 1})
    assert active.linking("l", 2, keys.L1(keys.HSM, "k"), active.blobs, 9.0).state is keys.State.ACTIVE
    assert system(keys.State.UNLINKED).linking("l", 3, keys.L1("kms", "k"), (), 9.0).state is keys.State.LINKING


@given(
    st.builds(
        keys.SystemRecord,
        st.integers(0, 9),
        st.sampled_from(keys.State),
        st.lists(st.builds(keys.Blob, st.integers(1, 9), st.just("l2"), st.text()), max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=3), st.integers(0, 9), max_size=2),
    )
)
def test_records_survive_the_store(record: keys.SystemRecord) -> None:
    assert keys.system_record(keys.to_fields(record)) == record


def test_only_the_highest_generation_is_executed_in_order() -> None:
    tasks = [ESTATE.system(1), ESTATE.service(3), ESTATE.system(3, 2), ESTATE.service(2), ESTATE.system(2)]
    kept, superseded = work.coalesce(entry(each) for each in tasks)
    assert [(each.resource.split("/")[-2], each.generation) for each in kept] == [("services", 3), ("systems", 3)]
    assert [(each.generation, newest) for each, newest in superseded] == [(1, 3), (2, 3), (2, 3)]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 5)), max_size=20))
def test_coalescing_loses_nothing(pairs: list[tuple[str, int]]) -> None:
    entries = [entry(ESTATE.service(generation, name=name)) for name, generation in pairs]
    kept, superseded = work.coalesce(entries)
    assert len(kept) + len(superseded) == len(entries)
    for each, newest in superseded:
        assert newest > each.generation
        assert any(one.resource == each.resource and one.generation == newest for one in kept)


def sync(resource: rpb.Resource) -> pb.Task:
    return task(pb.TASK_KIND_SYNC_METADATA, resource)


def held(state: str = "", version: int = 0, body: rpb.Resource | None = None) -> Held:
    return Held(1, 0, state, version, (body or rpb.Resource()).SerializeToString())


def test_a_change_of_labels_that_overtook_its_key_makes_the_key() -> None:
    name = parse("tenants/acme/systems/core")
    wanted = sync(ESTATE.system(2, 2).resource)
    assert intent.needed(wanted, name, None) == pb.TASK_KIND_DEFINE_KEY
    assert intent.needed(wanted, name, held(version=1)) == pb.TASK_KIND_ROTATE_KEY
    assert intent.needed(wanted, name, held(version=2)) == pb.TASK_KIND_SYNC_METADATA


def test_a_change_of_labels_follows_the_state_of_a_link_and_of_a_tenant() -> None:
    link = parse("tenants/acme/links/l")
    assert intent.needed(sync(ESTATE.link().resource), link, None) == pb.TASK_KIND_LINK_KEY
    assert intent.needed(sync(ESTATE.unlink(2).resource), link, None) == pb.TASK_KIND_UNLINK_KEY
    tenant, killed = parse("tenants/acme"), sync(ESTATE.kill(2).resource)
    assert intent.needed(killed, tenant, held("ACTIVE")) == pb.TASK_KIND_UNLINK_KEY
    assert intent.needed(killed, tenant, held("KILLED")) == pb.TASK_KIND_SYNC_METADATA
    plain = sync(ESTATE.define_tenant(2).resource)
    assert intent.needed(plain, tenant, held("ACTIVE", body=plain.resource)) == pb.TASK_KIND_SYNC_METADATA
    plain.resource.tenant.lease.seconds = 60
    assert intent.needed(plain, tenant, held("ACTIVE")) == pb.TASK_KIND_DEFINE_TENANT


def test_a_task_that_contradicts_itself_is_refused() -> None:
    good = ESTATE.link()
    for change in (
        {"kind": pb.TASK_KIND_DEFINE_KEY},
        {"tenant": "other"},
        {"resource": ESTATE.unlink(2).resource},
        {"resource": rpb.Resource(name="tenants/acme/links/l", generation=1)},
    ):
        bad = pb.Task()
        bad.CopyFrom(good)
        bad.MergeFrom(pb.Task(**change))  # type: ignore[arg-type]
        if "resource" in change:
            bad.resource.CopyFrom(change["resource"])  # type: ignore[arg-type]
        with pytest.raises(Invalid):
            intent.check(bad, parse(bad.resource.name))
    huge = ESTATE.system(1, 5000)
    with pytest.raises(Invalid, match="key_version"):
        intent.check(huge, parse(huge.resource.name))


def test_the_lease_ends_after_its_time_and_not_before() -> None:
    assert not lease.expired(60.0, 60.0)
    assert lease.expired(60.1, 60.0)
    assert not lease.expired(DEFAULT_SECONDS, 0.0)
    assert lease.expired(DEFAULT_SECONDS + 1, 0.0)


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_waits_grow_to_half_a_minute(attempts: int, random: float) -> None:
    assert 0.25 <= retry.delay(attempts, random) <= 30
    assert retry.delay(0, 0.0) == 0.5
    assert retry.delay(100, 0.0) == 30


@given(st.binary(max_size=40))
def test_any_bytes_are_a_ciphertext_or_refused(raw: bytes) -> None:
    try:
        opened = envelope.unpack(raw)
    except Invalid:
        return
    assert opened.header() + opened.sealed == raw


def test_associated_data_cannot_be_shifted_between_its_parts() -> None:
    assert envelope.associated("ab", b"", b"c") != envelope.associated("a", b"", b"bc")


def test_scopes_put_a_link_beside_its_system() -> None:
    link, core = ESTATE.link(), ESTATE.system()
    assert work.scope(link, parse(link.resource.name)) == work.scope(core, Name(Kind.SYSTEM, "acme", "core"))
