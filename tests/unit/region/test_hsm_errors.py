"""Every error of PKCS#11 by one key is told as that key's, and the same by all of them as the HSM's. Generated."""

from __future__ import annotations

import inspect
import io
from pathlib import Path
from typing import Any

import pytest
from pkcs11 import exceptions

from region.adapters.hsm import worker
from region.adapters.hsm.frames import LENGTH, Action, Outcome, Request, answer
from region.adapters.hsm.process import ERRORS
from region.adapters.hsm.token import Token
from runtime.errors import Unavailable
from runtime.l1 import ROOT_KEY

ODD = "odd"
CODES = [
    code
    for _, code in sorted(vars(exceptions).items())
    if inspect.isclass(code) and issubclass(code, exceptions.PKCS11Error)
] + [AttributeError, TypeError, ValueError, KeyError, NotImplementedError, RuntimeError]
WHERE = ["get_key", "wrap_key", "unwrap_key", "attribute"]


class Key:
    """A key whose uses fail where they are told to."""

    def __init__(self, token: FakeToken, label: str) -> None:
        self._token, self._label = token, label

    def wrap_key(self, secret: Any, **_: Any) -> bytes:
        self._token.fail("wrap_key", self._label)
        return bytes(secret.value)[::-1]

    def unwrap_key(self, *args: Any, **_: Any) -> Secret:
        self._token.fail("unwrap_key", self._label)
        return Secret(args[2][::-1])

    def __getitem__(self, attribute: Any) -> Any:
        self._token.fail("attribute", self._label)
        return True


class Secret:
    """Material in a session."""

    def __init__(self, value: bytes) -> None:
        self.value = value

    def __getitem__(self, attribute: Any) -> bytes:
        return self.value

    def destroy(self) -> None:
        """It is of the session only."""


class FakeToken:
    """A library, token and session in one, which fails by `error` at `where` for these labels."""

    library_version = (1, 0)
    model = "fake"

    def __init__(self, error: type[Exception], where: str, labels: set[str]) -> None:
        self._error, self._where, self._labels = error, where, labels

    def fail(self, where: str, label: str) -> None:
        if where == self._where and label in self._labels:
            raise self._error

    def get_token(self, **_: Any) -> FakeToken:
        return self

    def open(self, **_: Any) -> FakeToken:
        return self

    def get_key(self, *, label: str, **_: Any) -> Key:
        self.fail("get_key", label)
        return Key(self, label)

    def get_objects(self, wanted: Any) -> list[Key]:
        return [Key(self, next(iter(wanted.values())))]

    def create_object(self, attributes: Any) -> Secret:
        return Secret(next(value for value in attributes.values() if isinstance(value, bytes)))

    def reinitialize(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is kept."""


def _asked(tmp_path: Path, library: FakeToken, *asked: Request) -> list[Outcome]:
    """What the worker answers; it must have answered everything, and lived on."""
    pin = tmp_path / "pin"
    pin.write_text("1234")
    token = Token(tmp_path, "t", pin, generate_missing=False)
    token._loaded = library
    target = io.BytesIO()
    worker.serve(token, io.BytesIO(b"".join(bytes(each.packed()) for each in asked)), target)
    frames, found = target.getvalue(), []
    while frames:
        (size,) = LENGTH.unpack(frames[: LENGTH.size])
        found.append(answer(bytearray(frames[LENGTH.size : LENGTH.size + size])).outcome)
        frames = frames[LENGTH.size + size :]
    assert len(found) == len(asked)
    return found


def _calls(label: str) -> list[Request]:
    actions = (Action.WRAP, Action.UNWRAP, Action.ASK)
    return [Request(number, action, label, bytearray(32)) for number, action in enumerate(actions)]


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("code", CODES, ids=lambda code: code.__name__)
def test_an_error_of_one_key_is_of_that_key_alone(code: type[Exception], where: str, tmp_path: Path) -> None:
    library = FakeToken(code, where, {ODD})
    found = _asked(tmp_path, library, *_calls(ODD), *_calls(ROOT_KEY), *_calls("another"))
    assert Outcome.AWAY not in found
    assert found[3:] == [Outcome.DONE] * 6


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.__name__)
def test_the_same_error_of_every_key_is_the_hsms(code: type[Exception], tmp_path: Path) -> None:
    if code in {exceptions.NoSuchKey, exceptions.MultipleObjectsReturned}:
        return
    found = _asked(tmp_path, FakeToken(code, "wrap_key", {ODD, ROOT_KEY, "another"}), *_calls(ODD), *_calls(ROOT_KEY))
    assert found[0] == found[3] == Outcome.AWAY


def test_only_what_is_said_of_the_hsm_makes_it_unreachable() -> None:
    away = {outcome for outcome, error in ERRORS.items() if error("").reason == "HSM_UNREACHABLE"}
    assert away == {Outcome.AWAY}
    assert set(Outcome) - {Outcome.DONE} == set(ERRORS)
    assert not isinstance(ERRORS[Outcome.KEY_UNFIT](""), Unavailable)
