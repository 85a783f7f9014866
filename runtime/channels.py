"""The one way to open a gRPC channel: to a part of this system, and never by a proxy.

gRPC takes a company's proxy out of the environment, even for the loopback; what leads to parts of this system is set,
not found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc

from runtime.rpc import OPTIONS

Options = Mapping[str, Any]
_DIRECT = {"grpc.enable_http_proxy": 0}


def open_channel(
    target: str, credentials: grpc.ChannelCredentials | None = None, options: Options | None = None
) -> grpc.Channel:
    """A channel to `target`, with TLS where there are credentials; `options` come on top of the usual ones."""
    if credentials is None:
        return grpc.insecure_channel(target, options=_options(options))
    return grpc.secure_channel(target, credentials, options=_options(options))


def open_aio_channel(
    target: str, credentials: grpc.ChannelCredentials | None = None, options: Options | None = None
) -> grpc.aio.Channel:
    """The same for asyncio."""
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=_options(options))
    return grpc.aio.secure_channel(target, credentials, options=_options(options))


def _options(more: Options | None) -> list[tuple[str, Any]]:
    return list({**dict(OPTIONS), **(more or {}), **_DIRECT}.items())
