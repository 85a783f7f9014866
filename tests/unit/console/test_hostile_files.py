"""Files that somebody else wrote: whatever is in them, a command says so in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from orbital.v1.receipt_pb2 import Proof, ProofStatement, Receipt, SignedReceipt

from console.cli.__main__ import main
from console.cli.oidc import claims_of, seconds_of
from console.cli.session import clock
from runtime.proof import write_file
from tests.fuzz.mutate import Mutator
from tests.odd_json import FEW, ODD, odd_ones

STATE = {
    "version": 1,
    "login": {"gateway": "127.0.0.1:9", "issuer": "https://x", "client": "c", "ca": "ca.pem"},
    "gateway": {"mtls": "127.0.0.1:9", "jwt": "127.0.0.1:9"},
    "regions": {"eu10": {"auth": "mtls", "crypto": "127.0.0.1:9"}},
    "identity": {"operator": {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}},
    "parts": {"postgres": {"status": "ready", "pid": None}},
    "ports": {"console": 9},
    "files": {"authority": "ca.pem"},
}
LOGIN = {
    "gateway": "127.0.0.1:9",
    "ca": "ca.pem",
    "issuer": "https://x",
    "person": "operator",
    "token": "x.y.z",
    "expires": 9e9,
    "logged_in": 1.0,
}
PROOF = {
    "format": "x",
    "page": {},
    "statement": "AAAA",
    "signature": "AAAA",
    "receipts": [{"receipt": "AAAA", "key_id": "AAAA", "signature": "AAAA"}],
    "certificates": ["AAAA"],
}
RECORD = {"sequence": 1, "time": "2026-01-01T00:00:00Z", "kind": "k", "body": "{}", "hash": "00"}
HEAD = {"holder": "eu10", "head": "AAAA", "key_id": "AAAA", "signature": "AAAA", "certificates": ["AAAA"]}
NO_JSON = (b"", b"\xff\xfe", b"\0", b"{", b'"\\ud800"', b"[" * 100_000, b"9" * 10_000, b"NaN", b"\xef\xbb\xbf{}")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORBITAL_CLI_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    return tmp_path


def packed(document: Any) -> list[bytes]:
    return [*(json.dumps(each).encode() for each in odd_ones(document, FEW)), *NO_JSON]


def told(capfd: pytest.CaptureFixture[str], *words: str) -> None:
    """The command ends in a sentence; it does not succeed."""
    status = main(list(words))
    said = capfd.readouterr()
    assert status != 0
    assert said.err
    assert "Traceback" not in said.err
    assert "A defect of this program" not in said.err
    assert not {"\x1b", "\u202e", "\0"} & set(said.err + said.out)


@pytest.mark.parametrize("words", [("whoami",), ("login", "--no-browser")], ids=" ".join)
def test_the_state_of_a_stack(place: Path, capfd: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    (place / "home").mkdir()
    for content in packed(STATE):
        (place / "state.json").write_bytes(content)
        told(capfd, *words)


def test_a_login_that_was_kept(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = place / "home" / "orbital" / "login-127.0.0.1_9.json"
    file.parent.mkdir(parents=True)
    (place / "state.json").write_text(json.dumps(STATE))
    for content in packed(LOGIN):
        file.write_bytes(content)
        file.chmod(0o600)
        told(capfd, "whoami")


def test_a_proof(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (place / "ca.pem").write_text("no certificate")
    for content in packed(PROOF):
        (place / "proof").write_bytes(content)
        told(capfd, "proof", "verify", "proof", "--ca", "ca.pem")


def test_a_proof_of_hostile_parts(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (place / "ca.pem").write_text("no certificate")
    for number in range(100):
        mutator = Mutator(f"proof/{number}")
        statement, *receipts = (
            mutator.spoilt(mutator.honest(kind.DESCRIPTOR)).SerializeToString()
            for kind in (ProofStatement, *[Receipt] * mutator.random.randrange(3))
        )
        signed = [SignedReceipt(receipt=each, key_id=b"x", signature=b"y") for each in receipts]
        proof = Proof(statement=statement, signature=b"s", receipts=signed, certificates=[b"c"])
        (place / "proof").write_bytes(write_file(proof))
        told(capfd, "proof", "verify", "proof", "--ca", "ca.pem")


@pytest.mark.parametrize("line", [RECORD, HEAD], ids=["record", "head"])
def test_an_export_of_the_trail(place: Path, capfd: pytest.CaptureFixture[str], line: dict[str, Any]) -> None:
    (place / "ca.pem").write_text("no certificate")
    for content in packed(line):
        (place / "export").write_bytes(content + b"\n")
        told(capfd, "audit", "verify", "--export", "export", "--ca", "ca.pem")


def test_a_directory_that_leads_to_itself(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (place / "loop").symlink_to("loop")
    told(capfd, "status", "--data", "loop")


@pytest.mark.parametrize("said", ODD, ids=lambda each: repr(each)[:20])
def test_the_times_in_a_token(said: Any) -> None:
    seconds = seconds_of({"exp": said}, "exp")
    assert seconds == seconds_of({"exp": seconds}, "exp")
    assert clock(seconds)


def test_whatever_time_is_shown() -> None:
    for moment in (0.0, 1e12, 1e300, -1e300, float("inf"), float("nan")):
        assert clock(moment)


def test_a_token_nested_too_deep() -> None:
    import base64

    from console.cli.failure import Failure

    with pytest.raises(Failure):
        claims_of("x." + base64.urlsafe_b64encode(b"[" * 100_000).decode() + ".y")


NAMED = ("--gateway", "127.0.0.1:9", "--cert", "pem", "--key", "pem", "--ca", "pem")
ENDLESS = "/dev/zero"


@pytest.mark.parametrize(
    "words",
    [
        *(("whoami", *NAMED[:at], ENDLESS, *NAMED[at + 1 :]) for at in (3, 5, 7)),
        ("get", "tenants", *NAMED[:7], ENDLESS),
        ("login", "--no-browser", "--gateway", "x:9", "--issuer", "https://x", "--client", "c", "--ca", ENDLESS),
        ("proof", "verify", ENDLESS, "--ca", "pem"),
        ("proof", "verify", "pem", "--ca", ENDLESS),
        ("audit", "verify", "--export", ENDLESS, "--ca", "pem"),
        ("audit", "verify", "--export", "pem", "--ca", ENDLESS),
        ("apply", "-f", ENDLESS),
        ("wrap", "a/b/c", "--region", "eu10", "--plaintext-file", ENDLESS, *NAMED),
        ("policy", "explain", "ingress", "--input", ENDLESS),
    ],
    ids=" ".join,
)
def test_a_file_without_an_end(place: Path, capfd: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    (place / "pem").write_text("no certificate")
    told(capfd, *words)


def test_a_state_or_a_login_without_an_end(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    login = place / "home" / "orbital" / "login-127.0.0.1_9.json"
    login.parent.mkdir(parents=True)
    (place / "state.json").symlink_to(ENDLESS)
    told(capfd, "whoami")
    (place / "state.json").unlink()
    (place / "state.json").write_text(json.dumps(STATE))
    login.symlink_to(ENDLESS)
    told(capfd, "whoami")
