"""Processes are told by pid and start time."""

import os
import signal
import subprocess

import pytest

from stack import process
from stack.state import PartState, State
from stack.supervisor import end_leftovers


@pytest.fixture
def sleeper():
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as child:
        yield child
        child.kill()


def test_a_process_is_alive_under_its_start_time_alone(sleeper):
    seen = process.look(sleeper.pid)
    assert process.alive(seen.pid, seen.started)
    assert not process.alive(seen.pid, seen.started + 1)
    assert not process.alive(None, None)


def test_a_dead_process_that_nobody_reaped_is_gone(sleeper):
    seen = process.look(sleeper.pid)
    process.end([seen], grace=5)
    assert process.look(sleeper.pid) is None


def test_one_that_ignores_the_signal_is_killed():
    command = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"]
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        process.end(process.members(child.pid, process.look(child.pid).started), grace=0.1)
        assert child.wait(5) == -signal.SIGKILL


def test_leftovers_include_the_orphans_of_a_leader_that_was_killed():
    command = ["sh", "-c", "sleep 60 & echo $!; wait"]
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE) as leader:
        orphan = int(leader.stdout.readline())
        started = process.look(leader.pid).started
        os.kill(leader.pid, signal.SIGKILL)
        leader.wait()
        part = PartState(pid=leader.pid, started=started)
        assert end_leftovers(State(boot=process.boot_id(), parts={"x": part}), grace=1) == 1
        assert process.look(orphan) is None


def test_another_boot_has_no_leftovers(sleeper):
    part = PartState(pid=sleeper.pid, started=process.look(sleeper.pid).started)
    assert end_leftovers(State(boot="another", parts={"x": part})) == 0
    assert sleeper.poll() is None
