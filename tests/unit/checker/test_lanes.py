"""What a region's process and its queues say of themselves."""

import pytest

from checker.domain.lanes import FailingTask, HopState, KeyMismatch, Lane, Limits, disagreeing
from checker.domain.lanes import read as read_lanes
from checker.domain.queues import Queue
from checker.domain.queues import read as read_queues
from checker.domain.sample import Status
from runtime.progress import Hop

NOW, LIMITS = 1000.0, Limits(journal=60.0, hop=10.0, attempts=4)
FINE = {"pending": 0, "oldest": None, "unreported": 0, "heard": 999.0, "accepted": None, "stuck": None}


def judged(first=900.0, **changed):
    return read_lanes([Lane(1, **(FINE | changed))], NOW, first, LIMITS, "v1")


def stuck(reason, attempts=4):
    return FailingTask("t1", "tenants/acme/links/core", reason, attempts, "c" * 32)


def standing(hop, *, stuck=True):
    return HopState(hop, 50.0, 60.0, 3, stuck)


def test_the_evidence_of_a_hop_that_stands_names_it():
    found = judged(hops=[standing("report")])
    assert {("hop", "report"), ("lane", "1"), ("restarts", "3")} <= set(found.values)
    assert ("lane_1.report", "50.0 s old, idle for 60.0 s, 3 restarts") in found.values
    assert "hop report of lane 1" in found.message


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, ""),
        ({"heard": 985.0}, "LANE_SILENT"),
        ({"heard": None}, "LANE_SILENT"),
        ({"heard": None, "first": 995.0}, ""),
        ({"pending": 3, "oldest": 930.0}, "JOURNAL_OLD"),
        ({"pending": 3, "oldest": 990.0}, ""),
        ({"unreported": 3, "accepted": 980.0}, "REPORTS_WAIT"),
        ({"unreported": 3, "accepted": 995.0}, ""),
        ({"accepted": 10.0}, ""),
        ({"stuck": stuck("BLOB_REFUSED")}, "TASK_FAILING"),
        ({"stuck": stuck("BLOB_REFUSED", attempts=3)}, ""),
        ({"stuck": stuck("HSM_UNREACHABLE")}, "TASKS_WAIT_FOR_HSM"),
        ({"stuck": stuck("OPENBAO_SEALED"), "heard": 0.0}, "TASKS_WAIT_FOR_OPENBAO"),
        *(({"hops": [standing(hop)], "heard": 0.0}, "NOT_PROGRESSING") for hop in Hop),
        *(({"hops": [standing(hop, stuck=False)]}, "") for hop in Hop),
    ],
)
def test_a_lane(changed, reason):
    found = judged(**changed)
    assert (found.reason, found.status) == (reason, Status.DEGRADED if reason else Status.HEALTHY)
    assert ("lane_1.pending", str(changed.get("pending", 0))) in found.values
    assert found.version == "v1"


def test_a_process_that_tells_of_no_lane_is_not_healthy():
    assert read_lanes([], NOW, 900.0, LIMITS, "v1").status is Status.UNKNOWN


def test_a_task_that_fails_again_and_again_names_the_action_that_it_came_of():
    found = judged(stuck=stuck("BLOB_REFUSED"))
    assert found.correlation_id == "c" * 32
    assert {("task", "t1"), ("attempts", "4"), ("waits_for", "BLOB_REFUSED")} <= set(found.values)


@pytest.mark.parametrize(
    ("queues", "unread", "reason"),
    [
        ([(0, 0, 1), (1, 2000, 1)], [], ""),
        ([], [], ""),
        ([(0, 0, 1), (1, 2001, 1)], [], "QUEUE_DEEP"),
        ([(0, 0, 0), (1, 0, 1)], [], ""),
        ([(0, 0, 0), (1, 0, 1)], [0], "QUEUE_UNREAD_IMMEDIATE"),
        ([(0, 0, 1), (1, 0, 0), (2, 0, 0)], [1, 2], "QUEUE_UNREAD_BULK"),
        ([(0, 0, 0), (1, 0, 0)], [0, 1], "QUEUES_UNREAD"),
    ],
)
def test_queues(queues, unread, reason):
    found = read_queues([Queue(*queue) for queue in queues], unread, 2000, "3.10.8")
    assert found.reason == reason
    assert ("connection", "open") in found.values


@pytest.mark.parametrize("changed", [{}, {"heard": 985.0}])
def test_a_key_that_disagrees_is_told_before_anything_of_the_lanes(changed):
    lanes = judged(**changed)
    assert disagreeing([], lanes) == lanes
    mended = KeyMismatch("tenants/acme/systems/core", "KEY_MISSING", "It is gone.", mended=True)
    found = disagreeing([mended], lanes)
    assert (found.status, found.reason) == (Status.DEGRADED, "KEYS_DISAGREE")
    assert "mended" in found.message
    open_ = KeyMismatch("tenants/acme/systems/two", "KEY_VERSIONS_WRONG", "They are not the same.", mended=False)
    found = disagreeing([mended, open_], lanes)
    assert "systems/two" in found.message
    assert "mended" not in found.message
    assert {("keys", "2"), ("disagreement", "KEY_VERSIONS_WRONG")} <= set(found.values)
