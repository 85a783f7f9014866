"""When a certificate is due, and how it is swapped."""

import datetime as dt

from runtime.identity import of_one_version, swap
from stack.context import StackContext
from stack.identity.certificates import is_due
from stack.identity.roots import Roots
from stack.layout import Layout
from stack.settings import Stack


def _root(tmp_path):
    layout = Layout.of(tmp_path)
    layout.make()
    layout.run.rmdir()
    return Roots(StackContext(layout, Stack(), {}, ())).ensure().certificate, layout


def test_files_are_read_of_one_version(tmp_path):
    swap(tmp_path, {"cert.pem": "1", "key.pem": "1"})
    files = of_one_version(tmp_path / "current" / "cert.pem", tmp_path / "current" / "key.pem")
    swap(tmp_path, {"cert.pem": "2", "key.pem": "2"})
    assert [file.read_text() for file in files] == ["1", "1"]
    assert (tmp_path / "current" / "key.pem").read_text() == "2"


def test_nothing_there_is_due(tmp_path):
    assert is_due(tmp_path)


def test_due_after_two_thirds_of_its_life(tmp_path):
    certificate, layout = _root(tmp_path)
    place = layout.identity("x")
    swap(place, {"cert.pem": layout.root.joinpath("identity/ca.pem").read_text()})
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    third = (end - begin) / 3
    assert not is_due(place, begin + third)
    assert is_due(place, begin + 2 * third + dt.timedelta(seconds=1))


def test_the_root_is_made_once(tmp_path):
    first, _layout = _root(tmp_path)
    assert _root(tmp_path)[0] == first


def test_a_swap_changes_all_files_at_once_and_keeps_the_last_two(tmp_path):
    for number in range(4):
        swap(tmp_path, {"cert.pem": f"cert {number}", "key.pem": f"key {number}"})
    assert (tmp_path / "current" / "cert.pem").read_text() == "cert 3"
    assert (tmp_path / "current" / "key.pem").stat().st_mode & 0o777 == 0o600
    assert len(list((tmp_path / "versions").iterdir())) == 2
