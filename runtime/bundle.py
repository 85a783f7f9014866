"""The policy bundle: what every policy engine runs, built from `policies/` and the contract, and signed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from orbital.v1 import task_pb2

from runtime import kinds
from runtime.errors import Invalid
from runtime.files import read_bytes, read_text
from runtime.programs import run

ALGORITHM = "ES256"
KEY_NAME = "orbital"
# system/authz is not in it: it guards the engine's own API from the start, before there is a bundle.
ROOTS = ("orbital", "system/log")
TABLES = ("roles", "rpcs", "probes", "effects", "residency", "freezes", "limits")


@dataclass(frozen=True)
class Bundle:
    """A signed bundle, its revision (a digest of what is in it), and the public key that verifies it."""

    path: Path
    revision: str
    public_key: Path


def outcomes() -> dict[str, dict[str, int]]:
    """Every outcome of a task: `{"DONE": {"number": 1}, …}`."""
    values = task_pb2.Outcome.DESCRIPTOR.values
    return {value.name.removeprefix("OUTCOME_"): {"number": value.number} for value in values if value.number}


Signers = Mapping[str, Mapping[str, Any]]
Claims = Mapping[str, Mapping[str, Any]]


def stage(policies: Path, target: Path, signers: Signers, issuers: Claims, *, tests: bool = False) -> str:
    """Lay the content of the bundle out below `target` (tests only if asked for) and return its revision.

    `signers` are the public keys that messages are verified by, by key ID (see runtime.signatures); `issuers` says
    which claim of whose token names a region or a person (see runtime.issuers).
    """
    ignore = None if tests else shutil.ignore_patterns("*_test.rego")
    for source in ("authz", "system/log"):
        shutil.copytree(policies / source, target / source, ignore=ignore)
    for table in TABLES:
        directory = target / "orbital" / table
        directory.mkdir(parents=True)
        shutil.copyfile(policies / "data" / f"{table}.yaml", directory / "data.yaml")
    tables: dict[str, Mapping[str, Any]] = {"kinds": kinds.table(), "outcomes": outcomes()}
    for name, table_of in {**tables, "signers": signers, "issuers": issuers}.items():
        _write_json(target / "orbital" / name / "data.json", table_of)
    revision = _digest(target)
    _write_json(target / ".manifest", {"revision": revision, "roots": list(ROOTS)})
    return revision


def build_bundle(opa: Path, policies: Path, keys: Path, target: Path, signers: Signers, issuers: Claims) -> Bundle:
    """Build and sign the bundle `target`; the key pair is made in `keys` (private, 0600) if there is none yet.

    Raises Invalid with what OPA said when the policies do not compile. A bundle of the same revision is left as it is.
    """
    public_key = ensure_keys(keys)
    stamp = target.with_suffix(".revision")
    with tempfile.TemporaryDirectory(prefix="orbital-bundle-") as scratch:
        content = Path(scratch) / "content"
        revision = stage(policies, content, signers, issuers)
        identity = f"{revision} {hashlib.sha256(read_bytes(public_key)).hexdigest()}\n"
        if target.exists() and stamp.exists() and read_text(stamp) == identity:
            return Bundle(target, revision, public_key)
        built = Path(scratch) / target.name
        _run(
            [
                *(str(opa.resolve()), "build", "--bundle", ".", "--revision", revision, "--output", str(built)),
                *("--signing-alg", ALGORITHM, "--signing-key", str(keys.resolve() / "bundle.key")),
            ],
            content,
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        _move(built, target)
        stamp.write_text(identity)
    return Bundle(target, revision, public_key)


def ensure_keys(keys: Path) -> Path:
    """The public key in `keys`; makes the pair on the first call, the private half readable by its owner alone."""
    private, public = keys / "bundle.key", keys / "bundle.pub"
    if not private.exists():
        keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        packed = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(packed)
    if not public.exists():
        loaded = serialization.load_pem_private_key(read_bytes(private), password=None)
        public.write_bytes(
            loaded.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
    return public


def _digest(directory: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(directory)}\0{path.stat().st_size}\0".encode())
        digest.update(read_bytes(path))
    return digest.hexdigest()[:16]


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(content), indent=1, sort_keys=True) + "\n")


def _move(source: Path, target: Path) -> None:
    # Whoever serves the bundle must never see half of it, and the scratch directory may be another file system.
    beside = target.with_name(f".{target.name}.new")
    shutil.copyfile(source, beside)
    beside.replace(target)


def _run(command: Sequence[str], directory: Path) -> None:
    done = run(command, cwd=directory, seconds=60)
    if done.status:
        said = (done.err or done.out).strip()
        raise Invalid(f"The policy bundle cannot be built: {said}", reason="BAD_POLICY", field="policies")
