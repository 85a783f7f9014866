"""The region's policy engine: OPA."""
