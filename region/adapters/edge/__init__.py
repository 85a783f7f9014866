"""The edges of the region: the policy kept for them, the bundle served to them, what they say of it."""
