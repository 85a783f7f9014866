"""Rounds, board and signals, on fakes of the policy, the probes and the control plane."""

import asyncio
import random
import time
from contextlib import asynccontextmanager

import pytest

from checker.domain.sample import Finding, Status, healthy
from checker.domain.window import Rule
from checker.flow.aggregate import Board
from checker.flow.probe import Rounds
from checker.flow.signal import Signaller
from checker.ports.control import World
from checker.ports.probe import About, Look
from runtime.errors import Unavailable
from runtime.policy import Decisions, Refusal

WORLD = World(time.time, time.monotonic, random.Random(1).random)


class FakeProbe(Look):
    def __init__(self, name="hsm", timeout=0.05):
        self.about = About(name, name, "health", "HSM_UNREACHABLE", 0.02, timeout)
        self.answer = healthy()
        self.error = None
        self.hangs = False
        self.looks = 0

    async def look(self):
        self.looks += 1
        if self.hangs:
            await asyncio.sleep(60)
        if self.error:
            raise self.error
        return self.answer


class FakePolicy:
    def __init__(self):
        self.away = False
        self.refused = {}
        self.asked = []

    async def decide(self, policy, question, identities):
        self.asked.append((policy, question))
        if self.away:
            raise Unavailable("The policy engine does not answer", reason="POLICY_UNAVAILABLE")
        return Decisions("d1", {name: why for name, why in self.refused.items() if name in identities})


class FakeControl:
    def __init__(self):
        self.away = False
        self.lists = []

    async def signal(self, flags, versions, now):
        if self.away:
            raise Unavailable("away")
        self.lists.append([(flag.component, flag.reason) for flag in flags])


@asynccontextmanager
async def running(*parts):
    tasks = [asyncio.ensure_future(part.run()) for part in parts]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(look, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not look():  # noqa: ASYNC110 - it looks at plain attributes
            await asyncio.sleep(0.005)


@pytest.fixture
def parts():
    probe, policy, control = FakeProbe(), FakePolicy(), FakeControl()
    board = Board(["hsm"], Rule(), WORLD)
    rounds = Rounds("eu10", [probe], policy, board, WORLD)
    return probe, policy, control, board, rounds, Signaller(board, control, WORLD, 0.05)


def reasons(board):
    return [flag.reason for flag in board.flags()]


async def test_policy_is_asked_about_each_look_before_it_is_made(parts):
    probe, policy, _, board, rounds, _ = parts
    async with running(rounds):
        await until(lambda: probe.looks >= 2)
    name, question = policy.asked[0]
    assert (name, question["region"]) == ("probe", "eu10")
    asked = question["probes"][0]
    assert (asked["id"], asked["component"], asked["depth"]) == ("hsm", "hsm", "health")
    assert asked["seconds"] > 0
    assert len(policy.asked) >= probe.looks
    assert board.seen_all()


async def test_without_policy_no_probe_is_made(parts):
    probe, policy, _, board, rounds, _ = parts
    policy.away = True
    async with running(rounds):
        await until(lambda: reasons(board) == ["POLICY_UNAVAILABLE"])
        assert probe.looks == 0
        policy.away = False
        await until(lambda: reasons(board) == [])
    assert probe.looks


async def test_a_refused_probe_is_not_made_and_its_part_is_unknown(parts):
    probe, policy, _, board, rounds, _ = parts
    policy.refused = {"hsm": Refusal("DEPTH_NOT_ALLOWED", "Not so deep.")}
    async with running(rounds):
        await until(lambda: reasons(board) == ["DEPTH_NOT_ALLOWED"])
    assert board.flags()[0].status is Status.UNKNOWN
    assert probe.looks == 0


@pytest.mark.parametrize("fault", ["hangs", "away", "breaks"])
async def test_a_part_that_does_not_answer_is_flagged_and_clears(parts, fault):
    probe, _, _, board, rounds, _ = parts
    async with running(rounds):
        await until(lambda: probe.looks and reasons(board) == [])
        probe.hangs = fault == "hangs"
        probe.error = {"away": Unavailable("away"), "breaks": RuntimeError("bug")}.get(fault)
        wanted = "PROBE_FAILED" if fault == "breaks" else "HSM_UNREACHABLE"
        await until(lambda: reasons(board) == [wanted])
        probe.hangs, probe.error = False, None
        await until(lambda: reasons(board) == [])


async def test_flags_are_signalled_at_once_and_kept_while_the_control_plane_is_away(parts):
    probe, _, control, board, rounds, signaller = parts
    async with running(rounds, signaller):
        await until(lambda: control.lists and control.lists[-1] == [])
        control.away = True
        probe.answer = Finding(Status.OUT_OF_SYNC, "HSM_LOGIN_REFUSED", "No.")
        await until(lambda: not signaller.heard and reasons(board))
        control.away = False
        await until(lambda: control.lists[-1] == [("hsm", "HSM_LOGIN_REFUSED")])
        assert signaller.heard
