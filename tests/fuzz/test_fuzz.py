"""Hostile input at every entry point, from a seed: no process ends, nobody is harmed, what is stored can be read."""

import threading
import time
from collections import Counter

import pytest

from console.cli.nouns import NOUNS
from tests.fuzz.doors import Callers, Door, doors
from tests.fuzz.mutate import Mutator
from tests.fuzz.watch import GROWTH, KILL_SECONDS, logs, parts, readable, tracebacks, witnessed
from tests.system.flags import Record
from tests.system.world import World, tenancy

SENDERS = 4
# Of what a server answers, these say that it did not know what it was doing.
WRONG = ("INTERNAL", "UNKNOWN", "DATA_LOSS")
SHOWN = 20


class Attack:
    """Sends from every door in turn until the time is over; keeps what went wrong, once a door and status."""

    def __init__(self, chosen: list[Door], seed: int) -> None:
        self._doors = chosen
        self._seed = seed
        self.sent: Counter[str] = Counter()
        self.wrong: dict[tuple[str, str], str] = {}
        self._over = threading.Event()

    def run(self, sender: int) -> None:
        """One sender: its messages follow from the seed and its number, whatever the others do."""
        turn = sender
        while not self._over.is_set():
            door = self._doors[turn % len(self._doors)]
            seed = f"{self._seed}/{sender}/{turn}"
            try:
                said = door.send(Mutator(seed))
            except OSError as error:
                said = f"UNKNOWN: {type(error).__name__} {error}"
            status = said.partition(":")[0]
            self.sent[status] += 1
            if status in WRONG:
                self.wrong.setdefault((door.name, status), f"{said[:300]} (message {seed})")
            turn += SENDERS

    def go(self, seconds: float) -> None:
        """Send for so long."""
        threads = [threading.Thread(target=self.run, args=(number,)) for number in range(SENDERS)]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        self._over.set()
        for thread in threads:
            thread.join()


@pytest.mark.timeout(36_000)
def test_hostile_things_at_every_door_harm_nobody_else(
    world: World, measured: Record, pytestconfig: pytest.Config
) -> None:
    seconds = pytestconfig.getoption("--minutes") * 60
    callers = Callers(world)
    with witnessed(world, seconds) as witness:
        before, written = parts(world), logs(world)
        attack = Attack(list(doors(world, callers)), pytestconfig.getoption("--seed"))
        attack.go(seconds)
    after = parts(world)
    callers.close()
    measured("sent", attack.sent.total())
    measured("slowest kill", max(witness.kills, default=0))
    wrong = "\n".join(sorted(f"{door}: {said}" for (door, _), said in attack.wrong.items()))
    # pytest would show the beginning of it alone.
    if wrong:
        pytest.fail(wrong, pytrace=False)
    assert attack.sent.total() > seconds
    assert tracebacks(written)[:SHOWN] == []
    assert {name: pid for name, (pid, _) in after.items()} == {name: pid for name, (pid, _) in before.items()}
    grown = {name: size - before[name][1] for name, (_, size) in after.items()}
    assert {name: size for name, size in grown.items() if size > GROWTH} == {}
    assert witness.failures == []
    assert witness.calls > seconds
    assert witness.kills
    assert max(witness.kills) < KILL_SECONDS
    assert readable(world, tuple(noun.name for noun in NOUNS)) == []
    world.declare(tenancy("afterwards"))
    world.converged(tenant="afterwards")
