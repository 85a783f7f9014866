"""Channels that are back soon after what they lead to is."""

from __future__ import annotations

import grpc

from runtime.rpc import OPTIONS

_SOON = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 400),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.default_authority", "gateway"),
)


def open_channel(target: str) -> grpc.aio.Channel:
    """A channel to a socket of this machine, unix:PATH."""
    return grpc.aio.insecure_channel(target, options=[*OPTIONS, *_SOON])
