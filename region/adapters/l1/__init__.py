"""Providers of customers' root keys, one file each: a `Config` and `open_provider`. The HSM is in `adapters/hsm`."""
