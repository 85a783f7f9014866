"""Units start in order, start again when they die, and are all ended."""

import asyncio
import sys
import time

import pytest

from stack import process
from stack.engine import Engine
from stack.layout import Layout
from stack.unit import Launch, Server, Step


class Sleeper(Server):
    def __init__(self, name, place, *requires):
        self.name, self.requires, self.place, self.starts = name, requires, place, 0

    async def prepare(self):
        self.starts += 1
        return Launch(argv=(sys.executable, "-c", "import time; time.sleep(60)"), cwd=self.place)

    async def ready(self):
        return True


class Flaky(Step):
    name = "flaky"

    def __init__(self):
        self.tries = 0

    async def run(self):
        self.tries += 1
        if self.tries < 3:
            raise RuntimeError("not yet")


@pytest.fixture
def layout(tmp_path):
    found = Layout.of(tmp_path)
    found.make()
    yield found
    found.run.rmdir()


async def _until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_a_unit_waits_for_what_it_needs_and_comes_back_when_killed(layout, tmp_path):
    flaky, server = Flaky(), Sleeper("server", tmp_path, "flaky")
    engine = Engine(layout, [server, flaky], 5, lambda: None)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(engine.run())
        await _until(lambda: engine.parts["server"].status == "ready")
        assert flaky.tries == 3
        first = engine.parts["server"].pid
        process.end([process.look(first)], 0)
        await _until(lambda: engine.parts["server"].status == "ready" and engine.parts["server"].pid != first)
        second = engine.parts["server"].pid
        assert engine.parts["server"].restarts == 1
        running.cancel()
    assert process.look(second)
    await engine.stop()
    assert process.look(second) is None
    assert engine.parts["server"].status == "stopped"
