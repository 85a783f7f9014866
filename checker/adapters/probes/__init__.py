"""One file a probe, one table."""
