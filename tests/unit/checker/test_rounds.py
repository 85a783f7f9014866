"""Rounds, board and signals, on fakes of the policy, the probes and the control plane."""

import ast
import asyncio
import random
import time
from base64 import b64decode
from contextlib import asynccontextmanager

import pytest

from checker.adapters.outbox import FileOutbox
from checker.domain.sample import Finding, Status, healthy
from checker.domain.window import Rule
from checker.flow.aggregate import Aggregate
from checker.flow.probe import ProbeLoop
from checker.flow.signal import Signaller
from checker.ports.control import Host
from checker.ports.probe import ProbeInfo, StatelessProbe
from runtime.errors import Invalid, Unavailable
from runtime.policy import Decisions, Refusal

WORLD = Host(time.time, time.monotonic, random.Random(1).random)


class FakeProbe(StatelessProbe):
    def __init__(self, name="hsm", timeout=0.05, period=0.02):
        self.about = ProbeInfo(name, name, "health", "HSM_UNREACHABLE", period, timeout)
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
        self.refused = b""
        self.lists = []

    def pack(self, flags, versions, now):
        return repr([(flag.component, flag.reason) for flag in flags]).encode()

    async def send(self, content):
        if self.away:
            raise Unavailable("away")
        if content == self.refused:
            raise Invalid("no")
        self.lists.append(ast.literal_eval(content.decode()))


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
def parts(tmp_path):
    probe, policy, control = FakeProbe(), FakePolicy(), FakeControl()
    aggregate = Aggregate(["hsm"], Rule(), WORLD)
    rounds = ProbeLoop("eu10", [probe], policy, aggregate, WORLD)
    return (
        probe,
        policy,
        control,
        aggregate,
        rounds,
        Signaller(aggregate, control, FileOutbox(tmp_path / "outbox"), WORLD, 0.05),
    )


def reasons(aggregate):
    return [flag.reason for flag in aggregate.flags()]


async def test_policy_is_asked_about_each_look_before_it_is_made(parts):
    probe, policy, _, aggregate, rounds, _ = parts
    async with running(rounds):
        await until(lambda: probe.looks >= 2)
    name, question = policy.asked[0]
    assert (name, question["region"]) == ("probe", "eu10")
    asked = question["probes"][0]
    assert (asked["id"], asked["component"], asked["depth"]) == ("hsm", "hsm", "health")
    assert asked["seconds"] > 0
    assert len(policy.asked) >= probe.looks
    assert aggregate.seen_all()


async def test_without_policy_no_probe_is_made(parts):
    probe, policy, _, aggregate, rounds, _ = parts
    policy.away = True
    async with running(rounds):
        await until(lambda: reasons(aggregate) == ["POLICY_UNAVAILABLE"])
        assert probe.looks == 0
        policy.away = False
        await until(lambda: reasons(aggregate) == [])
    assert probe.looks


async def test_a_refused_probe_is_not_made_and_its_part_is_unknown(parts):
    probe, policy, _, aggregate, rounds, _ = parts
    policy.refused = {"hsm": Refusal("DEPTH_NOT_ALLOWED", "Not so deep.")}
    async with running(rounds):
        await until(lambda: reasons(aggregate) == ["DEPTH_NOT_ALLOWED"])
    assert aggregate.flags()[0].status is Status.UNKNOWN
    assert probe.looks == 0


@pytest.mark.parametrize("fault", ["hangs", "away", "breaks"])
async def test_a_part_that_does_not_answer_is_flagged_and_clears(parts, fault):
    probe, _, _, aggregate, rounds, _ = parts
    async with running(rounds):
        await until(lambda: probe.looks and reasons(aggregate) == [])
        probe.hangs = fault == "hangs"
        probe.error = {"away": Unavailable("away"), "breaks": RuntimeError("bug")}.get(fault)
        wanted = "PROBE_FAILED" if fault == "breaks" else "HSM_UNREACHABLE"
        await until(lambda: reasons(aggregate) == [wanted])
        probe.hangs, probe.error = False, None
        await until(lambda: reasons(aggregate) == [])


async def test_what_would_explain_new_trouble_is_looked_at_at_once():
    effect, cause, other = FakeProbe("openbao"), FakeProbe("envoy", period=3600), FakeProbe("disk", period=3600)
    aggregate = Aggregate(["openbao", "envoy", "disk"], Rule(), WORLD)
    async with running(ProbeLoop("eu10", [effect, cause, other], FakePolicy(), aggregate, WORLD)):
        await until(aggregate.seen_all)
        effect.error = Unavailable("away", reason="SIDECAR_UNREACHABLE")
        cause.error = Unavailable("away", reason="ENVOY_UNREACHABLE")
        await until(lambda: reasons(aggregate) == ["ENVOY_UNREACHABLE"])
        assert other.looks == 1
        # Once it is known, the cause keeps its own pace.
        looks = cause.looks
        await asyncio.sleep(0.5)
        assert cause.looks == looks


async def test_flags_are_signalled_at_once_and_kept_while_the_control_plane_is_away(parts):
    probe, _, control, aggregate, rounds, signaller = parts
    async with running(rounds, signaller):
        await until(lambda: control.lists and control.lists[-1] == [])
        control.away = True
        probe.answer = Finding(Status.OUT_OF_SYNC, "HSM_LOGIN_REFUSED", "No.")
        await until(lambda: not signaller.heard and reasons(aggregate))
        control.away = False
        await until(lambda: control.lists[-1] == [("hsm", "HSM_LOGIN_REFUSED")])
        await until(lambda: signaller.heard)


async def test_what_changed_while_the_control_plane_was_away_is_sent_after_in_order_even_by_a_new_process(
    parts, tmp_path
):
    probe, _, control, _, rounds, signaller = parts
    path = tmp_path / "outbox"
    control.away = True

    def kept(last):
        lines = path.read_bytes().splitlines() if path.exists() else []
        return lines and b64decode(lines[-1]).decode() == repr(last)

    async with running(rounds, signaller):
        await until(lambda: kept([]))
        probe.answer = Finding(Status.OUT_OF_SYNC, "HSM_LOGIN_REFUSED", "No.")
        await until(lambda: kept([("hsm", "HSM_LOGIN_REFUSED")]))
        probe.answer = healthy()
        await until(lambda: kept([]))
    assert path.stat().st_mode & 0o777 == 0o600
    control.away = False
    fresh = Aggregate(["hsm"], Rule(), WORLD)
    async with running(Signaller(fresh, control, FileOutbox(path), WORLD, 0.05)):
        await until(lambda: path.read_bytes() == b"" and len(control.lists) > 4)
    told = [one for one in control.lists if one not in ([], [("hsm", "NOT_CHECKED_YET")])]
    assert told == [[("hsm", "HSM_LOGIN_REFUSED")]]


async def test_a_kept_signal_that_is_refused_does_not_stop_the_next(parts, tmp_path):
    _, _, control, aggregate, _, _ = parts
    outbox = FileOutbox(tmp_path / "outbox")
    await outbox.keep(b"[]")
    control.refused = b"[]"
    async with running(Signaller(aggregate, control, outbox, WORLD, 0.05)):
        await until(lambda: control.lists)
    assert await outbox.waiting() == ()


async def test_an_outbox_that_cannot_be_read_or_written_stops_nothing(tmp_path):
    (tmp_path / "broken").write_bytes(b"not base64!")
    assert await FileOutbox(tmp_path / "broken").waiting() == ()
    outbox = FileOutbox(tmp_path / "nowhere" / "outbox")
    await outbox.keep(b"x")
    assert await outbox.waiting() == (b"x",)
