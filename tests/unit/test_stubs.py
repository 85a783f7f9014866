"""The stubs are those of the protos that there are."""

from __future__ import annotations

from pathlib import Path

from hatch_build import ROOT, make_stubs


def test_what_was_made_of_a_proto_that_is_gone_is_removed(tmp_path: Path) -> None:
    package = tmp_path / "stubs" / "orbital" / "v1"
    package.mkdir(parents=True)
    for end in ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi"):
        (package / f"gone{end}").write_text("raise RuntimeError\n")
    make_stubs(tmp_path / "stubs", tmp_path / "orbital.pb")
    protos = {proto.stem for proto in (ROOT / "proto" / "orbital" / "v1").glob("*.proto")}
    assert {made.name.removesuffix("_pb2.py") for made in package.glob("*_pb2.py")} == protos
