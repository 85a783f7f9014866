"""Whom a client believes that was given no file; with a file, see tests/unit/stack/test_roots.py."""

import ssl
from pathlib import Path

import certifi
import pytest

from runtime.trust import Trust, believing


def test_without_a_file_it_is_whom_the_machine_believes() -> None:
    trust = Trust(None)
    assert trust.context() is trust.context()
    assert trust.context().verify_mode == ssl.CERT_REQUIRED
    assert trust.context().check_hostname
    believed = ssl.create_default_context()
    assert trust.context().get_ca_certs() == believed.get_ca_certs()


BUNDLE = Path(certifi.where()).read_bytes()
FIRST = BUNDLE[BUNDLE.index(b"-----BEGIN") : BUNDLE.index(b"-----END CERTIFICATE-----") + 26]


@pytest.mark.parametrize(
    "content",
    [
        BUNDLE,
        FIRST,
        FIRST * 2,
        FIRST.replace(b"\n", b"\r\n"),
        "# Főtanúsítvány\n".encode() + FIRST,
        b"# \xe9 in Latin-1\n" + FIRST,
        FIRST + "\nWer auch immer: äöü\n".encode(),
    ],
    ids=["bundle", "one", "twice", "CRLF", "UTF-8", "Latin-1", "after"],
)
def test_whom_a_file_names_is_believed_as_openssl_reads_it(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(content)
    wanted = ssl.create_default_context(cafile=str(file)).get_ca_certs(binary_form=True)
    assert believing(file).get_ca_certs(binary_form=True) == wanted
    assert len(wanted) > 0


@pytest.mark.parametrize("content", [b"", b"\n", b" ", b"\xff\xfe", b"\xe9", b"no certificate", b"\0" * 100])
def test_a_file_that_names_nobody_lets_nobody_be_believed(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(content)
    with pytest.raises(ssl.SSLError):
        believing(file)
    with pytest.raises(ssl.SSLError):
        Trust(file).context()
