"""Starting a process of a part: its own session, a clean environment, its log."""

from __future__ import annotations

import asyncio
import os
import pwd
import resource
from collections.abc import Mapping
from pathlib import Path

from stack.layout import Layout
from stack.unit import Launch

# Erlang makes a table of as many entries as files may be open, and some hosts allow a billion.
MOST_FILES = 65536
STAND_BACK_TRIES = 50
STAND_BACK_SECONDS = 0.1
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "LD_LIBRARY_PATH", "HOME")


def raise_file_limit() -> None:
    """Let this process and its children open as many files as they may."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """The variables that a part sees: none of ours but the harmless ones, and its own."""
    return (
        {"LANG": "C.UTF-8", "PYTHONSAFEPATH": "1"}
        | {key: os.environ[key] for key in PASSED_ON if key in os.environ}
        | dict(own)
    )


async def spawn(layout: Layout, name: str, launch: Launch) -> asyncio.subprocess.Process:
    """Start `launch`; it leads a session, so that all its descendants can be told."""
    account = pwd.getpwnam(launch.user) if launch.user and os.geteuid() == 0 else None
    argv = ("nice", "-n", str(launch.nice), *launch.argv) if launch.nice else launch.argv
    with layout.log(name).open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=launch.cwd,
            env=environment(launch.env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )
    try:
        if launch.nice:
            await _stand_back(process.pid, launch.nice)
    except BaseException:
        # Nobody else knows of it yet.
        process.kill()
        raise
    return process


async def _stand_back(pid: int, nice: int) -> None:
    """Weigh the whole session so.

    Linux shares the processors among sessions first, each as heavy as any other; niceness counts only within one
    (sched(7), "The autogroup feature").
    """
    weight = Path(f"/proc/{pid}/autogroup")
    for _ in range(STAND_BACK_TRIES):
        try:
            await asyncio.to_thread(weight.write_text, str(nice))
        except BlockingIOError:
            # The kernel takes one such wish of an ordinary user every tenth of a second.
            await asyncio.sleep(STAND_BACK_SECONDS)
        except OSError:
            # Not this kernel, or the process is gone already.
            return
        else:
            return
