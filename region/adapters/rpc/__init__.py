"""What the region serves over gRPC."""
