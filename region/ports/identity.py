"""How a region gets its identity, and the tokens that it shows."""

from __future__ import annotations

from typing import Protocol

from orbital.v1 import enrolment_pb2


class Enroller(Protocol):
    """The gateway, to whom the region is nobody yet."""

    async def redeem(self, token: str, request: bytes) -> enrolment_pb2.RedeemResponse:
        """An identity for the key of a signing request; raises Denied when the token does not count."""


class IdentityStore(Protocol):
    """Where the token is found, and where the identity is kept."""

    def token(self) -> str:
        """The token that waits; empty when there is none."""

    def request(self) -> bytes:
        """A certificate signing request (PKCS#10, DER) of a new key, which stays here."""

    def take(self, answer: enrolment_pb2.RedeemResponse) -> None:
        """Put the identity in force, with the key of the last request."""

    def forget(self) -> None:
        """The token is of no use any more."""


class Tokens(Protocol):
    """The issuer of the tokens by which the gateway knows a region."""

    async def fetch(self) -> tuple[str, float]:
        """A new JWT and the seconds it lives; raises Unavailable when none is given, Invalid when it is none."""
