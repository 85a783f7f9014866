"""Plumbing that every process shares: lifecycle, settings, errors, logs, gRPC."""
