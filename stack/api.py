"""Starting, stopping and disturbing a stack, from Python. The command line, the demo and the tests use this alone."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from runtime.errors import NotFound, Precondition, Unavailable
from runtime.files import read_text
from stack import estate, order, process, state
from stack.acquire import PARTS, acquire
from stack.context import StackContext
from stack.layout import Layout
from stack.openbao import customer
from stack.openbao.workload import issue_workload
from stack.parts.relay import command
from stack.settings import load_settings
from stack.spawn import environment
from stack.state import PartState, State
from stack.supervisor import LOCKED, end_leftovers

LOOK_EVERY = 0.05
STOP_SECONDS = 60.0
PATIENCE = 1.5
# A process that was killed a moment ago may still look alive.
SECOND_LOOK = 0.2
Progress = Callable[[str, str, float], None]

load_state = state.load


def up(
    place: Path | str, only: Sequence[str] = (), progress: Progress = lambda _name, _status, _seconds: None
) -> State:
    """Start the stack kept at `place`, or the parts `only` of it and what they need; returns when all of that is ready.

    A running stack is left as it is. Calls progress(name, status, seconds) at every change. Raises Unavailable with
    what is not ready and why; the supervisor then goes on trying until `down`.
    """
    layout = Layout.of(place)
    layout.check()
    wanted = _wanted(layout, only)
    acquire(_to_acquire(wanted), progress)
    running = supervised(layout)
    if running is not None:
        missing = [name for name in wanted if name not in running.parts and name not in running.steps]
        if missing:
            raise Precondition(f"This stack runs without {', '.join(missing)}. End it first: orbital down")
    layout.make()
    return _Start(layout, only, progress).wait()


def down(place: Path | str) -> int:
    """End exactly what the stack at `place` started; returns how many processes that were. Nothing running is fine."""
    layout = Layout.of(place)
    found = state.read(layout)
    count = sum(1 for part in found.parts.values() if process.alive(part.pid, part.started))
    if supervised(layout) is not None and found.supervisor:
        owner = process.look(found.supervisor.pid)
        process.end([owner] if owner else [], STOP_SECONDS)
        found = state.read(layout)
    end_leftovers(found)
    found.supervisor = None
    for part in found.parts.values():
        part.pid, part.started, part.status = None, None, "stopped"
    state.write(layout, found)
    # Sockets alone, of which none is alive any more; everything that matters is below the data directory.
    for sockets in (layout.run, layout.postgres_run):
        shutil.rmtree(sockets, ignore_errors=True)
    return count


def remove(place: Path | str) -> None:
    """End the stack and delete all that it keeps; nothing happens if there is none. Everything in it is lost."""
    layout = Layout.of(place)
    with contextlib.suppress(NotFound):
        down(place)
        if layout.postgres_pointer.exists():
            shutil.rmtree(read_text(layout.postgres_pointer), ignore_errors=True)
        shutil.rmtree(layout.root)


def status(place: Path | str) -> State:
    """The state, corrected by what is really alive."""
    layout = Layout.of(place)
    found = state.read(layout)
    if supervised(layout) is None:
        found.supervisor = None
    same_boot = found.boot == process.boot_id()
    for part in found.parts.values():
        if not (same_boot and process.alive(part.pid, part.started)) and part.status in ("ready", "starting"):
            part.status = "dead"
    return found


def cut(place: Path | str, region: str, path: str = "") -> list[str]:
    """Close the region's ways to the global side, or one `path` of gateway, amqp and mqtt; returns what is cut."""
    return command(Layout.of(place).run, {"cut": region, "path": path})


def heal(place: Path | str, region: str, path: str = "") -> list[str]:
    """Open the region's ways again, or one of them; returns what is still cut."""
    return command(Layout.of(place).run, {"heal": region, "path": path})


def kill(place: Path | str, part: str, number: signal.Signals = signal.SIGKILL) -> int:
    """Send a signal to the process of `part`, or to the one called "supervisor"; returns its pid."""
    found = state.load(place)
    target = found.supervisor if part == "supervisor" else found.parts.get(part)
    if target is None or not process.alive(target.pid, target.started) or target.pid is None:
        raise NotFound(f"{part} does not run", reason="NOT_RUNNING")
    os.kill(target.pid, number)
    return target.pid


def hold(place: Path | str, part: str) -> None:
    """End the process of `part` with SIGKILL and keep it down until `release`."""
    mark = Layout.of(place).held(part)
    mark.parent.mkdir(exist_ok=True)
    mark.touch()
    kill(place, part)


def release(place: Path | str, part: str) -> None:
    """Let `part` be started again; nothing happens if it is not held."""
    Layout.of(place).held(part).unlink(missing_ok=True)


