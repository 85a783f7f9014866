"""The process that owns a stack: `python -m stack.supervisor --data DIR [--only NAME]...`.

It ends what an earlier supervisor left behind, starts the units, keeps them, writes the state file, and at SIGTERM ends
what it started. The lock that it holds as long as it lives makes it the only one of its stack.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
import signal
import sys
from pathlib import Path

from runtime.errors import NotFound
from runtime.logs import get_logger, setup_logs
from stack import estate, ports, process, state
from stack.context import StackContext
from stack.engine import Engine
from stack.identity.certificates import identities
from stack.layout import Layout
from stack.openbao import people
from stack.settings import load_settings
from stack.spawn import raise_file_limit
from stack.state import ConsoleState, GatewayState, IdentityState, LoginState, RegionState, State, SupervisorState

log = get_logger(__name__)

LEFTOVER_GRACE = 2.0
LOCKED = 3


def end_leftovers(found: State, grace: float = LEFTOVER_GRACE) -> int:
    """End every process that the state file names and its descendants, and nobody else; returns how many there were."""
    if found.boot != process.boot_id():
        return 0
    left = []
    for part in found.parts.values():
        if part.pid and part.started:
            left += process.members(part.pid, part.started)
        if part.strays:
            left += process.working_in(Path(part.strays))
    process.end(left, grace)
    # Servants that were started while their server was being ended.
    again = [seen for part in found.parts.values() if part.strays for seen in process.working_in(Path(part.strays))]
    process.end(again, 0)
    return len(left)


def first_state(context: StackContext, only: list[str]) -> State:
    """What can be said before anything runs."""
    me = process.look(os.getpid())
    run = context.layout.run
    own = {"ca": str(context.authority())}
    found = State(
        place=str(context.layout.root), run=str(run), boot=process.boot_id(), only=only, ports=dict(context.ports)
    )
    found.supervisor = SupervisorState(pid=os.getpid(), started=me.started if me else 0)
    found.files = {"history": str(context.history())}
    found.gateway = GatewayState(mtls=context.address("gateway-mtls"), jwt=context.address("gateway-jwt"))
    passwords = {name: str(people.password(context, name)) for name in people.PEOPLE}
    found.console = ConsoleState(address=people.origin(context), passwords=passwords)
    found.login = LoginState(
        issuer=people.issuer(f"https://{context.address('openbao-global')}"),
        client=str(people.cli_client(context)),
        gateway=context.address("gateway-people"),
    )
    for region in context.regions:
        crypto = context.address(f"region-{region.name}-crypto")
        edge = context.address(f"edge-{region.name}-crypto")
        admin = str(run / f"admin-envoy-{region.name}.sock")
        found.regions[region.name] = RegionState(auth=region.auth, crypto=crypto, edge=edge, admin=admin)
    for identity in identities(context):
        current = context.layout.identity(identity.name) / "current"
        files = {"cert": str(current / "cert.pem"), "key": str(current / "key.pem"), **own}
        found.identity[identity.name] = IdentityState(**files)
    return found


async def supervise(layout: Layout, only: list[str]) -> None:
    """Run the stack until SIGTERM or SIGINT."""
    try:
        before = state.read(layout)
        ended = await asyncio.to_thread(end_leftovers, before)
        log.info("leftovers ended", count=ended)
    except NotFound:
        before = State()
    settings = load_settings()
    regions = estate.regions_of(settings, before)
    chosen = await asyncio.to_thread(ports.choose, estate.port_names(regions), before.ports)
    context = StackContext(layout, settings, chosen, regions)
    current = first_state(context, only)

    def changed() -> None:
        current.parts, current.steps = engine.parts, engine.steps
        state.write(layout, current)

    engine = Engine(layout, estate.units(context, only), settings.ready_seconds, changed)
    changed()
    await _until_told(engine)
    log.info("stopping")
    await engine.stop()
    current.supervisor = None
    changed()


async def _until_told(engine: Engine) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(engine.run())
        await stop.wait()
        running.cancel()


def main() -> None:
    """Take the lock, then supervise; exits with LOCKED when another supervisor has it."""
    parser = argparse.ArgumentParser(prog="stack.supervisor")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", action="append", default=[])
    chosen = parser.parse_args()
    layout = Layout.of(chosen.data)
    layout.make()
    os.umask(0o077)
    setup_logs("supervisor")
    # A broker that is not up yet is what the engine waits for, not an error.
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
    raise_file_limit()
    with layout.lock.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(LOCKED)
        asyncio.run(supervise(layout, chosen.only))


if __name__ == "__main__":
    main()
