"""What other programs get when they install the built wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
USE = """
import sys
sys.path.insert(0, sys.argv[1])
from orbital.v1 import crypto_pb2_grpc, registry_pb2, task_pb2
assert registry_pb2.__file__.startswith(sys.argv[1]), registry_pb2.__file__
kind = task_pb2.TaskKind.DESCRIPTOR.values_by_name["TASK_KIND_UNLINK_KEY"]
assert kind.GetOptions().Extensions[task_pb2.lane] == 0
assert crypto_pb2_grpc.CryptoServiceStub
import gateway.main, region.main
from gateway.adapters.postgres.queries import SQL
assert gateway.main.__file__.startswith(sys.argv[1]) and SQL
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (built,) = place.glob("orbital-*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(place / "installed")
    return place / "installed"


def test_the_stubs_import_from_the_wheel(wheel: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", USE, str(wheel)], capture_output=True, text=True, check=False, cwd="/"
    )
    assert ended.returncode == 0, ended.stderr


def test_type_checkers_find_types(wheel: Path) -> None:
    stubs = wheel / "orbital" / "v1"
    assert (stubs / "py.typed").exists()
    modules = {path.stem for path in stubs.glob("*_pb2*.py")}
    assert modules
    assert modules == {path.stem for path in stubs.glob("*_pb2*.pyi")}
