"""Makes the Python stubs `orbital.v1` and the descriptor set from `proto/`, at build time.

Run as a script it fills `build/stubs`, which is what a checkout uses; as a hatchling hook it adds them to the wheel.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
STUBS = ROOT / "build" / "stubs"
DESCRIPTORS = ROOT / "build" / "orbital.pb"

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # a checkout's environment has no hatchling: only make_stubs is wanted there
    BuildHookInterface = object  # type: ignore[assignment,misc]


def make_stubs(stubs: Path = STUBS, descriptors: Path = DESCRIPTORS) -> None:
    """Write `orbital/v1/*_pb2*.py[i]` below `stubs` and a FileDescriptorSet to `descriptors`; raises on a bad proto."""
    from grpc_tools import protoc

    stubs.mkdir(parents=True, exist_ok=True)
    descriptors.parent.mkdir(parents=True, exist_ok=True)
    protos = sorted(str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto").rglob("*.proto"))
    well_known = Path(protoc.__file__).parent / "_proto"
    failed = protoc.main(
        [
            "protoc",
            f"-I{ROOT / 'proto'}",
            f"-I{well_known}",
            f"--plugin=protoc-gen-mypy={_plugin('protoc-gen-mypy')}",
            f"--plugin=protoc-gen-mypy_grpc={_plugin('protoc-gen-mypy_grpc')}",
            f"--python_out={stubs}",
            f"--grpc_python_out={stubs}",
            f"--mypy_out={stubs}",
            f"--mypy_grpc_out={stubs}",
            f"--descriptor_set_out={descriptors}",
            "--include_imports",
            "--include_source_info",
            *protos,
        ]
    )
    if failed:
        raise SystemExit(failed)
    _forget_others(stubs, protos)
    for package in (stubs / "orbital", stubs / "orbital" / "v1"):
        (package / "py.typed").touch()
        (package / "__init__.py").write_text('"""The contract of Orbital, made from proto/orbital/v1."""\n')


def _forget_others(stubs: Path, protos: Sequence[str]) -> None:
    """Remove what was made of protos that are gone: whoever imports all modules would meet their names twice."""
    known = {Path(proto).stem for proto in protos}
    for made in stubs.rglob("*_pb2*.py*"):
        if made.name.partition("_pb2")[0] not in known:
            made.unlink()


def _plugin(name: str) -> str:
    """A program of the environment that runs this, which an isolated build has on PATH and a checkout beside Python."""
    places = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    found = shutil.which(name, path=places)
    if found is None:
        raise SystemExit(f"{name} is missing from the build's environment")
    return found


class StubsHook(BuildHookInterface):
    """Adds the stubs to a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it packs."""
        make_stubs()
        if version != "editable":
            build_data["force_include"][str(STUBS / "orbital")] = "orbital"


if __name__ == "__main__":
    make_stubs()
