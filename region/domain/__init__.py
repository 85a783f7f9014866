"""What a region knows without touching anything: no I/O, no clock, no randomness, no logging."""
