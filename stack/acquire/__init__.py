"""Gets every real part onto this machine: downloaded or compiled once, kept in the user's cache, keyed by version."""

from stack.acquire.catalog import PARTS, acquire, path

__all__ = ["PARTS", "acquire", "path"]
