"""What must hold under attack: processes live, memory is bounded, others are served, lane 0 comes through."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import psutil
from orbital.v1 import registry_pb2 as registry
from orbital.v1.crypto_pb2 import UnwrapRequest, WrapRequest
from orbital.v1.resource_pb2 import RegionSpec, Resource

from tests.fuzz.mutate import REGION, SPARE, TENANT
from tests.system.world import SECONDS, World, tenancy

MEBIBYTE = 1024 * 1024
# A process may grow by so much, above what it needs at rest.
GROWTH = 300 * MEBIBYTE
OURS = ("gateway-", "region-", "checker-", "console", "envoy-", "opa-")
# Lists that are of one tenant or region.
OF_ONE = {"uses": ("--tenant", TENANT), "flagchanges": ("--region", REGION)}
# Lists that show most of what whoever called has chosen: as tables too.
CHOSEN_BY_OTHERS = ("denials", "securityevents", "deadletters")
PAUSE = 0.25
MARKS = ("Traceback (most recent call last)", '"event": "unexpected"')
KILL_EVERY = 10.0
KILLS = 40
SHOWN_AT_ONCE = 3
# Within so many seconds a kill has reached every region, whatever others send.
KILL_SECONDS = 15.0


def parts(world: World) -> dict[str, tuple[int, int]]:
    """(process ID, memory in bytes) of each of our processes."""
    found = {}
    for name, part in world.state.parts.items():
        if part.pid and name.startswith(OURS) and psutil.pid_exists(part.pid):
            found[name] = (part.pid, psutil.Process(part.pid).memory_info().rss)
    return found


def logs(world: World) -> dict[Path, int]:
    """How long each log is."""
    return {path: path.stat().st_size for path in sorted((world.place / "log").glob("*.log"))}


def tracebacks(before: dict[Path, int]) -> list[str]:
    """What the processes wrote since then that nobody should have to read."""
    found = []
    for path, size in before.items():
        with path.open("rb") as log:
            log.seek(size)
            text = log.read().decode(errors="replace")
        found += [f"{path.name}: {line[:400]}" for line in text.splitlines() if any(mark in line for mark in MARKS)]
    return found


@dataclass
class Witness:
    """Somebody else's calls, in the other region and at lane 0; what failed is kept."""

    world: World
    calls: int = 0
    kills: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def wraps(self) -> None:
        """Wrap and unwrap in the other region, again and again."""
        about = {"tenant": "witness", "system": "s0", "service": "v0"}
        with self.world.crypto("us20") as stub:
            while not self.over.wait(PAUSE):
                wrapped = stub.Wrap(WrapRequest(plaintext=b"kept", **about), timeout=SECONDS)
                opened = stub.Unwrap(UnwrapRequest(ciphertext=wrapped.ciphertext, **about), timeout=SECONDS)
                assert opened.plaintext == b"kept"
                self.calls += 1

    def watches(self) -> None:
        """Keep one watch open to the end: nobody else may break it."""
        with self.world.registry() as stub:
            watch = stub.WatchRegions(registry.WatchRegionsRequest())
            threading.Thread(target=lambda: (self.over.wait(), watch.cancel()), daemon=True).start()
            try:
                for _ in watch:
                    self.calls += 1
            except grpc.RpcError as error:
                if not self.over.is_set() or error.code() != grpc.StatusCode.CANCELLED:
                    raise

    def revokes(self) -> None:
        """Pull the kill switch now and then, and take the time until every region has proved it."""
        for number in itertools.count():
            if self.over.wait(KILL_EVERY) or number >= KILLS:
                return
            begun = time.monotonic()
            with self.world.registry() as stub:
                request = registry.KillRequest(tenant=f"condemned-{number}", reason="fuzz")
                correlation_id = stub.Kill(request, timeout=SECONDS).correlation_id
                for job in stub.WatchJob(registry.WatchJobRequest(correlation_id=correlation_id), timeout=60):
                    if job.HasField("converge_time"):
                        break
                else:
                    raise AssertionError(f"the kill of condemned-{number} has not converged")
            self.kills.append(time.monotonic() - begun)

    def run(self, name: str, work: Callable[[], None]) -> None:
        """Keep why it ended, if it ended early."""
        try:
            work()
        except (grpc.RpcError, AssertionError) as error:
            said = error.details() if isinstance(error, grpc.RpcError) else error
            self.failures.append(f"{name}: {said}")


@contextmanager
def witnessed(world: World, seconds: float) -> Iterator[Witness]:
    """Somebody else at work inside the block."""
    count = min(KILLS, int(seconds / KILL_EVERY) + 1)
    condemned: list[Resource] = []
    for number in range(count):
        condemned += tenancy(f"condemned-{number}", services=1)
    attacked = [Resource(name=f"regions/{SPARE}", region=RegionSpec(area="x"))]
    for tenant in ("witness", TENANT, SPARE):
        attacked += tenancy(tenant, services=1)
    world.declare([*attacked, *condemned])
    for tenant in ("witness", TENANT, SPARE):
        world.converged(tenant=tenant)
    world.converged(tenant=f"condemned-{count - 1}")
    witness = Witness(world)
    work = {"wraps": witness.wraps, "watch": witness.watches, "kills": witness.revokes}
    threads = [threading.Thread(target=witness.run, args=item) for item in work.items()]
    for thread in threads:
        thread.start()
    try:
        yield witness
    finally:
        witness.over.set()
        for thread in threads:
            thread.join()


def readable(world: World, nouns: tuple[str, ...]) -> list[str]:
    """What the command line cannot show of what is stored now."""

    def show(noun: str) -> Iterator[str]:
        for more in (*[()] * (noun in CHOSEN_BY_OTHERS), ("-o", "json")):
            done = world.orbital("get", noun, *OF_ONE.get(noun, ()), *more)
            said = done.stderr.decode(errors="replace")[-300:]
            if done.returncode != 0 or (more and not _is_json(done.stdout)):
                yield f"get {noun} {' '.join(more)}: {said or done.stdout[-300:]!r}"

    with ThreadPoolExecutor(SHOWN_AT_ONCE) as pool:
        return [each for found in pool.map(lambda noun: list(show(noun)), nouns) for each in found]


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
