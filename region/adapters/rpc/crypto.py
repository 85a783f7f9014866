"""CryptoService: requests checked field by field, then served."""

from __future__ import annotations

from typing import Any

import grpc
from orbital.v1 import crypto_pb2, crypto_pb2_grpc

from region.domain.names import Kind, Name
from region.ports.serving import Serving
from runtime.fields import check_length, check_name

MOST_BYTES = 1024
MOST_CIPHERTEXT = 2048


class CryptoRpc(crypto_pb2_grpc.CryptoServiceServicer):
    """See proto/orbital/v1/crypto.proto."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    async def Wrap(  # noqa: N802
        self,
        request: crypto_pb2.WrapRequest,
        context: grpc.aio.ServicerContext[Any, Any],  # noqa: ARG002  # the signature is the contract's
    ) -> crypto_pb2.WrapResponse:
        """See the proto."""
        service = _service(request)
        check_length(len(request.plaintext), 1, MOST_BYTES, "plaintext", "bytes")
        check_length(len(request.associated_data), 0, MOST_BYTES, "associated_data", "bytes")
        ciphertext, version = await self._serving.wrap(service, request.plaintext, request.associated_data)
        return crypto_pb2.WrapResponse(ciphertext=ciphertext, key_version=version)

    async def Unwrap(  # noqa: N802
        self,
        request: crypto_pb2.UnwrapRequest,
        context: grpc.aio.ServicerContext[Any, Any],  # noqa: ARG002  # the signature is the contract's
    ) -> crypto_pb2.UnwrapResponse:
        """See the proto."""
        service = _service(request)
        check_length(len(request.ciphertext), 1, MOST_CIPHERTEXT, "ciphertext", "bytes")
        check_length(len(request.associated_data), 0, MOST_BYTES, "associated_data", "bytes")
        plaintext, version = await self._serving.unwrap(service, request.ciphertext, request.associated_data)
        return crypto_pb2.UnwrapResponse(plaintext=plaintext, key_version=version)


def _service(request: crypto_pb2.WrapRequest | crypto_pb2.UnwrapRequest) -> Name:
    return Name(
        Kind.SERVICE,
        check_name(request.tenant, "tenant"),
        check_name(request.system, "system"),
        check_name(request.service, "service"),
    )
