"""A region's SoftHSM token: made once, and the region's root key in it, which wraps what must not lie about.

Run as a process of its own (`python -m stack.hsm`), because a PKCS#11 library serves one token directory a process.
SOFTHSM2_CONF names the directory; PINs and the wrapped key are files.
"""

from __future__ import annotations

import argparse
import ctypes
import os
from pathlib import Path
from typing import Any

import pkcs11
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, MechanismFlag, ObjectClass

from runtime.files import read_bytes, read_text
from runtime.private_files import write_private

ROOT_LABEL = "orbital-region-root"
_LABEL_BYTES = 32
_NONCE_BYTES = 12


def make_token(library: Path, label: str, officer_pin: str, pin: str) -> None:
    """Initialise a token called `label` with both PINs and the region's root key, unless it is there already."""
    if not _has_token(library, label):
        _initialise(library, label, officer_pin)
    token = pkcs11.lib(str(library)).get_token(token_label=label)
    if not token.flags & pkcs11.TokenFlag.USER_PIN_INITIALIZED:
        with token.open(rw=True, so_pin=officer_pin) as session:
            session.init_pin(pin)
    with token.open(rw=True, user_pin=pin) as session:
        if any(
            True for _ in session.get_objects({Attribute.LABEL: ROOT_LABEL, Attribute.CLASS: ObjectClass.SECRET_KEY})
        ):
            return
        uses = MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT | MechanismFlag.WRAP | MechanismFlag.UNWRAP
        hidden = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
        session.generate_key(KeyType.AES, 256, store=True, label=ROOT_LABEL, capabilities=uses, template=hidden)


def wrap(library: Path, label: str, pin: str, material: bytes) -> bytes:
    """`material` encrypted by the region's root key: nonce and ciphertext."""
    with pkcs11.lib(str(library)).get_token(token_label=label).open(user_pin=pin) as session:
        key: Any = session.get_key(object_class=ObjectClass.SECRET_KEY, label=ROOT_LABEL)
        nonce: bytes = session.generate_random(_NONCE_BYTES * 8)
        parameters = GCMParams(nonce, b"", 128)
        ciphertext: bytes = key.encrypt(material, mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
        return nonce + ciphertext


def unwrap(library: Path, label: str, pin: str, wrapped: bytes) -> bytes:
    """What `wrap` was given; raises a PKCS#11 error when it was altered or the key is another."""
    with pkcs11.lib(str(library)).get_token(token_label=label).open(user_pin=pin) as session:
        key: Any = session.get_key(object_class=ObjectClass.SECRET_KEY, label=ROOT_LABEL)
        parameters = GCMParams(wrapped[:_NONCE_BYTES], b"", 128)
        material: bytes = key.decrypt(wrapped[_NONCE_BYTES:], mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
        return material


def _has_token(library: Path, label: str) -> bool:
    """Asked with the plain C functions: python-pkcs11 would keep the list of slots from before the token is made."""
    tokens = [path for path in Path(_token_directory()).glob("*/token.object") if path.stat().st_size]
    return any(label.encode() in read_bytes(path) for path in tokens) if library.exists() else False


def _token_directory() -> str:
    lines = read_text(Path(os.environ["SOFTHSM2_CONF"])).splitlines()
    return next(line.split("=", 1)[1].strip() for line in lines if line.startswith("directories.tokendir"))


def _initialise(library: Path, label: str, officer_pin: str) -> None:
    """C_InitToken, which python-pkcs11 lacks; SoftHSM's own command takes PINs from a terminal or arguments alone."""
    cryptoki = ctypes.CDLL(str(library))
    _checked(cryptoki.C_Initialize(None), "C_Initialize")
    try:
        count = ctypes.c_ulong()
        _checked(cryptoki.C_GetSlotList(0, None, ctypes.byref(count)), "C_GetSlotList")
        slots = (ctypes.c_ulong * count.value)()
        _checked(cryptoki.C_GetSlotList(0, slots, ctypes.byref(count)), "C_GetSlotList")
        free = ctypes.c_ulong(slots[count.value - 1])
        pin = officer_pin.encode()
        padded = label.encode().ljust(_LABEL_BYTES)
        _checked(cryptoki.C_InitToken(free, pin, ctypes.c_ulong(len(pin)), padded), "C_InitToken")
    finally:
        cryptoki.C_Finalize(None)


def _checked(answer: int, function: str) -> None:
    if answer:
        raise RuntimeError(f"{function} answered 0x{answer:x}")


def main() -> None:
    """`make`: token, root key, and a wrapped seal key if there is none; `unwrap`: the seal key into a private file."""
    parser = argparse.ArgumentParser(prog="stack.hsm")
    parser.add_argument("action", choices=["make", "unwrap"])
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--officer-pin-file", type=Path)
    parser.add_argument("--pin-file", type=Path, required=True)
    parser.add_argument("--wrapped", type=Path, required=True)
    parser.add_argument("--to", type=Path)
    chosen = parser.parse_args()
    pin = read_text(chosen.pin_file).strip()
    if chosen.action == "make":
        make_token(chosen.library, chosen.token, read_text(chosen.officer_pin_file).strip(), pin)
        if not chosen.wrapped.exists():
            write_private(chosen.wrapped, wrap(chosen.library, chosen.token, pin, os.urandom(32)))
    else:
        write_private(chosen.to, unwrap(chosen.library, chosen.token, pin, read_bytes(chosen.wrapped)))


if __name__ == "__main__":
    main()
