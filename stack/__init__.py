"""Runs the real parts of Orbital, and its processes, privately on one machine."""
