"""Every answer of the command line, in every form, of messages that nobody means: it is shown, and steers nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from google.protobuf.message_factory import GetMessageClass
from orbital.v1 import (
    approval_pb2,
    audit_pb2,
    crypto_pb2,
    enrolment_pb2,
    policy_pb2,
    receipt_pb2,
    registry_pb2,
    trace_pb2,
    verify_pb2,
)

from console.cli.doctor import fleet, tell
from console.cli.nouns import NOUNS
from tests.extreme import extreme
from tests.unit.console.conftest import Orbital

SERVICES = {
    "registry": (registry_pb2, "RegistryService"), "approval": (approval_pb2, "ApprovalService"),
    "trace": (trace_pb2, "TraceService"), "proof": (receipt_pb2, "ProofService"),
    "policy": (policy_pb2, "PolicyService"), "audit": (audit_pb2, "AuditService"),
    "enrolment": (enrolment_pb2, "EnrolmentService"),
}  # fmt: skip
NAMES = ("eu10", "regions/eu10", "acme", "tenants/acme", "tenants/acme/systems/core")
STEERING = {*map(chr, range(9)), *map(chr, range(11, 32)), *map(chr, range(127, 160)), *"\u202e\u2028"}


class OddConnection:
    """Answers every call with a message of the right kind and of values that nobody means."""

    def __init__(self) -> None:
        self.chosen = random.Random(0)
        self.state: dict[str, Any] = {"regions": {"eu10": {"crypto": "x", "verify": "x"}}}
        self.authority = self.roots = b""
        self.login = None
        for name, (module, service) in SERVICES.items():
            setattr(self, name, self._service(module, service))

    def _service(self, module: Any, service: str) -> SimpleNamespace:
        return SimpleNamespace(**{one.name: one for one in module.DESCRIPTOR.services_by_name[service].methods})

    def crypto(self, _address: str) -> SimpleNamespace:
        return self._service(crypto_pb2, "CryptoService")

    def verify(self, _address: str) -> SimpleNamespace:
        return self._service(verify_pb2, "VerifyService")

    def call(self, method: Any, _request: Any, **_: Any) -> Any:
        answer = extreme(GetMessageClass(method.output_type), self.chosen, NAMES)
        if hasattr(answer, "next_page_token"):
            answer.next_page_token = ""
        return answer

    def pages(self, method: Any, request: Any, **_: Any) -> Iterator[Any]:
        yield self.call(method, request)

    def stream(self, method: Any, request: Any, _seconds: float | None = None) -> Iterator[Any]:
        yield self.call(method, request)


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> OddConnection:
    connection = OddConnection()

    @contextmanager
    def connect(_target: Any) -> Iterator[OddConnection]:
        yield connection

    monkeypatch.setattr("console.cli.connection.connect", connect)
    monkeypatch.setattr("console.cli.commands.region.PAUSE", 0.0)
    return connection


LISTS = [("get", one.name) for one in NOUNS] + [("decisions",), ("audit", "list")]
FILTERS = {"flagchanges": ("--region", "eu10"), "uses": ("--tenant", "acme")}
FORMS = {"get": ("table", "wide", "json", "yaml", "name"), "decisions": ("table", "wide", "json", "yaml")}


def _shown(orbital: Orbital, words: tuple[str, ...], form: str) -> None:
    ended = orbital(*words, "-o", form)
    assert "A defect of this program" not in ended.err, (words, ended.err)
    assert not STEERING & set(ended.out + ended.err), words
    if ended.status == 0 and ended.out and form == "json":
        json.loads(ended.out)
    elif ended.status == 0 and ended.out and form == "yaml":
        yaml.safe_load(ended.out)


@pytest.mark.parametrize("words", LISTS, ids=" ".join)
def test_every_list_in_every_form(orbital: Orbital, odd: OddConnection, words: tuple[str, ...]) -> None:
    for form in FORMS.get(words[0], ("table", "json", "yaml")):
        for seed in range(15):
            odd.chosen = random.Random(seed)
            _shown(orbital, (*words, *FILTERS.get(words[-1], ())), form)


@pytest.mark.parametrize("form", ["table", "json", "yaml"])
@pytest.mark.parametrize(
    "words",
    [
        ("describe", "region", "eu10"), ("describe", "tenant", "acme"), ("describe", "job", "x"),
        ("describe", "decision", "x"), ("describe", "placement", "x"), ("trace", "x"), ("proof", "get", "x"),
        ("region", "verify", "eu10"), ("kill", "acme", "--dry-run", "--reason", "x"), ("retire", "acme", "--dry-run"),
        ("restore", "acme", "--reason", "x"), ("wait", "x", "--timeout", "0"), ("wait", "--timeout", "0"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_every_other_answer(
    orbital: Orbital,
    odd: OddConnection,
    words: tuple[str, ...],
    form: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in range(10):
        odd.chosen = random.Random(seed)
        _shown(orbital, words, form)


def test_the_doctor_of_the_fleet(odd: OddConnection, capfd: pytest.CaptureFixture[str]) -> None:
    connection: Any = odd
    for seed in range(20):
        odd.chosen = random.Random(seed)
        tell(fleet(connection), "table")
    assert capfd.readouterr().out
