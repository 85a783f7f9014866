"""Tries an HSM whenever a line arrives: token, login, key, encrypt and decrypt; answers with a line of JSON.

A process of its own (`python -m checker.adapters.hsm.worker`), because a PKCS#11 library may hang, or go on failing
after its HSM is back: it then ends with this process alone. The first failure is its last answer.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import pkcs11
from pkcs11 import GCMParams, Mechanism, ObjectClass
from pkcs11.exceptions import PKCS11Error

SAMPLE_BYTES = 32
NONCE_BITS = 96
TAG_BITS = 128


class Trial:
    """One session, opened at the first trial. `step` is what is being tried."""

    def __init__(self, library: Path, token: str, pin: str, key: str) -> None:
        self._library = library
        self._token = token
        self._pin = pin
        self._key = key
        self._session: Any = None
        self.step = "library"

    def run(self) -> dict[str, Any]:
        """What the token says of itself; raises PKCS11Error where a step fails, and ValueError on a wrong plaintext."""
        self.step = "library"
        library = pkcs11.lib(str(self._library))
        self.step = "token"
        token = library.get_token(token_label=self._token)
        if self._session is None:
            self.step = "login"
            self._session = token.open(user_pin=self._pin)
        self.step = "key"
        # The nonce is random, so the key is used on nothing twice; what it encrypts is random too.
        key: Any = self._session.get_key(object_class=ObjectClass.SECRET_KEY, label=self._key)
        self.step = "self-test"
        sample = os.urandom(SAMPLE_BYTES)
        parameters = GCMParams(self._session.generate_random(NONCE_BITS), b"", TAG_BITS)
        sealed = key.encrypt(sample, mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
        if sealed == sample or key.decrypt(sealed, mechanism=Mechanism.AES_GCM, mechanism_param=parameters) != sample:
            raise ValueError("The HSM does not give back what it was given")
        return {"token": self._token, "model": str(token.model).strip(), "version": _version(library)}


def _version(library: Any) -> str:
    major, minor = library.library_version
    return f"{major}.{minor}"


def main() -> None:
    """Answer lines until there are no more, or a trial fails."""
    parser = argparse.ArgumentParser(prog="checker.adapters.hsm.worker")
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--pin-file", type=Path, required=True)
    parser.add_argument("--key", required=True)
    chosen = parser.parse_args()
    trial = Trial(chosen.library, chosen.token, chosen.pin_file.read_text().strip(), chosen.key)
    for _ in sys.stdin:
        try:
            answer = {"ok": True, **trial.run()}
        except (PKCS11Error, OSError, RuntimeError, ValueError) as error:
            answer = {"ok": False, "step": trial.step, "error": type(error).__name__}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
        if not answer["ok"]:
            return


if __name__ == "__main__":
    main()
