"""The gateway over gRPC."""