def wait_ready(place: Path | str, part: str, after: int | None = None, seconds: float = 60.0) -> State:
    """Wait until `part` is ready, with another pid than `after`; raises Unavailable when it is not in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = state.load(place)
        now = found.parts.get(part)
        if now and now.status == "ready" and now.pid != after:
            return found
        time.sleep(LOOK_EVERY)
    raise Unavailable(f"{part} was not ready within {seconds:.0f} s", reason="NOT_READY")


def supervised(layout: Layout) -> State | None:
    """The state of a stack whose supervisor lives; None if there is no such."""
    with contextlib.suppress(NotFound):
        found = state.read(layout)
        owner = found.supervisor
        if owner and found.boot == process.boot_id() and process.alive(owner.pid, owner.started):
            return found
    return None


def _wanted(layout: Layout, only: Sequence[str]) -> list[str]:
    """The names of the units, without making anything."""
    settings = load_settings()
    try:
        before = state.read(layout)
    except NotFound:
        before = State()
    regions = estate.regions_of(settings, before)
    context = StackContext(layout, settings, dict.fromkeys(estate.port_names(regions), 0), regions)
    requires = estate.needs(estate.units(context))
    return order.closure(only or requires, requires)


def _to_acquire(wanted: Sequence[str]) -> list[str]:
    """The parts whose binaries these units need: units are called after them. One's own servers need none."""
    settings = load_settings()
    own = {"postgres": settings.postgres_server, "rabbitmq": settings.rabbitmq_server}
    return [part for part in PARTS if not own.get(part) and any(name.split("-")[0] == part for name in wanted)]


class _Start:
    """Waits for a stack, and starts a supervisor whenever there is none."""

    def __init__(self, layout: Layout, only: Sequence[str], progress: Progress) -> None:
        self._layout = layout
        self._only = only
        self._progress = progress
        self._told: dict[str, str] = {}
        self._child: subprocess.Popen[bytes] | None = None

    def wait(self) -> State:
        """Follow the state file until everything is ready, and is still alive at a second look."""
        deadline = time.monotonic() + load_settings().ready_seconds * PATIENCE
        seen_ready = 0.0
        found = None
        while time.monotonic() < deadline:
            self._check_child()
            found = self._look()
            if found is None or not all(_is_up(part) for _name, part in _units(found)):
                seen_ready = 0.0
            elif self._child or (seen_ready and time.monotonic() - seen_ready > SECOND_LOOK):
                return found
            else:
                seen_ready = seen_ready or time.monotonic()
            time.sleep(LOOK_EVERY)
        late = [f"{name} ({part.error or part.status})" for name, part in _units(found) if part.status != "ready"]
        raise Unavailable(f"Not ready: {'; '.join(late)}. Logs: {self._layout.logs}", reason="NOT_READY")

    def _check_child(self) -> None:
        ended = self._child.poll() if self._child else None
        if ended == LOCKED:
            self._child = None
        elif ended is not None:
            raise Unavailable(f"The supervisor ended with status {ended}; see {self._layout.log('supervisor')}")
        if self._child is None and supervised(self._layout) is None:
            self._child = _start(self._layout, self._only)

    def _look(self) -> State | None:
        """The state if the supervisor that is waited for wrote it."""
        found = supervised(self._layout)
        if found is None or not found.supervisor or (self._child and self._child.pid != found.supervisor.pid):
            return None
        for name, part in _units(found):
            if self._told.get(name) != part.status:
                self._told[name] = part.status
                self._progress(name, part.status, part.seconds or 0.0)
        return found


def _is_up(part: PartState) -> bool:
    return part.status == "ready" and (part.pid is None or process.alive(part.pid, part.started))


def _start(layout: Layout, only: Sequence[str]) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "stack.supervisor", "--data", str(layout.root)]
    for name in only:
        argv += ["--only", name]
    settings = {key: value for key, value in os.environ.items() if key.startswith(("ORBITAL_STACK__", "XDG_"))}
    with layout.log("supervisor").open("ab") as log:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=environment(settings),
            cwd=layout.root,
        )


def _units(found: State | None) -> Iterator[tuple[str, PartState]]:
    if found:
        yield from found.steps.items()
        yield from found.parts.items()


def allow_l1(place: Path, *, allowed: bool) -> None:
    """As the customer of the stack at `place`: let the regions use the L1 keys in its own KMS, or no longer."""
    customer.allow(place, allowed=allowed)


def workload(place: Path, service: str) -> tuple[bytes, bytes]:
    """The key and the certificates (PEM) of a workload, TENANT/SYSTEM/SERVICE, of the stack at `place`."""
    return issue_workload(place, service)
