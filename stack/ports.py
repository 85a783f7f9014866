"""Free loopback ports: the ones a stack had before if nobody took them, otherwise new ones."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Iterable, Mapping

from runtime.errors import Exhausted

# Below the range from which the kernel takes ports of outgoing connections: such a port cannot be taken meanwhile.
LOWEST, HIGHEST = 20000, 32000


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` of the loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def choose(names: Iterable[str], before: Mapping[str, int], tries: int = 2000) -> dict[str, int]:
    """A free port for each name; raises Exhausted when there are none left."""
    chosen: dict[str, int] = {}
    for name in names:
        port = before.get(name, 0)
        if port and port not in chosen.values() and is_free(port):
            chosen[name] = port
            continue
        reserved = {*chosen.values(), *before.values()}
        for _ in range(tries):
            port = random.randint(LOWEST, HIGHEST)  # noqa: S311 - not a secret
            if port not in reserved and is_free(port):
                chosen[name] = port
                break
        else:
            raise Exhausted(f"No free port for {name} between {LOWEST} and {HIGHEST}", reason="NO_PORT")
    return chosen
