"""What the broker asks, and what is made of policy's answer."""

import pytest

from gateway.domain.allowance import Allowances
from gateway.flow.access import ID, Access
from runtime.errors import Unavailable
from tests.unit.gateway.fakes import FakePolicy, FakeTasks

ASKED = dict.fromkeys(("username", "vhost", "client_id", "resource", "name", "permission", "routing_key"), "")
REVOKED = {"us20"}
SECONDS, MOST = 1.0, 3
EU10 = ASKED | {"username": "spiffe://orbital/region/eu10", "resource": "queue", "name": "q", "permission": "read"}


def make_access(policy: FakePolicy, tasks: FakeTasks, now: list[float] | None = None) -> Access:
    clock = now or [0.0]
    allowances = Allowances(SECONDS, MOST)
    return Access(policy, tasks, "gateway-immediate", REVOKED.__contains__, allowances, lambda: clock[0])


async def test_policy_is_asked_and_a_refusal_is_kept() -> None:
    policy, tasks = FakePolicy(), FakeTasks()
    access = make_access(policy, tasks)
    assert await access.allows("resource", EU10, password=False)
    ((name, question),) = policy.asked
    assert (name, question["principal"]) == ("broker", EU10["username"])
    assert question["requests"] == [{"id": ID, "about": "resource", "password": False, **EU10}]
    assert not tasks.denials
    policy.refuse = {ID}
    assert not await access.allows("resource", EU10 | {"permission": "read", "vhost": "/"}, password=False)
    assert [(each.policy, each.principal, each.action) for each in tasks.denials] == [
        ("broker", EU10["username"], "resource read q")
    ]


async def test_policy_is_told_who_was_revoked() -> None:
    policy = FakePolicy()
    access = make_access(policy, FakeTasks())
    for region, revoked in (("eu10", False), ("us20", True)):
        await access.allows("user", EU10 | {"username": f"spiffe://orbital/region/{region}"}, password=False)
        assert policy.asked[-1][1]["revoked"] is revoked


async def test_an_account_of_the_brokers_own_is_none_of_policys() -> None:
    policy = FakePolicy()
    assert not await make_access(policy, FakeTasks()).allows("user", ASKED | {"username": "x"}, password=True)
    assert not policy.asked


async def test_without_policy_there_is_no_answer() -> None:
    policy = FakePolicy()
    policy.away = True
    with pytest.raises(Unavailable):
        await make_access(policy, FakeTasks()).allows("user", EU10, password=False)


async def test_what_was_allowed_is_remembered_for_its_time_and_for_this_question_alone() -> None:
    policy, now = FakePolicy(), [0.0]
    access = make_access(policy, FakeTasks(), now)
    for moment, asked in ((0.0, 1), (0.99, 1), (1.0, 2)):
        now[0] = moment
        assert await access.allows("resource", EU10, password=False)
        assert len(policy.asked) == asked
    policy.refuse = {ID}
    for about, question, password in (
        ("user", EU10, False),
        ("resource", EU10, True),
        *(("resource", EU10 | {field: "other"}, False) for field in EU10 if field != "username"),
    ):
        assert not await access.allows(about, question, password=password)
    # Nor is a refusal remembered.
    policy.refuse = set()
    assert await access.allows("user", EU10, password=False)


async def test_whoever_is_revoked_is_not_let_in_by_what_was_allowed() -> None:
    policy = FakePolicy()
    access = make_access(policy, FakeTasks())
    assert await access.allows("user", EU10, password=False)
    policy.refuse = {ID}
    assert await access.allows("user", EU10, password=False)
    REVOKED.add("eu10")
    try:
        assert not await access.allows("user", EU10, password=False)
    finally:
        REVOKED.discard("eu10")


def test_no_more_is_remembered_than_fits_and_the_oldest_goes_first() -> None:
    allowances = Allowances(SECONDS, MOST)
    for number in range(10_000):
        allowances.keep(number, number / 1e6)
        assert len(allowances) <= MOST
    assert [number for number in range(10_000) if allowances.holds(number, 0.01)] == [9997, 9998, 9999]
    # What is asked again is the newest again.
    allowances.keep(9997, 0.01)
    allowances.keep("new", 0.01)
    assert [allowances.holds(question, 0.01) for question in (9997, 9998)] == [True, False]
    assert len(allowances) == MOST
    assert not allowances.holds("new", 0.01 + SECONDS)
    assert len(allowances) == 0
