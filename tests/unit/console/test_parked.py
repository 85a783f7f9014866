"""Parked tasks on the command line: listed, sent again, cancelled, and told while one waits for a change."""

from __future__ import annotations

import json

import pytest
from orbital.v1 import registry_pb2 as api
from orbital.v1 import task_pb2
from orbital.v1.parked_pb2 import CancelTasksRequest, RetryTasksRequest

from console.cli.commands.parked import MOST
from tests.unit.console.conftest import Orbital
from tests.unit.console.gateway import ID, NOW, FakeGateway


def task(number: int, region: str = "eu10") -> api.TaskStatus:
    return api.TaskStatus(
        id=f"{number:08x}" + "0" * 24,
        kind=task_pb2.TASK_KIND_LINK_KEY,
        lane=1,
        region=region,
        resource="tenants/acme/links/core",
        state=api.TASK_STATE_PARKED,
        reason="L1_KEY_MISSING",
        correlation_id=f"change-{number}",
        retry_time=NOW,
    )


def changed(gateway: FakeGateway) -> list[RetryTasksRequest | CancelTasksRequest]:
    return [one for one in gateway.asked if isinstance(one, RetryTasksRequest | CancelTasksRequest)]


def test_parked_tasks_are_listed(gateway: FakeGateway, orbital: Orbital) -> None:
    gateway.parked = [task(1), task(2, "us20")]
    rows = json.loads(orbital("get", "tasks", "--parked", "-o", "json").out)
    assert [(row["state"], row["reason"], bool(row["retry_at"])) for row in rows] == [
        ("parked", "L1_KEY_MISSING", True)
    ] * 2
    for flag, value in (("--region", "us20"), ("--correlation", "change-2")):
        rows = json.loads(orbital("get", "tasks", "--parked", flag, value, "-o", "json").out)
        assert [row["id"] for row in rows] == [task(2).id]
    assert orbital("get", "regions", "--parked").status == 2


@pytest.mark.parametrize("verb", ["retry", "cancel"])
def test_what_is_named_is_sent_again_or_cancelled(gateway: FakeGateway, orbital: Orbital, verb: str) -> None:
    gateway.parked = [task(1), task(2), task(2**31)]
    ended = orbital(verb, "00000001", task(2).id, "--reason", "mended", "-o", "json")
    assert ended.status == 0
    assert json.loads(ended.out) == {"tasks": [task(1).id, task(2).id], "correlation_ids": [ID]}
    (asked,) = changed(gateway)
    assert (list(asked.ids), asked.reason) == ([task(1).id, task(2).id], "mended")
    assert asked.request_id


@pytest.mark.parametrize("verb", ["retry", "cancel"])
def test_what_is_parked_somewhere_is_taken_in_parts(gateway: FakeGateway, orbital: Orbital, verb: str) -> None:
    gateway.parked = [task(number) for number in range(1, MOST + 12)] + [task(9999, "us20")]
    ended = orbital(verb, "--region", "eu10", "--reason", "mended")
    assert ended.status == 0
    assert [len(asked.ids) for asked in changed(gateway)] == [MOST, 11]
    assert len({asked.request_id for asked in changed(gateway)}) == 2
    assert "111 tasks" in ended.out


@pytest.mark.parametrize("verb", ["retry", "cancel"])
@pytest.mark.parametrize(
    ("chosen", "status"),
    [((), 2), (("ffff",), 3), (("0000",), 3), (("",), 3), (("00000001", "--region", "eu10"), 2)],
)
def test_what_is_not_clear_changes_nothing(
    gateway: FakeGateway, orbital: Orbital, verb: str, chosen: tuple[str, ...], status: int
) -> None:
    gateway.parked = [task(1), task(2)]
    assert orbital(verb, *chosen, "--reason", "mended").status == status
    assert not changed(gateway)


def test_nothing_parked_is_said(gateway: FakeGateway, orbital: Orbital) -> None:
    assert orbital("retry", "--region", "eu10", "--reason", "mended").out == "Nothing is parked there.\n"
    assert not changed(gateway)


def test_a_wait_says_what_is_parked(gateway: FakeGateway, orbital: Orbital) -> None:
    part = api.JobRegion(region="eu10", behind=1, connected=True, reason="L1_KEY_MISSING", parked=1)
    waiting = api.Job(correlation_id=ID, total=2, converged=1, regions=[part], state=api.JOB_STATE_CONVERGING)
    ended = api.Job(correlation_id=ID, total=2, converged=2, state=api.JOB_STATE_CONVERGED)
    ended.end_time.CopyFrom(NOW)
    ended.converge_time.CopyFrom(NOW)
    gateway.jobs = [waiting, waiting, ended]
    done = orbital("wait", ID)
    assert done.status == 0
    assert done.err.count("eu10: parked: L1_KEY_MISSING") == 1
    gateway.jobs = [waiting]
    late = orbital("wait", ID, "--timeout", "1s")
    assert late.status == 7
    assert "eu10 (parked: L1_KEY_MISSING)" in late.err
