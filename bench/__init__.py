"""Measurements of a live stack. They run by command, never as tests."""
