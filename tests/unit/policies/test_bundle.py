"""The bundle: signed, named after its content, and made again only when that changes."""

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from runtime import kinds
from runtime.bundle import build_bundle, ensure_keys
from runtime.errors import Invalid
from stack.acquire import path as binary

POLICIES = Path(__file__).resolve().parents[3] / "policies"


def test_bundle_holds_policies_and_tables_but_no_tests_and_no_guard(tmp_path):
    bundle = build_bundle(binary("opa"), POLICIES, tmp_path / "keys", tmp_path / "orbital.tar.gz", {}, {})
    with tarfile.open(bundle.path) as archive:
        names = set(archive.getnames())
        manifest = json.load(archive.extractfile("/.manifest"))
        tables = json.load(archive.extractfile("/data.json"))["orbital"]
    assert manifest["revision"] == bundle.revision
    assert manifest["roots"] == ["orbital", "system/log"]
    assert tables["kinds"] == kinds.table()
    assert tables.keys() == {
        "residency",
        "freezes",
        "limits",
        "roles",
        "rpcs",
        "probes",
        "effects",
        "kinds",
        "outcomes",
        "signers",
        "issuers",
    }
    assert not [name for name in names if name.endswith("_test.rego") or "system/authz" in name]
    assert "/.signatures.json" in names


def test_private_key_is_private_and_made_once(tmp_path):
    public = ensure_keys(tmp_path / "keys")
    before = public.read_bytes()
    assert (tmp_path / "keys" / "bundle.key").stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE" not in before
    assert ensure_keys(tmp_path / "keys").read_bytes() == before


def test_bundle_is_made_again_only_when_something_changed(tmp_path):
    policies = shutil.copytree(POLICIES, tmp_path / "policies")
    target = tmp_path / "orbital.tar.gz"
    first = build_bundle(binary("opa"), policies, tmp_path / "keys", target, {}, {})
    made = target.stat().st_mtime_ns
    assert build_bundle(binary("opa"), policies, tmp_path / "keys", target, {}, {}) == first
    assert target.stat().st_mtime_ns == made
    (policies / "data" / "roles.yaml").write_text("spiffe://orbital/person/other: [auditor]\n")
    second = build_bundle(binary("opa"), policies, tmp_path / "keys", target, {}, {})
    assert second.revision != first.revision
    assert target.stat().st_mtime_ns != made


def test_signature_is_of_this_key_and_content(tmp_path):
    bundle = build_bundle(binary("opa"), POLICIES, tmp_path / "keys", tmp_path / "orbital.tar.gz", {}, {})
    stranger = ensure_keys(tmp_path / "stranger")

    def verified(key):
        options = ["--verification-key", str(key), "--signing-alg", "ES256", "--bundle", str(bundle.path)]
        command = [str(binary("opa")), "build", *options, "--output", str(tmp_path / "again.tar.gz")]
        signing = ["--signing-key", str(tmp_path / "keys" / "bundle.key")]
        return subprocess.run([*command, *signing], capture_output=True, check=False, timeout=30).returncode == 0

    assert verified(bundle.public_key)
    assert not verified(stranger)


def test_policy_that_does_not_compile_is_refused_with_what_is_wrong(tmp_path):
    policies = shutil.copytree(POLICIES, tmp_path / "policies")
    (policies / "authz" / "dispatch" / "dispatch.rego").write_text("package orbital.authz.dispatch\n\nx := missing\n")
    with pytest.raises(Invalid, match="missing"):
        build_bundle(binary("opa"), policies, tmp_path / "keys", tmp_path / "orbital.tar.gz", {}, {})
    assert not (tmp_path / "orbital.tar.gz").exists()
