"""What things are and when they change; no I/O, no clock, no randomness."""
