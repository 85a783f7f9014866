"""Channels that are back soon after what they lead to is."""

from __future__ import annotations

import grpc

from runtime.channels import open_aio_channel

_SOON = {
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 400,
    "grpc.use_local_subchannel_pool": 1,
}


def open_channel(target: str, authority: str = "gateway") -> grpc.aio.Channel:
    """A channel to a socket of this machine, unix:PATH, for the virtual host called `authority`."""
    return open_aio_channel(target, options={**_SOON, "grpc.default_authority": authority})
