"""The stages: probe, aggregate, signal."""
