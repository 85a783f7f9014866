"""The root of trust is rotated: everybody believes old and new, then shows the new, then believes the new alone."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from runtime.errors import Precondition
from runtime.files import read_bytes
from runtime.trust import show
from stack import api
from stack.context import StackContext
from stack.identity.authority import issue_client, issue_server, servers
from stack.identity.certificates import Certificates, identities, spread_trust
from stack.identity.roots import PEM, Phase, Roots, common_name
from stack.openbao.platform import PlatformBao

BROKER = "rabbitmq"
LOOK_SECONDS = 0.5
ANSWER_SECONDS, NOTICE_SECONDS = 5.0, 10.0
# Who looks whether the next root is believed; it has no role, and its certificate ends soon.
ASKER, ASKER_MINUTES = "spiffe://orbital/rotation", 5.0
# What makes a server say something, so that it is known whether it took the certificate: HTTP/2 and AMQP 0-9-1.
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
AMQP = b"AMQP\x00\x00\x09\x01"


@dataclass(frozen=True, slots=True)
class RotationStatus:
    """How far it is: the roots that are believed, newest first, and why each who is behind is."""

    phase: Phase
    trusted: list[str]
    behind: dict[str, str]


class Rotation:
    """The rotation of one running stack. Each step may be done again; what is true is read, not remembered."""

    def __init__(self, context: StackContext) -> None:
        self._context = context
        self._roots = Roots(context)
        self._bao = PlatformBao(context)
        self._own_broker = context.settings.rabbitmq_server is None

    def status(self) -> RotationStatus:
        """Who does not believe the next root yet, or, once it issues, who still shows a certificate of an older one."""
        phase = self._roots.phase
        behind = {Phase.TRUSTING: self._unbelieving, Phase.REISSUING: self._showing_old}.get(phase, dict)()
        return RotationStatus(phase, [_name(each) for each in self._roots.trusted], behind)

    def advance(self) -> Phase:
        """Go to the next phase, and return it; raises Precondition as long as somebody is behind."""
        phase = self._roots.phase
        if phase is Phase.SETTLED:
            self._roots.begin()
            spread_trust(self._context)
        elif phase is Phase.TRUSTING:
            # Once more: what broke off before this could be done is made good.
            self._roots.believe_next()
            spread_trust(self._context)
            self._refuse_early(self._unbelieving)
            self._roots.promote()
            self._reissue()
        else:
            if self._showing_old():
                self._reissue()
            self._refuse_early(self._showing_old)
            self._roots.retire()
            spread_trust(self._context)
            self._bao.forget_issuers(self._bao.client())
        return self._roots.phase

    def _refuse_early(self, look: Callable[[], dict[str, str]]) -> None:
        """A new file is noticed soon, yet not at once: look until nobody is behind, for a few seconds."""
        deadline = time.monotonic() + NOTICE_SECONDS
        while behind := look():
            if time.monotonic() > deadline:
                told = "; ".join(f"{name} {why}" for name, why in sorted(behind.items()))
                raise Precondition(f"Not yet, it is at {self._roots.phase.value}: {told}", reason="NOT_YET")
            time.sleep(LOOK_SECONDS)

    def _reissue(self) -> None:
        for name in servers(self._context):
            if name != BROKER or self._own_broker:
                issue_server(self._context, name, self._roots.issuing)
            if name != BROKER:
                api.kill(self._context.layout.root, name, signal.SIGHUP)
        client = self._bao.client()
        if self._bao.issuing_root(client) != self._roots.issuing.certificate:
            self._bao.issue_anew(client)
        agent = Certificates(self._context, self._bao)
        for identity in identities(self._context):
            agent.issue(client, identity)

    def _unbelieving(self) -> dict[str, str]:
        """Servers that ask for certificates and do not take one of the next root."""
        newest = self._roots.newest
        trust = _trusting(*self._roots.trusted)
        with tempfile.TemporaryDirectory(prefix="orbital-rotation-") as scratch:
            for name, content in issue_client(newest, ASKER, ASKER_MINUTES).items():
                place = Path(scratch, name)
                place.touch(mode=0o600)
                place.write_text(content)
            show(trust, Path(scratch, "cert.pem"), Path(scratch, "key.pem"))
        return self._ask(self._asking_ports(), lambda port: _takes(port, trust))

    def _showing_old(self) -> dict[str, str]:
        """Servers and identities whose certificate leads to an older root."""
        newest = self._roots.issuing.certificate
        trust = _trusting(newest)
        found = self._ask(self._tls_ports(), lambda port: _shows(port, trust))
        for identity in identities(self._context):
            chain = read_bytes(self._context.layout.identity(identity.name) / "current" / "cert.pem")
            if not _leads_to(x509.load_pem_x509_certificates(chain)[-1], newest):
                found[f"identity {identity.name}"] = "has a certificate of the old root"
        return found

    def _asking_ports(self) -> dict[str, int]:
        names = ["gateway-mtls", *(["amqps"] if self._own_broker else [])]
        for region in self._context.regions:
            names += [f"region-{region.name}-crypto", f"edge-{region.name}-crypto"]
        return {name: self._context.ports[name] for name in names}

    def _tls_ports(self) -> dict[str, int]:
        names = [
            "gateway-jwt",
            "gateway-people",
            "console",
            "openbao-global",
            "openbao-customer",
            *(["mqtt"] if self._own_broker else []),
        ]
        names += [f"openbao-{region.name}" for region in self._context.regions]
        return self._asking_ports() | {name: self._context.ports[name] for name in names}

    def _ask(self, ports: dict[str, int], ask: Callable[[int], str]) -> dict[str, str]:
        with ThreadPoolExecutor(len(ports)) as pool:
            answers = dict(zip(ports, pool.map(ask, ports.values()), strict=True))
        return {name: why for name, why in answers.items() if why}


def _trusting(*roots: x509.Certificate) -> ssl.SSLContext:
    return ssl.create_default_context(cadata="".join(each.public_bytes(PEM).decode() for each in roots))


@contextlib.contextmanager
def _open(port: int, trust: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS) as plain,
        trust.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        yield secure


def _takes(port: int, trust: ssl.SSLContext) -> str:
    """Why the certificate of `trust` is not taken there; nothing when it is."""
    for hello in (HTTP2, AMQP):
        try:
            with _open(port, trust) as secure:
                secure.sendall(hello)
                if secure.recv(1):
                    return ""
        except ssl.SSLError:
            return "does not believe the next root"
        except OSError as error:
            return f"does not answer: {type(error).__name__}"
    return "ends the connection"


def _shows(port: int, trust: ssl.SSLContext) -> str:
    """Why what is shown there does not lead to the root of `trust`; nothing when it does."""
    try:
        with _open(port, trust):
            return ""
    except ssl.SSLCertVerificationError:
        return "shows a certificate of the old root"
    except OSError as error:
        return f"does not answer: {type(error).__name__}"


def _leads_to(certificate: x509.Certificate, root: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _name(certificate: x509.Certificate) -> str:
    return common_name(certificate.subject)
