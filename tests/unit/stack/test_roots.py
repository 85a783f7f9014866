"""The roots of a stack: in which phase a rotation is, and who is believed in it."""

import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from runtime.errors import Precondition
from runtime.trust import Trust
from stack.context import StackContext
from stack.identity.roots import PEM, Phase, Roots, make_root, pem, sign_intermediate
from stack.layout import Layout
from stack.settings import Stack


@pytest.fixture
def context(tmp_path: Path) -> StackContext:
    layout = Layout.of(tmp_path)
    layout.make()
    layout.run.rmdir()
    return StackContext(layout, Stack(), {}, ())


def certificates(file: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(file.read_bytes())


def test_a_rotation_from_root_to_root(context: StackContext) -> None:
    roots = Roots(context)
    old = roots.ensure()
    assert (roots.phase, roots.trusted) == (Phase.SETTLED, [old.certificate])
    roots.begin()
    new = roots.newest
    assert (roots.phase, roots.issuing.certificate) == (Phase.TRUSTING, old.certificate)
    assert roots.trusted == [new.certificate, old.certificate]
    roots.promote()
    assert (roots.phase, roots.issuing.certificate) == (Phase.REISSUING, new.certificate)
    assert roots.trusted == [new.certificate, old.certificate]
    roots.retire()
    assert (roots.phase, roots.trusted) == (Phase.SETTLED, [new.certificate])
    assert certificates(context.history()) == [new.certificate, old.certificate]
    assert roots.ensure().certificate == new.certificate
    assert context.secret("root-ca.pem").stat().st_mode & 0o077 == 0


def test_no_phase_is_left_out(context: StackContext) -> None:
    roots = Roots(context)
    roots.ensure()
    for wrong in (roots.promote, roots.retire, roots.believe_next):
        with pytest.raises(Precondition, match="is at settled"):
            wrong()
    roots.begin()
    for wrong in (roots.begin, roots.retire):
        with pytest.raises(Precondition, match="is at trusting"):
            wrong()
    roots.promote()
    for wrong in (roots.begin, roots.promote):
        with pytest.raises(Precondition, match="is at reissuing"):
            wrong()


def test_what_broke_off_before_the_next_root_was_believed_is_made_good(context: StackContext) -> None:
    roots = Roots(context)
    old = roots.ensure()
    context.secret("root-ca-next.pem").write_bytes(make_root("next").pem())
    assert (roots.phase, roots.trusted) == (Phase.TRUSTING, [old.certificate])
    roots.believe_next()
    assert len(roots.trusted) == 2


def test_the_root_of_a_stack_that_kept_key_and_certificate_apart_stays(context: StackContext) -> None:
    before = make_root("Orbital root")
    context.secret("root-ca.key").write_bytes(pem(before.key))
    context.authority().write_bytes(before.certificate.public_bytes(PEM))
    assert Roots(context).ensure().certificate == before.certificate
    assert not context.secret("root-ca.key").exists()


def test_an_intermediate_leads_to_the_root_that_signed_it(context: StackContext) -> None:
    root, key = Roots(context).ensure(), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")])
    asked = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, SHA256()).public_bytes(PEM).decode()
    signed = x509.load_pem_x509_certificate(sign_intermediate(root, asked).encode())
    signed.verify_directly_issued_by(root.certificate)


def test_what_is_believed_follows_the_file(context: StackContext) -> None:
    roots = Roots(context)
    roots.ensure()
    trust = Trust(context.authority())
    first = trust.context()
    assert trust.context() is first
    roots.begin()
    assert trust.context() is not first
    assert len(trust.context().get_ca_certs()) == 2
    assert trust.context().verify_mode == ssl.CERT_REQUIRED
