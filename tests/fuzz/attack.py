"""Hostile input at every entry point, from a seed: no process ends, nobody is harmed, what is stored can be read."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from console.cli.nouns import NOUNS
from tests.fuzz.door import Door
from tests.fuzz.doors import Callers, doors
from tests.fuzz.mutate import Mutator
from tests.fuzz.watch import GROWTH, KILL_SECONDS, Witness, logs, parts, readable, tracebacks, witnessed
from tests.system.flags import Record
from tests.system.world import World, tenancy

log = logging.getLogger(__name__)

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
        self.taken: Counter[str] = Counter()
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
            self.taken[door.name] += status == "OK"
            if status in WRONG:
                self.wrong.setdefault((door.name, status), f"{said[:300]} (message {seed})")
            turn += SENDERS

    def closed(self) -> set[str]:
        """The entry points that refused everything: what is behind them was not tried."""
        return {door.name for door in self._doors if not self.taken[door.name]}

    def go(self, seconds: float) -> None:
        """Send for so long."""
        threads = [threading.Thread(target=self.run, args=(number,)) for number in range(SENDERS)]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        self._over.set()
        for thread in threads:
            thread.join()


def harm(attack: Attack, witness: Witness, seconds: float) -> Iterator[str]:
    """What the answers and the others say that went wrong."""
    yield from sorted(f"{door}: {said}" for (door, _), said in attack.wrong.items())
    yield from witness.failures
    if attack.sent.total() < seconds or witness.calls < seconds:
        yield f"{attack.sent.total()} messages were sent and {witness.calls} calls of others made in {seconds} s"
    if not witness.kills or max(witness.kills) > KILL_SECONDS:
        yield f"kills took {witness.kills}"


def attacked(world: World, measured: Record, minutes: float, seed: int) -> None:
    """Attack for so long, from this seed; fails with all that went wrong."""
    seconds = minutes * 60
    callers = Callers(world)
    with witnessed(world, seconds) as witness:
        before, written = parts(world), logs(world)
        attack = Attack(list(doors(world, callers)), seed)
        attack.go(seconds)
    after = parts(world)
    callers.close()
    measured("sent", attack.sent.total())
    measured("slowest kill", max(witness.kills, default=0))
    log.info("answers: %s; nothing was taken at: %s", dict(attack.sent), sorted(attack.closed()))
    wrong = [*harm(attack, witness, seconds), *tracebacks(written)[:SHOWN]]
    wrong += [f"{name} ended" for name, (pid, _) in before.items() if after.get(name, (0, 0))[0] != pid]
    grown = {name: size - before[name][1] for name, (_, size) in after.items() if name in before}
    wrong += [f"{name} grew by {size} bytes" for name, size in grown.items() if size > GROWTH]
    wrong += readable(world, tuple(noun.name for noun in NOUNS))
    # pytest would show the beginning of it alone.
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)
    world.declare(tenancy("afterwards"))
    world.converged(tenant="afterwards")
