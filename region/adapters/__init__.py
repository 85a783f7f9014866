"""The region's ports on real parts."""
