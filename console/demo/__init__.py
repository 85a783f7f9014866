"""The demonstration: every step is checked, and prints what it shows."""
