"""CryptoService: requests checked field by field, then served."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from orbital.v1 import crypto_pb2 as crypto
from orbital.v1 import crypto_pb2_grpc

from region.domain.names import Kind, Name
from region.ports.serving import Item, Serving
from runtime.errors import Invalid
from runtime.fields import check_known, check_length, check_name

MOST_BYTES = 1024  # bytes of a data key to be wrapped
MOST_CIPHERTEXT = 2048  # bytes; the largest key that may be wrapped makes less
MOST_ITEMS = 1000  # of one call, so that others come in between
LEAST_KEY, MOST_KEY, USUAL_KEY = 16, 64, 32  # bytes of a data key that is made
Context = grpc.aio.ServicerContext[Any, Any]


class CryptoRpc(crypto_pb2_grpc.CryptoServiceServicer):
    """See proto/orbital/v1/crypto.proto."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    async def Wrap(self, request: crypto.WrapRequest, context: Context) -> crypto.WrapResponse:
        """See the proto."""
        item = _plain(request)
        ciphertext, version = await self._serving.wrap(_service(request), item.content, item.associated_data)
        return crypto.WrapResponse(ciphertext=ciphertext, key_version=version)

    async def Unwrap(self, request: crypto.UnwrapRequest, context: Context) -> crypto.UnwrapResponse:
        """See the proto."""
        item = _wrapped(request)
        plaintext, version = await self._serving.unwrap(_service(request), item.content, item.associated_data)
        return crypto.UnwrapResponse(plaintext=plaintext, key_version=version)

    async def Rewrap(self, request: crypto.RewrapRequest, context: Context) -> crypto.RewrapResponse:
        """See the proto."""
        item = _wrapped(request)
        ciphertext, version = await self._serving.rewrap(_service(request), item.content, item.associated_data)
        return crypto.RewrapResponse(ciphertext=ciphertext, key_version=version)

    async def GenerateDataKey(
        self,
        request: crypto.GenerateDataKeyRequest,
        context: Context,
    ) -> crypto.GenerateDataKeyResponse:
        """See the proto."""
        size = request.size_bytes or USUAL_KEY
        check_length(size, LEAST_KEY, MOST_KEY, "size_bytes", "bytes")
        check_length(len(request.associated_data), 0, MOST_BYTES, "associated_data", "bytes")
        made = await self._serving.generate(_service(request), size, request.associated_data)
        return crypto.GenerateDataKeyResponse(plaintext=made[0], ciphertext=made[1], key_version=made[2])

    async def Reach(self, request: crypto.ReachRequest, context: Context) -> crypto.ReachResponse:
        """See the proto."""
        check_length(len(request.padding), 0, MOST_BYTES, "padding", "bytes")
        await self._serving.reach(_service(request))
        return crypto.ReachResponse()

    async def BatchGenerateDataKey(
        self,
        request: crypto.BatchGenerateDataKeyRequest,
        context: Context,
    ) -> crypto.BatchGenerateDataKeyResponse:
        """See the proto."""
        size = request.size_bytes or USUAL_KEY
        check_length(size, LEAST_KEY, MOST_KEY, "size_bytes", "bytes")
        check_length(request.count, 1, MOST_ITEMS, "count", "keys")
        check_length(len(request.associated_data), 0, MOST_BYTES, "associated_data", "bytes")
        made = await self._serving.generate_all(_service(request), size, request.count, request.associated_data)
        return crypto.BatchGenerateDataKeyResponse(plaintexts=made[0], ciphertexts=made[1], key_version=made[2])

    async def BatchWrap(self, request: crypto.BatchWrapRequest, context: Context) -> crypto.BatchWrapResponse:
        """See the proto."""
        packed = _items(request, crypto.PlainItems)
        items = [Item(item.plaintext, item.associated_data) for item in packed]
        _check_items(items, MOST_BYTES, "plaintext")
        ciphertexts, version = await self._serving.wrap_all(_service(request), items)
        return crypto.BatchWrapResponse(ciphertexts=ciphertexts, key_version=version)

    async def BatchUnwrap(self, request: crypto.BatchUnwrapRequest, context: Context) -> crypto.BatchUnwrapResponse:
        """See the proto."""
        items = _wrapped_items(request)
        return crypto.BatchUnwrapResponse(plaintexts=await self._serving.unwrap_all(_service(request), items))

    async def BatchRewrap(self, request: crypto.BatchRewrapRequest, context: Context) -> crypto.BatchRewrapResponse:
        """See the proto."""
        items = _wrapped_items(request)
        ciphertexts, version = await self._serving.rewrap_all(_service(request), items)
        return crypto.BatchRewrapResponse(ciphertexts=ciphertexts, key_version=version)


def _wrapped_items(request: crypto.BatchUnwrapRequest | crypto.BatchRewrapRequest) -> list[Item]:
    items = [Item(item.ciphertext, item.associated_data) for item in _items(request, crypto.WrappedItems)]
    _check_items(items, MOST_CIPHERTEXT, "ciphertext")
    return items


def _items(request: Any, kind: type[Message]) -> Any:
    """The items of a batch, in whichever of the two forms they came."""
    if not request.packed:
        return request.items
    if len(request.items):
        raise Invalid("items and packed cannot both be given", reason="MALFORMED", field="packed")
    try:
        unpacked: Any = kind.FromString(request.packed)
    except DecodeError as error:
        raise Invalid(f"packed is no {kind.DESCRIPTOR.name}", reason="MALFORMED", field="packed") from error
    check_known(unpacked, "packed")
    return unpacked.items


def _check_items(items: Sequence[Item], most: int, content: str) -> None:
    """Raise Invalid naming the first item that is too long, or empty."""
    check_length(len(items), 1, MOST_ITEMS, "items", "items")
    for index, item in enumerate(items):
        if not 0 < len(item.content) <= most or len(item.associated_data) > MOST_BYTES:
            check_length(len(item.content), 1, most, f"items[{index}].{content}", "bytes")
            check_length(len(item.associated_data), 0, MOST_BYTES, f"items[{index}].associated_data", "bytes")


def _plain(item: crypto.WrapRequest) -> Item:
    check_length(len(item.plaintext), 1, MOST_BYTES, "plaintext", "bytes")
    check_length(len(item.associated_data), 0, MOST_BYTES, "associated_data", "bytes")
    return Item(item.plaintext, item.associated_data)


def _wrapped(item: crypto.UnwrapRequest | crypto.RewrapRequest) -> Item:
    check_length(len(item.ciphertext), 1, MOST_CIPHERTEXT, "ciphertext", "bytes")
    check_length(len(item.associated_data), 0, MOST_BYTES, "associated_data", "bytes")
    return Item(item.ciphertext, item.associated_data)


def _service(request: Any) -> Name:
    return Name(
        Kind.SERVICE,
        check_name(request.tenant, "tenant"),
        check_name(request.system, "system"),
        check_name(request.service, "service"),
    )
