"""Whom a client believes that was given no file; with a file, see tests/unit/stack/test_roots.py."""

import ssl

from runtime.trust import Trust


def test_without_a_file_it_is_whom_the_machine_believes() -> None:
    trust = Trust(None)
    assert trust.context() is trust.context()
    assert trust.context().verify_mode == ssl.CERT_REQUIRED
    assert trust.context().check_hostname
    believed = ssl.create_default_context()
    assert trust.context().get_ca_certs() == believed.get_ca_certs()
