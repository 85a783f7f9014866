"""What the broker asks, and what is made of policy's answer."""

import pytest

from gateway.flow.access import ID, Access
from runtime.errors import Unavailable
from tests.unit.gateway.fakes import FakePolicy, FakeTasks

ASKED = dict.fromkeys(("username", "vhost", "client_id", "resource", "name", "permission", "routing_key"), "")
REVOKED = {"us20"}
EU10 = ASKED | {"username": "spiffe://orbital/region/eu10", "resource": "queue", "name": "q", "permission": "read"}


async def test_policy_is_asked_and_a_refusal_is_kept() -> None:
    policy, tasks = FakePolicy(), FakeTasks()
    access = Access(policy, tasks, "gateway-immediate", REVOKED.__contains__)
    assert await access.allows("resource", EU10, password=False)
    ((name, question),) = policy.asked
    assert (name, question["principal"]) == ("broker", EU10["username"])
    assert question["requests"] == [{"id": ID, "about": "resource", "password": False, **EU10}]
    assert not tasks.denials
    policy.refuse = {ID}
    assert not await access.allows("resource", EU10, password=False)
    assert [(each.policy, each.principal, each.action) for each in tasks.denials] == [
        ("broker", EU10["username"], "resource read q")
    ]


async def test_policy_is_told_who_was_revoked() -> None:
    policy = FakePolicy()
    access = Access(policy, FakeTasks(), "gateway-immediate", REVOKED.__contains__)
    for region, revoked in (("eu10", False), ("us20", True)):
        await access.allows("user", EU10 | {"username": f"spiffe://orbital/region/{region}"}, password=False)
        assert policy.asked[-1][1]["revoked"] is revoked


async def test_an_account_of_the_brokers_own_is_none_of_policys() -> None:
    policy = FakePolicy()
    assert not await Access(policy, FakeTasks(), "gateway", REVOKED.__contains__).allows(
        "user", ASKED | {"username": "x"}, password=True
    )
    assert not policy.asked


async def test_without_policy_there_is_no_answer() -> None:
    policy = FakePolicy()
    policy.away = True
    with pytest.raises(Unavailable):
        await Access(policy, FakeTasks(), "gateway", REVOKED.__contains__).allows("user", EU10, password=False)
