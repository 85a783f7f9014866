"""RabbitMQ with its Erlang, and SoftHSM: what to take from the distribution and how to make it movable."""

from __future__ import annotations

from pathlib import Path

from stack.acquire.debian import packages

ERLANG = (
    *("base", "asn1", "crypto", "eldap", "inets", "mnesia", "os-mon", "parsetools", "public-key", "runtime-tools"),
    *("ssl", "syntax-tools", "tools", "xmerl"),
)


def rabbitmq() -> Path:
    """A tree with RabbitMQ and the Erlang that runs it."""
    return packages("rabbitmq", ["rabbitmq-server", *(f"erlang-{name}" for name in ERLANG)], _move_erlang)


def softhsm() -> Path:
    """A tree with the SoftHSM library and its command."""
    return packages("softhsm", ["softhsm2", "softhsm2-common", "libsofthsm2"])


def _move_erlang(tree: Path, final: Path) -> None:
    """`erl` and `start` name their own root: give them the place where they will be."""
    lib = tree / "usr/lib/erlang"
    for script in [*lib.glob("bin/*"), *lib.glob("erts-*/bin/*")]:
        if script.name in ("erl", "start") and script.is_file() and not script.is_symlink():
            script.write_text(script.read_text().replace("/usr/lib/erlang", str(final / "usr/lib/erlang")))
